"""Windows of time partition a period, in any timezone."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_site.foundation.errors import Refused
from billing_site.foundation.periods import Period, in_zone, midnight
from customers.usage.windows import Step, at_least, check_number, step_named, windows

MINUTE = timedelta(minutes=1)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)


def shown(period: Period, step: Step, timezone: str) -> list[tuple[str, str]]:
    return [
        (f"{in_zone(each.start, timezone):%m-%d %H:%M}", f"{in_zone(each.end, timezone):%m-%d %H:%M}")
        for each in windows(period, step, timezone)
    ]


def days(first: str, end: str, timezone: str) -> Period:
    return Period(midnight(date.fromisoformat(first), timezone), midnight(date.fromisoformat(end), timezone))


def test_months_and_weeks_are_clipped_to_the_period() -> None:
    period = days("2024-01-10", "2024-03-05", "Europe/Berlin")
    assert shown(period, Step.MONTH, "Europe/Berlin") == [
        ("01-10 00:00", "02-01 00:00"),
        ("02-01 00:00", "03-01 00:00"),
        ("03-01 00:00", "03-05 00:00"),
    ]
    weeks = shown(days("2024-01-03", "2024-01-17", "UTC"), Step.WEEK, "UTC")
    assert weeks == [("01-03 00:00", "01-08 00:00"), ("01-08 00:00", "01-15 00:00"), ("01-15 00:00", "01-17 00:00")]


def test_days_with_a_change_of_clocks_have_23_or_25_hours() -> None:
    for first, end, hours in (("2024-03-31", "2024-04-01", 23), ("2024-10-27", "2024-10-28", 25)):
        day = days(first, end, "Europe/Berlin")
        assert list(windows(day, Step.DAY, "Europe/Berlin")) == [day]
        assert len(list(windows(day, Step.HOUR, "Europe/Berlin"))) == hours


def test_hours_are_those_of_local_clocks() -> None:
    period = Period(datetime(2024, 1, 1, 10, 10, tzinfo=UTC), datetime(2024, 1, 1, 12, 0, tzinfo=UTC))
    assert shown(period, Step.HOUR, "Asia/Kolkata") == [
        ("01-01 15:40", "01-01 16:00"),
        ("01-01 16:00", "01-01 17:00"),
        ("01-01 17:00", "01-01 17:30"),
    ]


def test_a_day_that_a_place_left_out() -> None:
    """Samoa went from 29 to 31 December 2011."""
    assert shown(days("2011-12-29", "2012-01-01", "Pacific/Apia"), Step.DAY, "Pacific/Apia") == [
        ("12-29 00:00", "12-31 00:00"),
        ("12-31 00:00", "01-01 00:00"),
    ]


def test_without_a_step_the_period_is_the_window() -> None:
    period = days("2024-01-10", "2024-03-05", "UTC")
    assert list(windows(period, None, "UTC")) == [period]
    assert list(windows(Period(period.start, period.start), None, "UTC")) == []


@settings(deadline=None)
@given(
    start=st.integers(0, 25 * 365 * 24 * 60).map(lambda minutes: datetime(2005, 1, 1, tzinfo=UTC) + minutes * MINUTE),
    length=st.timedeltas(timedelta(microseconds=1), timedelta(days=60)),
    step=st.sampled_from(Step),
    timezone=st.sampled_from(ZONES),
)
def test_windows_are_the_period(start: datetime, length: timedelta, step: Step, timezone: str) -> None:
    period = Period(start, start + length)
    found = list(windows(period, step, timezone))
    assert (found[0].start, found[-1].end) == (period.start, period.end)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert all(each.start < each.end for each in found)
    assert at_least(period, step) <= len(found)
    # Read on from any window, they stay the same.
    assert list(windows(period.clip(found[-1].start, None), step, timezone)) == found[-1:]


@settings(deadline=None)
@given(day=st.dates(date(2005, 1, 1), date(2030, 1, 1)), timezone=st.sampled_from(ZONES))
def test_hours_make_up_days(day: date, timezone: str) -> None:
    period = Period(midnight(day, timezone), midnight(day + timedelta(days=10), timezone))
    hours = {each.start for each in windows(period, Step.HOUR, timezone)}
    assert {each.start for each in windows(period, Step.DAY, timezone)} <= hours
    assert max(each.end - each.start for each in windows(period, Step.HOUR, timezone)) <= timedelta(hours=1)


def test_what_nobody_reads_is_refused() -> None:
    with pytest.raises(Refused, match="“fortnight” is not a window; use one of hour, day, week, month"):
        step_named("fortnight")
    with pytest.raises(Refused, match="are about 17,544 windows of one hour; at most 10,000"):
        check_number(days("2024-01-01", "2026-01-01", "UTC"), Step.HOUR)
    check_number(days("2024-01-01", "2026-01-01", "UTC"), Step.DAY)
