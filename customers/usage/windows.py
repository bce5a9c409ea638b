"""How a period falls into hours, days, weeks or months of a timezone. Pure.

Windows follow each other without a gap and are clipped to the period: together they are the period. An hour is counted
from the local midnight, so that hours make up days wherever clocks are changed, by half an hour as well.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import Alignment, Interval, Period, Schedule, local_date, midnight

MAX_WINDOWS = 10_000
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Step(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_USUAL = {Step.HOUR: HOUR, Step.DAY: DAY, Step.WEEK: 7 * DAY, Step.MONTH: 28 * DAY}
_LONGEST = {Step.HOUR: HOUR, Step.DAY: DAY + 2 * HOUR, Step.WEEK: 8 * DAY, Step.MONTH: 32 * DAY}
_INTERVALS = {Step.WEEK: Interval.WEEK, Step.MONTH: Interval.MONTH}


def step_named(text: str) -> Step:
    """Raises Refused."""
    try:
        return Step(text)
    except ValueError:
        names = ", ".join(Step)
        message = f"“{text[:50]}” is not a window; use one of {names}, or leave it out for the whole period."
        raise Refused(Fault("window_unknown", message, "window")) from None


def check_number(period: Period, step: Step | None) -> None:
    """Raises Refused when the period holds more windows than anybody reads."""
    about = (period.end - period.start) // _USUAL[step] if step else 1
    if about > MAX_WINDOWS:
        message = (
            f"From {period.start:%Y-%m-%d} to {period.end:%Y-%m-%d} are about {about:,} windows of one {step}; at most "
            f"{MAX_WINDOWS:,} are read at once: ask for a larger window or a shorter period."
        )
        raise Refused(Fault("windows_too_many", message, "window"))


def at_least(period: Period, step: Step | None) -> int:
    """A number of windows that the period has in any timezone, never 0 and near to how many there are."""
    return max(1, (period.end - period.start) // _LONGEST[step]) if step else 1


def windows(period: Period, step: Step | None, timezone: str) -> Iterator[Period]:
    """The windows of `period` in their order; without a step the one that is all of it."""
    start = period.start
    while start < period.end:
        end = min(_end(start, step, timezone), period.end) if step else period.end
        yield Period(start, end)
        start = end


def window_at(instant: datetime, step: Step, timezone: str) -> Period:
    """The whole window that `instant` lies in."""
    day = local_date(instant, timezone)
    if step in _INTERVALS:
        return Schedule(_INTERVALS[step], Alignment.CALENDAR, day, timezone).period_at(instant)
    start = midnight(day, timezone)
    if step is Step.HOUR:
        start += (instant - start) // HOUR * HOUR
    return Period(start, _end(instant, step, timezone))


def _end(instant: datetime, step: Step, timezone: str) -> datetime:
    """The end of the window that `instant` lies in."""
    day = local_date(instant, timezone)
    if step in _INTERVALS:
        return Schedule(_INTERVALS[step], Alignment.CALENDAR, day, timezone).period_at(instant).end
    tomorrow = midnight(day + DAY, timezone)  # also where the calendar leaves a day out
    if step is Step.DAY:
        return tomorrow
    begun = (instant - midnight(day, timezone)) // HOUR
    return min(midnight(day, timezone) + (begun + 1) * HOUR, tomorrow)
