"""A pytest plugin: the option --cases, and the count of cases at the end, however many processes ran them."""

from collections import Counter
from pathlib import Path

import pytest

from tests.cases.loading import DEFAULT_FOLDER, Case, load

RAN, FROM = "case_group", "case_folder"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cases", metavar="DIR", help=f"the folder of numeric cases that tests/cases runs (default: {DEFAULT_FOLDER})"
    )


def pytest_configure(config: pytest.Config) -> None:
    folder(config)


def folder(config: pytest.Config) -> Path:
    """Where the cases are. A folder that was asked for must exist."""
    asked: str | None = config.getoption("--cases")
    if asked is None:
        return DEFAULT_FOLDER
    if not Path(asked).is_dir():
        raise pytest.UsageError(f"--cases: {asked} is not a folder.")
    return Path(asked)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Counted from the reports, which reach this process from all workers."""
    reports = [
        report
        for outcome in ("passed", "failed", "error")
        for report in terminalreporter.stats.get(outcome, [])
        if isinstance(report, pytest.TestReport)
    ]
    properties = [(dict(report.user_properties), report.outcome) for report in reports]
    folders = {str(found[FROM]) for found, _ in properties if FROM in found}
    if folders:
        ran = Counter((str(found[RAN]), str(outcome)) for found, outcome in properties if RAN in found)
        terminalreporter.section("cases")
        for line in lines(load(Path(folders.pop())), ran):
            terminalreporter.write_line(line)


def lines(cases: list[Case], ran: Counter[tuple[str, str]]) -> list[str]:
    """A line for each group and one for all, then how many cases were set aside for which reason.

    `ran`: how many tests of a group passed or failed.
    """
    from tests.cases.groups import GROUPS

    reasons: Counter[str] = Counter()
    written, everything = [], Counter[str]()
    for name, group in GROUPS.items():
        listed = [case for case in cases if case.group == name]
        if not listed:
            continue
        aside = [reason for case in listed if (reason := group.set_aside(case))]
        count = Counter(total=len(listed), set_aside=len(aside), passed=ran[name, "passed"], failed=ran[name, "failed"])
        written.append(_line(name, count))
        everything.update(count)
        reasons.update(f"{name}: {reason}" for reason in aside)
    return [*written, _line("all", everything), *(f"{count:5} {reason}" for reason, count in reasons.most_common())]


def _line(name: str, count: Counter[str]) -> str:
    figures = " ".join(f"{figure}={count[figure]}" for figure in ("total", "passed", "failed", "set_aside"))
    left = count["total"] - count["passed"] - count["failed"] - count["set_aside"]
    return f"cases {name} {figures}" + (f" not_run={left}" if left else "")
