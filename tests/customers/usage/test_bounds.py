"""What a caller may write for a bound of time."""

from datetime import UTC, datetime, timedelta

import pytest

from billing_site.foundation.errors import Refused
from billing_site.foundation.periods import Period
from customers.usage.bounds import period_between


def at(month: int, day: int, hour: int = 0, second: float = 0) -> datetime:
    return datetime(2023, month, day, hour, tzinfo=UTC) + timedelta(seconds=second)


@pytest.mark.parametrize(
    ("start", "end", "timezone", "expected"),
    [
        ("2023-11-01", "2023-12-01", "UTC", (at(11, 1), at(12, 1))),
        # October begins in summer time, two hours ahead of UTC, and ends in winter time, one ahead.
        ("2023-10-01", "2023-11-01", "Europe/Berlin", (at(9, 30, 22), at(10, 31, 23))),
        (
            "2023-11-01T00:00:00Z",
            "2023-11-01t00:00:00.5z",
            "Europe/Berlin",
            (at(11, 1), at(11, 1, second=0.5)),
        ),
        ("2023-11-01T02:00:00+02:00", "2023-11-02", "UTC", (at(11, 1), at(11, 2))),
        ("2023-10-31T18:30:00-05:30", "2023-11-02", "UTC", (at(11, 1), at(11, 2))),
    ],
)
def test_days_are_local_and_instants_are_instants(
    start: str, end: str, timezone: str, expected: tuple[datetime, datetime]
) -> None:
    assert period_between(start, end, timezone) == Period(*expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2023-11-31",
        "2023-13-01",
        "2023-11-1",
        "20231101",
        "2023-W44-3",
        "2023-11-01T00:00:00",
        "2023-11-01T00:00:00 01:00",
        "2023-11-01T25:00:00Z",
        "2023-11-01T23:59:60Z",
        "2023-11-01T00:00:00+25:00",
        "0001-01-01",
        "9999-12-31T23:59:59-12:00",
        "٢٠٢٣-١١-٠١",
        "2023-11-01\0",
        "1e9",
    ],
)
def test_anything_else_is_refused_by_field_and_value(text: str) -> None:
    with pytest.raises(Refused) as refused:
        period_between(text, "2023-12-01", "UTC")
    (fault,) = refused.value.faults
    assert (fault.field, fault.code) == ("from", "bound_invalid")
    assert f"“{text}”" in fault.message


def test_both_bounds_are_asked_for_at_once() -> None:
    with pytest.raises(Refused) as refused:
        period_between(None, None, "UTC")
    assert [(fault.field, fault.code) for fault in refused.value.faults] == [
        ("from", "bound_missing"),
        ("to", "bound_missing"),
    ]


@pytest.mark.parametrize("end", ["2023-11-01", "2023-10-31"])
def test_a_period_has_some_time_in_it(end: str) -> None:
    with pytest.raises(Refused, match="is not after “from”"):
        period_between("2023-11-01", end, "UTC")
