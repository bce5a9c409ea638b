"""How the values of many events come to one quantity, and how a quantity is rounded. Pure.

Nothing here depends on the order in which events arrive or on how they are split: a bucket holds what the events of an
hour have folded into so far, and buckets, points and values are merged on reading. Rules: `docs/rules.md`,
"Aggregation".
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any

from billing_site.foundation.money import EXACT, ZERO, round_to

# What a quantity holds: an average or a share of time is rounded to it, half away from zero.
QUANTITY_PLACES = 12
MAX_ROUNDING_PLACES = 12
LEVEL, DELTA = "level", "delta"

Number = Decimal | int
Kept = Number | None


class Hourly(StrEnum):
    """What a bucket keeps of the values of its hour; the name is PostgreSQL's aggregate that merges buckets."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"
    NOTHING = ""


class Keeps(StrEnum):
    """What is kept beside buckets, for a quantity that no single number of an hour can give."""

    NOTHING = ""
    POINTS = "points"  # every value at its instant
    VALUES = "values"  # every value of an hour, once


def _sum(one: Any, other: Any) -> Any:
    """Whole numbers are added as they are, ten times as fast."""
    return one + other if type(one) is int is type(other) else EXACT.add(one, other)


FOLDS: dict[Hourly, Callable[[Any, Any], Any]] = {
    Hourly.SUM: _sum,
    Hourly.MAX: max,
    Hourly.MIN: min,
    Hourly.NOTHING: lambda one, other: None,
}


@dataclass(frozen=True)
class Aggregation:
    """One way to make a quantity of many events.

    `absent`: what an event without a value of its own stands for; None: it is not counted. `adds_up`: the quantities of
    disjoint events add up to that of all of them, so that a line may show a part.
    """

    key: str
    hourly: Hourly
    keeps: Keeps = Keeps.NOTHING
    absent: Decimal | None = None
    adds_up: bool = False
    averages: bool = False

    def start(self, value: Number) -> Kept:
        """What a bucket keeps of one event."""
        return value if self.hourly else None

    @property
    def fold(self) -> Callable[[Any, Any], Any]:
        """What is kept of two disjoint sets of events, of what is kept of each."""
        return FOLDS[self.hourly]

    def merge(self, one: Kept, other: Kept) -> Kept:
        """What is kept of two disjoint sets of events, if anything is."""
        return None if one is None or other is None else self.fold(one, other)

    def quantity(self, kept: Number, events: int) -> Decimal:
        """The quantity of so many events, in the meter's unit, of what buckets kept of them all."""
        return round_to(EXACT.divide(kept, Decimal(events)), QUANTITY_PLACES) if self.averages else Decimal(kept)


COUNT = Aggregation("count", Hourly.SUM, absent=Decimal(1), adds_up=True)
SUM = Aggregation("sum", Hourly.SUM, adds_up=True)
MAX = Aggregation("max", Hourly.MAX)
MIN = Aggregation("min", Hourly.MIN)
AVERAGE = Aggregation("average", Hourly.SUM, averages=True)
LATEST = Aggregation("latest", Hourly.NOTHING, Keeps.POINTS)
UNIQUE_COUNT = Aggregation("unique_count", Hourly.NOTHING, Keeps.VALUES)
# Levels replace each other in time. Changes of a level add up: the sum of an hour is what it passes on to the next.
WEIGHTED_LEVELS = Aggregation("weighted_sum", Hourly.NOTHING, Keeps.POINTS)
WEIGHTED_DELTAS = Aggregation("weighted_sum", Hourly.SUM, Keeps.POINTS)

_PLAIN = {each.key: each for each in (COUNT, SUM, MAX, MIN, AVERAGE, LATEST, UNIQUE_COUNT)}
_WEIGHTED = {LEVEL: WEIGHTED_LEVELS, DELTA: WEIGHTED_DELTAS}
AGGREGATIONS = (*_PLAIN, "weighted_sum")
VALUE_KINDS = tuple(_WEIGHTED)


def aggregation_for(key: str, value_kind: str = "") -> Aggregation:
    """The aggregation that a meter names; `value_kind`, level or delta, is what values of a weighted sum are."""
    return _WEIGHTED[value_kind] if key == "weighted_sum" else _PLAIN[key]


def time_weighted(area: Decimal, microseconds: int) -> Decimal:
    """The level weighed over so many microseconds; `area`: Σ level × the microseconds for which it held."""
    return round_to(EXACT.divide(area, Decimal(microseconds)), QUANTITY_PLACES)


class RoundingMode(StrEnum):
    NONE = "none"
    CEIL = "ceil"
    FLOOR = "floor"
    HALF_UP = "half_up"


_MODES = {
    RoundingMode.CEIL: ROUND_CEILING,
    RoundingMode.FLOOR: ROUND_FLOOR,
    RoundingMode.HALF_UP: ROUND_HALF_UP,  # away from zero, like all other rounding here
}


@dataclass(frozen=True)
class Rounding:
    """How a meter rounds a quantity before it is priced. `places` below zero round to tens, hundreds …"""

    mode: RoundingMode = RoundingMode.NONE
    places: int = 0

    def apply(self, quantity: Decimal) -> Decimal:
        if self.mode is not RoundingMode.NONE:
            quantity = quantity.quantize(Decimal(1).scaleb(-self.places), rounding=_MODES[self.mode], context=EXACT)
        return EXACT.add(quantity, ZERO)  # zero has no sign


NOT_ROUNDED = Rounding()
