"""Cases of other billing systems, run through our own pricing. Every figure that a case gives must come out.

What is not ours or not built is set aside by what is given and where it comes from, never by name, and is counted.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest

from billing_site.foundation.money import round_to
from meters.events.values import MAX_PLACES
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
        metafunc.parametrize("case", [_parameter(case) for case in runnable])


def _parameter(case: Case) -> Any:
    marks = [pytest.mark.django_db] if GROUPS[case.group].database else []
    return pytest.param(case, id=f"{case.group}-{case.id}", marks=marks)


def test_there_are_cases(pytestconfig: pytest.Config, record_property: RecordProperty) -> None:
    where = folder(pytestconfig)
    if not where.is_dir():
        pytest.skip(f"there is no folder {where.name} beside the project: name one with --cases")
    record_property(FROM, str(where))
    assert any(case.group in GROUPS for case in load(where)), f"no case of {', '.join(GROUPS)} in {where}"


def test_case(case: Case, record_property: RecordProperty) -> None:
    record_property(RAN, case.group)
    check(case)


def check(case: Case) -> None:
    """Every figure that a case gives must come out, to as many places as it is known."""
    figures = GROUPS[case.group].figures(case.given)
    asserted = set(case.expect.get("asserted", []))
    expected = {name: value for name, value in case.expect.items() if name not in ("asserted", "precision")}
    known_to = {name: each["places"] for name, each in case.expect.get("precision", {}).items()}
    assert asserted <= expected.keys(), f"{case.source} asserts what it does not give"
    found = {name: _exact(figures[name], known_to.get(name)) for name in expected}
    assert found == {name: _exact(value, known_to.get(name)) for name, value in expected.items()}, case.source


def _exact(value: object, places: int | None = None) -> object:
    """A figure as it is compared: the number, not how it is written; no finer than a quantity can be."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_exact(each, places) for each in value]
    try:
        number = Decimal(str(value))
    except InvalidOperation:  # an instant
        return value
    return number if places is None else round_to(number, min(places, MAX_PLACES))
