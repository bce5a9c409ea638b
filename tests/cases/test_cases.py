"""Cases of other billing systems, run through our own pricing. Every figure that a case gives must come out.

What is not ours or not built is set aside by what is given and where it comes from, never by name, and is counted.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest

from tests.cases.groups import GROUPS
from tests.cases.loading import Case, load
from tests.cases.plugin import FROM, RAN, folder

RecordProperty = Callable[[str, object], None]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        where = folder(metafunc.config)
        runnable = [
            case
            for case in (load(where) if where.is_dir() else [])
            if case.group in GROUPS and GROUPS[case.group].set_aside(case) is None
        ]
        metafunc.parametrize("case", runnable, ids=[f"{case.group}-{case.id}" for case in runnable])


def test_there_are_cases(pytestconfig: pytest.Config, record_property: RecordProperty) -> None:
    where = folder(pytestconfig)
    if not where.is_dir():
        pytest.skip(f"there is no folder {where.name} beside the project: name one with --cases")
    record_property(FROM, str(where))
    assert any(case.group in GROUPS for case in load(where)), f"no case of {', '.join(GROUPS)} in {where}"


def test_case(case: Case, record_property: RecordProperty) -> None:
    record_property(RAN, case.group)
    figures = GROUPS[case.group].figures(case.given)
    asserted = set(case.expect.get("asserted", []))
    expected = {name: _exact(value) for name, value in case.expect.items() if name != "asserted"}
    assert asserted <= expected.keys(), f"{case.source} asserts what it does not give"
    assert {name: figures[name] for name in expected} == expected, case.source


def _exact(value: object) -> object:
    """A figure as it is compared: the number, not how it is written."""
    return (
        [Decimal(each) for each in value]
        if isinstance(value, Sequence) and not isinstance(value, str)
        else Decimal(str(value))
    )
