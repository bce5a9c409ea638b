"""What of usage is asked for, and how a period falls into hours. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from billing_site.foundation.periods import Period
from meters.measuring.counting import hour_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

Values = tuple[tuple[str, str], ...]
"""Dimension values in order of name."""

Grouping = Callable[[Mapping[str, str]], Mapping[str, str] | None]
"""The dimension values under which usage recorded at some dimension values is counted; None: it is left out."""


@dataclass(frozen=True)
class Window:
    """What to read: one meter's usage by some customer references in a period.

    `subscription` empty: all events, but for those that name one of `named_elsewhere` within its period. Not empty:
    only events that name it. `grouping` None: usage at the dimension values as they are recorded. `weighed_over`: the
    period in proportion to which a level counts for as long as it held; None: `period`, which makes it the average.
    """

    key: int
    customers: tuple[str, ...]
    meter: int
    period: Period
    subscription: str = ""
    named_elsewhere: Mapping[str, Period] = field(default_factory=dict)
    grouping: Grouping | None = None
    weighed_over: Period | None = None

    def parts(self) -> Iterator["Part"]:
        """What to read for it, nothing of it empty: no event lies in two of them."""
        return (part for part in self._parts() if part.period.start < part.period.end)

    def _parts(self) -> Iterator["Part"]:
        if self.subscription:
            yield Part(self, self.period, self.subscription)
            return
        elsewhere = {name: self.period.clip(taken.start, taken.end) for name, taken in self.named_elsewhere.items()}
        yield Part(self, self.period, but=frozenset(elsewhere))
        for name, taken in elsewhere.items():
            yield Part(self, Period(self.period.start, taken.start), name)
            yield Part(self, Period(taken.end, self.period.end), name)


@dataclass(frozen=True)
class Part:
    """A period of a window: of the events that name `only`, or, when it is empty, of all that name none of `but`."""

    window: Window
    period: Period
    only: str = ""
    but: frozenset[str] = frozenset()

    def place(self, subscription: str, dimensions: Mapping[str, str]) -> Values | None:
        """Where usage that names `subscription`, or none when it is empty, and was recorded at these values is counted.

        None: it does not belong to this part.
        """
        if (subscription != self.only) if self.only else (subscription in self.but):
            return None
        group = self.window.grouping
        values = group(dimensions) if group else dimensions
        return None if values is None else tuple(sorted(values.items()))


def only(names: Iterable[str]) -> Grouping:
    """Group by the values of these dimensions, whatever others are recorded."""
    kept = frozenset(names)
    return lambda dimensions: {name: value for name, value in dimensions.items() if name in kept}


def whole_hours(period: Period) -> tuple[datetime, datetime]:
    """The first UTC hour that lies wholly in the period, and the end of the last; no hours when they meet or cross."""
    first = hour_of(period.start)
    return (first if first == period.start else first + HOUR), hour_of(period.end)


def day_of(instant: datetime) -> datetime:
    """The beginning of its UTC day."""
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def whole_days(first_hour: datetime, end_hour: datetime) -> tuple[datetime, datetime]:
    """The first UTC day that lies wholly between two hours, and the end of the last; both the end when none does."""
    first, end = day_of(first_hour), day_of(end_hour)
    first = first if first == first_hour else first + DAY
    return (first, end) if first < end else (end_hour, end_hour)


def parts_of_hours(period: Period) -> Iterable[Period]:
    """What whole hours leave over: up to two parts, at the bounds, or the one part of a period inside an hour."""
    first, end = whole_hours(period)
    if first > end:
        return [period]
    return [part for part in (Period(period.start, first), Period(end, period.end)) if part.start < part.end]
