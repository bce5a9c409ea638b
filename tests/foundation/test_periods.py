"""Bounds of periods and days, by hand for the odd places and days, and by what must hold everywhere."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.periods import (
    Alignment,
    Interval,
    Period,
    Schedule,
    days,
    local_date,
    midnight,
    timezones,
    used_share,
)

HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(start: str, end: str, timezone: str) -> Period:
    """The period of whole local days [start, end)."""
    return Period(midnight(date.fromisoformat(start), timezone), midnight(date.fromisoformat(end), timezone))


def schedule(
    interval: Interval = Interval.MONTH, anchor: str = "2024-01-01", timezone: str = "UTC", calendar: bool = False
) -> Schedule:
    alignment = Alignment.CALENDAR if calendar else Alignment.ANNIVERSARY
    return Schedule(interval, alignment, date.fromisoformat(anchor), timezone)


def starts(of: Schedule, first: str, count: int) -> list[str]:
    """The local days on which `count` periods in a row begin, from the one that holds the day `first`."""
    instant = midnight(date.fromisoformat(first), of.timezone)
    found = []
    for _ in range(count):
        period = of.period_at(instant)
        found.append(local_date(period.start, of.timezone).isoformat())
        instant = period.end
    return found


# Periods


def test_bounds_are_utc_and_in_order() -> None:
    with pytest.raises(ValueError, match="UTC"):
        Period(datetime(2024, 1, 1), at("2024-02-01"))  # noqa: DTZ001
    with pytest.raises(ValueError, match="UTC"):
        Period(at("2024-01-01"), datetime.fromisoformat("2024-02-01T00:00+05:30"))
    with pytest.raises(ValueError, match="cannot end"):
        Period(at("2024-02-01"), at("2024-01-01"))


def test_a_period_holds_its_start_and_not_its_end() -> None:
    period = Period(at("2024-01-01"), at("2024-02-01"))
    assert at("2024-01-01") in period
    assert at("2024-01-31T23:59:59.999999") in period
    assert at("2024-02-01") not in period
    assert at("2023-12-31T23:59:59.999999") not in period


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2024-01-10", "2024-01-20", ("2024-01-10", "2024-01-20")),
        ("2023-01-10", "2025-01-20", ("2024-01-01", "2024-02-01")),
        ("2024-01-10", None, ("2024-01-10", "2024-02-01")),
        ("2024-03-01", None, ("2024-02-01", "2024-02-01")),
        ("2024-03-01", "2024-04-01", ("2024-02-01", "2024-02-01")),
        ("2023-03-01", "2023-04-01", ("2024-01-01", "2024-01-01")),
    ],
)
def test_clipping(start: str, end: str | None, expected: tuple[str, str]) -> None:
    clipped = Period(at("2024-01-01"), at("2024-02-01")).clip(at(start), at(end) if end else None)
    assert clipped == Period(at(expected[0]), at(expected[1]))


# Days


@pytest.mark.parametrize(
    ("day", "timezone", "instant"),
    [
        ("2024-03-01", "UTC", "2024-03-01T00:00"),
        ("2024-03-01", "Asia/Kolkata", "2024-02-29T18:30"),
        ("2024-03-10", "America/New_York", "2024-03-10T05:00"),
        ("2024-03-11", "America/New_York", "2024-03-11T04:00"),
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00"),  # 00:00 is skipped: the day begins at 01:00
        ("2018-02-18", "America/Sao_Paulo", "2018-02-18T03:00"),  # 23:00 is shown twice the evening before
        ("2023-11-05", "America/Havana", "2023-11-05T04:00"),  # 00:00 is shown twice: the first one
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00"),  # never was
        ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00"),
        ("2024-01-01", "Asia/Kathmandu", "2023-12-31T18:15"),
    ],
)
def test_when_a_day_begins(day: str, timezone: str, instant: str) -> None:
    assert midnight(date.fromisoformat(day), timezone) == at(instant)
    assert midnight(date.fromisoformat(day), timezone).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("instant", "timezone", "day"),
    [
        ("2024-02-29T18:29:59", "Asia/Kolkata", "2024-02-29"),
        ("2024-02-29T18:30", "Asia/Kolkata", "2024-03-01"),
        ("2018-11-04T02:59:59", "America/Sao_Paulo", "2018-11-03"),
        ("2018-11-04T03:00", "America/Sao_Paulo", "2018-11-04"),
        ("2011-12-30T09:59:59", "Pacific/Apia", "2011-12-29"),
        ("2011-12-30T10:00", "Pacific/Apia", "2011-12-31"),
        ("2010-11-07T02:30:30", "America/St_Johns", "2010-11-07"),  # 00:00:30, just before clocks go back to 23:01
        ("2010-11-07T03:00", "America/St_Johns", "2010-11-07"),  # a clock shows 23:30 of the day before, again
    ],
)
def test_which_day_an_instant_belongs_to(instant: str, timezone: str, day: str) -> None:
    assert local_date(at(instant), timezone) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ("day", "next_day", "timezone", "hours"),
    [
        ("2024-03-10", "2024-03-11", "America/New_York", 23),
        ("2024-11-03", "2024-11-04", "America/New_York", 25),
        ("2024-06-01", "2024-06-02", "America/New_York", 24),
        ("2024-04-07", "2024-04-08", "Australia/Lord_Howe", 24.5),
        ("2018-11-04", "2018-11-05", "America/Sao_Paulo", 23),
        ("2011-12-30", "2011-12-31", "Pacific/Apia", 0),
    ],
)
def test_how_long_a_day_is(day: str, next_day: str, timezone: str, hours: float) -> None:
    period = local(day, next_day, timezone)
    assert period.end - period.start == hours * HOUR
    assert days(period, timezone) == (1 if hours else 0)


@pytest.mark.parametrize(
    ("start", "end", "timezone", "count"),
    [
        ("2024-02-01", "2024-03-01", "UTC", 29),
        ("2023-02-01", "2023-03-01", "Asia/Kolkata", 28),
        ("2024-03-01", "2024-04-01", "America/New_York", 31),
        ("2024-01-01", "2025-01-01", "Europe/Berlin", 366),
        ("2011-12-01", "2012-01-01", "Pacific/Apia", 30),
        ("2011-12-30", "2012-01-01", "Pacific/Apia", 1),
        ("2011-01-01", "2012-01-01", "Pacific/Apia", 364),
        ("2024-01-01", "2024-01-01", "UTC", 0),
    ],
)
def test_how_many_days(start: str, end: str, timezone: str, count: int) -> None:
    assert days(local(start, end, timezone), timezone) == count


def test_a_day_that_is_entered_counts_whole() -> None:
    assert days(Period(at("2024-01-01T23:59:59"), at("2024-01-02")), "UTC") == 1
    assert days(Period(at("2024-01-01T23:59:59"), at("2024-01-02T00:00:01")), "UTC") == 2


def test_the_share_of_a_period() -> None:
    month = local("2024-02-01", "2024-03-01", "Asia/Kolkata")
    half = local("2024-02-01", "2024-02-15", "Asia/Kolkata")
    assert used_share(half, month, "Asia/Kolkata") == Fraction(14, 29)
    assert used_share(month, month, "Asia/Kolkata") == 1
    assert used_share(Period(month.start, month.start), month, "Asia/Kolkata") == 0
    assert used_share(Period(month.start, month.end + HOUR), month, "Asia/Kolkata") == 1


# Schedules


@pytest.mark.parametrize(
    ("interval", "day", "expected"),
    [
        (Interval.WEEK, "2024-02-29", ("2024-02-26", "2024-03-04")),
        (Interval.MONTH, "2024-02-29", ("2024-02-01", "2024-03-01")),
        (Interval.QUARTER, "2024-02-29", ("2024-01-01", "2024-04-01")),
        (Interval.QUARTER, "2024-12-31", ("2024-10-01", "2025-01-01")),
        (Interval.YEAR, "2024-02-29", ("2024-01-01", "2025-01-01")),
    ],
)
def test_calendar_periods_take_no_notice_of_the_anchor(interval: Interval, day: str, expected: tuple[str, str]) -> None:
    of = schedule(interval, anchor="2024-02-17", timezone="Asia/Kolkata", calendar=True)
    assert of.period_at(midnight(date.fromisoformat(day), "Asia/Kolkata")) == local(*expected, "Asia/Kolkata")


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        ("2024-01-31", "2024-01-31 2024-02-29 2024-03-31 2024-04-30 2024-05-31"),
        ("2023-01-30", "2023-01-30 2023-02-28 2023-03-30 2023-04-30 2023-05-30"),
        ("2023-12-29", "2023-12-29 2024-01-29 2024-02-29 2024-03-29 2024-04-29"),
        ("2024-11-15", "2024-11-15 2024-12-15 2025-01-15 2025-02-15 2025-03-15"),
    ],
)
def test_anchors_are_clamped_and_never_chained(anchor: str, expected: str) -> None:
    assert starts(schedule(anchor=anchor), anchor, 5) == expected.split()


@pytest.mark.parametrize(
    ("interval", "anchor", "expected"),
    [
        (Interval.QUARTER, "2023-11-30", "2023-11-30 2024-02-29 2024-05-30 2024-08-30"),
        (Interval.YEAR, "2024-02-29", "2024-02-29 2025-02-28 2026-02-28 2027-02-28 2028-02-29"),
        (Interval.WEEK, "2024-02-29", "2024-02-29 2024-03-07 2024-03-14"),
    ],
)
def test_anniversaries_of_other_intervals(interval: Interval, anchor: str, expected: str) -> None:
    assert starts(schedule(interval, anchor), anchor, len(expected.split())) == expected.split()


def test_periods_before_the_anchor_are_counted_back() -> None:
    of = schedule(anchor="2024-03-31")
    assert of.period_at(at("2024-02-28T23:00")) == Period(at("2024-01-31"), at("2024-02-29"))
    assert schedule(Interval.WEEK, "2024-02-29").period_at(at("2024-02-28")).start == at("2024-02-22")


def test_bounds_follow_the_customers_clock() -> None:
    of = schedule(timezone="America/New_York", calendar=True)
    assert of.period_at(at("2024-03-15")) == Period(at("2024-03-01T05:00"), at("2024-04-01T04:00"))
    assert of.period_at(at("2024-03-01T04:59:59")).end == at("2024-03-01T05:00")


def test_a_period_that_begins_on_a_day_that_never_was_begins_with_the_next() -> None:
    of = schedule(anchor="2011-11-30", timezone="Pacific/Apia")
    assert of.period_at(at("2011-12-30T10:00")).start == at("2011-12-30T10:00")
    assert of.period_at(at("2011-12-30T09:59")).end == at("2011-12-30T10:00")


def test_a_timezone_is_a_place_not_what_a_machine_is_set_to() -> None:
    assert {"UTC", "Europe/Berlin", "Asia/Kolkata"} <= timezones()
    assert not {"localtime", "Factory"} & timezones()


ZONES = st.sampled_from(
    sorted(timezones())
    + ["Pacific/Apia", "America/Sao_Paulo", "America/Havana", "America/St_Johns", "Asia/Kolkata"] * 20
)
INSTANTS = st.datetimes(datetime(1975, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
SCHEDULES = st.builds(
    Schedule,
    st.sampled_from(Interval),
    st.sampled_from(Alignment),
    st.dates(date(1990, 1, 1), date(2030, 12, 31)),
    ZONES,
)


@given(SCHEDULES, INSTANTS)
def test_periods_tile_time(of: Schedule, instant: datetime) -> None:
    period = of.period_at(instant)
    assert instant in period
    assert of.period_at(period.end).start == period.end
    assert of.period_at(period.start) == period
    assert of.period_at(period.end - timedelta(microseconds=1)) == period


@given(ZONES, INSTANTS)
def test_days_tile_time(timezone: str, instant: datetime) -> None:
    day = local_date(instant, timezone)
    assert midnight(day, timezone) <= instant < midnight(day + timedelta(days=1), timezone)


@given(SCHEDULES, INSTANTS, st.integers(0, 400))
def test_days_of_two_parts_add_up_to_the_whole(of: Schedule, instant: datetime, cut: int) -> None:
    period = of.period_at(instant)
    boundary = midnight(local_date(period.start, of.timezone) + timedelta(days=cut), of.timezone)
    boundary = min(max(boundary, period.start), period.end)
    first, second = Period(period.start, boundary), Period(boundary, period.end)
    assert days(first, of.timezone) + days(second, of.timezone) == days(period, of.timezone)
    assert used_share(first, period, of.timezone) + used_share(second, period, of.timezone) == 1
