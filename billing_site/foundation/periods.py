"""Billing periods and local calendar days. Pure.

A period is half-open, [start, end), two UTC instants computed from the local calendar of a timezone. Anchors are stored
and clamped to each month, never chained from a clamped date. Rules: `docs/rules.md`, "Time".
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import cache
from zoneinfo import ZoneInfo, available_timezones


class Interval(StrEnum):
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class Alignment(StrEnum):
    """Calendar periods begin on the first day of the week, month, quarter or year; anniversary ones on the anchor's."""

    CALENDAR = "calendar"
    ANNIVERSARY = "anniversary"


# Names of the database that say nothing of a place: the machine's own, and that nobody has set one.
NO_PLACE = frozenset({"localtime", "Factory"})
MONTHS = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.YEAR: 12}


@dataclass(frozen=True, order=True)
class Period:
    """[start, end) in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.utcoffset() != timedelta(0) or self.end.utcoffset() != timedelta(0):
            raise ValueError("A period's bounds are UTC instants.")
        if self.start > self.end:
            raise ValueError(f"A period cannot end ({self.end}) before it starts ({self.start}).")

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def clip(self, start: datetime, end: datetime | None) -> "Period":
        """The part of this period that lies in [start, end); empty at `start` or `end` when they do not meet."""
        low = min(max(self.start, start), self.end)
        high = self.end if end is None else max(min(self.end, end), low)
        return Period(low, high)


@cache
def timezones() -> frozenset[str]:
    """The names that a timezone may have. They mean the same on every machine."""
    return frozenset(available_timezones()) - NO_PLACE


def midnight(day: date, timezone: str) -> datetime:
    """The UTC instant at which `day` begins in `timezone`.

    When clocks skip midnight (São Paulo) it is the first instant after the gap, when they show it twice (Havana) the
    first of the two; a day that a place left out (30 December 2011 in Apia) begins and ends at the same instant.
    Without a fold, `zoneinfo` reads a skipped time by the offset before the gap, which is that first instant as long as
    the gap begins at midnight; every gap over a midnight since 1970 does.
    """
    return datetime.combine(day, time(), tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def in_zone(instant: datetime, timezone: str) -> datetime:
    """The same instant as clocks of `timezone` show it."""
    return instant.astimezone(ZoneInfo(timezone))


def local_date(instant: datetime, timezone: str) -> date:
    """The day that `instant` belongs to in `timezone`: the last one that has begun by then.

    Where clocks went back from 00:01 to 23:01 (St. John's until 2011), the repeated hour stays with the day that had
    begun: a day is one stretch of time, and so is a period.
    """
    day = instant.astimezone(ZoneInfo(timezone)).date()
    tomorrow = day + timedelta(days=1)
    return tomorrow if midnight(tomorrow, timezone) <= instant else day


def _months_on(anchor: date, months: int) -> date:
    """`anchor` moved by whole months, its day clamped to the month it lands in."""
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    return date(year, month + 1, min(anchor.day, monthrange(year, month + 1)[1]))


@dataclass(frozen=True)
class Schedule:
    """Where the periods of a subscription begin and end.

    `anchor` is the local date from which anniversary periods count; a calendar schedule takes no notice of it.
    """

    interval: Interval
    alignment: Alignment
    anchor: date
    timezone: str

    def period_at(self, instant: datetime) -> Period:
        """The full period that holds `instant`."""
        day = local_date(instant, self.timezone)
        start, end = self._week(day) if self.interval == Interval.WEEK else self._months(day)
        return Period(midnight(start, self.timezone), midnight(end, self.timezone))

    def _week(self, day: date) -> tuple[date, date]:
        first = self.anchor.weekday() if self.alignment == Alignment.ANNIVERSARY else 0
        start = day - timedelta(days=(day.weekday() - first) % 7)
        return start, start + timedelta(days=7)

    def _months(self, day: date) -> tuple[date, date]:
        step = MONTHS[self.interval]
        anchor = self.anchor if self.alignment == Alignment.ANNIVERSARY else date(day.year, 1, 1)
        gone = (day.year - anchor.year) * 12 + day.month - anchor.month
        count = gone // step
        if _months_on(anchor, count * step) > day:
            count -= 1
        return _months_on(anchor, count * step), _months_on(anchor, (count + 1) * step)


def days(period: Period, timezone: str) -> int:
    """Local calendar days of a period.

    The day in which it starts counts whole, the one in which it ends only when entered; a day that the place left out
    of its calendar is not counted.
    """
    if period.start == period.end:
        return 0
    first = local_date(period.start, timezone)
    last = local_date(period.end - timedelta(microseconds=1), timezone)
    return (last - first).days + 1 - _days_left_out(first, last, timezone)


def _days_left_out(first: date, last: date, timezone: str) -> int:
    """How many of the days between `first` and `last` never were: a place that crossed the date line skipped them."""
    elapsed = midnight(last, timezone) - midnight(first, timezone)
    if last - first - elapsed < timedelta(hours=20):
        return 0
    between = ((first + timedelta(days=n)) for n in range((last - first).days))
    return sum(midnight(day, timezone) == midnight(day + timedelta(days=1), timezone) for day in between)


def used_share(used: Period, full: Period, timezone: str) -> Fraction:
    """Days used ÷ days in the full period, from 0 to 1."""
    return min(Fraction(days(used, timezone), days(full, timezone)), Fraction(1))
