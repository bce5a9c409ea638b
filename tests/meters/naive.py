"""The usage of a meter by its definition in words, recomputed from the events one by one: slow, and plainly right."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction

from billing_site.foundation.periods import Period

Values = tuple[tuple[str, str], ...]
MODES = {"ceil": ROUND_CEILING, "floor": ROUND_FLOOR, "half_up": ROUND_HALF_UP}


@dataclass(frozen=True)
class Fact:
    """One value of one event that counts. `order`: the place among all events in the order of receipt."""

    stream: tuple[str, Values]
    at: datetime
    order: int
    value: Decimal

    def group(self, names: Iterable[str] | None) -> Values:
        return tuple(pair for pair in self.stream[1] if names is None or pair[0] in names)


@dataclass(frozen=True)
class Asked:
    """How a meter aggregates."""

    aggregation: str
    value_kind: str = ""
    recurring: bool = False
    rounding: tuple[str, int] = ("none", 0)


def usage(
    asked: Asked, facts: Sequence[Fact], period: Period, names: Iterable[str] | None
) -> dict[Values, tuple[Decimal, int]]:
    """Quantity and number of events in a period, by the values of the dimensions `names`; all of them when None."""
    if asked.aggregation == "weighted_sum":
        found = _weighted(asked, facts, period, names)
    else:
        inside: dict[Values, list[Fact]] = defaultdict(list)
        for fact in facts:
            if period.start <= fact.at < period.end:
                inside[fact.group(names)].append(fact)
        found = {group: (_plain(asked.aggregation, some), len(some)) for group, some in inside.items()}
    return {group: (_rounded(quantity, asked.rounding), events) for group, (quantity, events) in found.items()}


def _plain(aggregation: str, facts: list[Fact]) -> Fraction:
    values = [Fraction(fact.value) for fact in facts]
    if aggregation == "average":
        return sum(values, Fraction(0)) / len(values)
    if aggregation == "latest":
        return Fraction(max(facts, key=lambda fact: (fact.at, fact.order)).value)
    if aggregation == "unique_count":
        return Fraction(len(set(values)))
    return {"count": sum, "sum": sum, "max": max, "min": min}[aggregation](values)


def _weighted(
    asked: Asked, facts: Sequence[Fact], period: Period, names: Iterable[str] | None
) -> dict[Values, tuple[Fraction, int]]:
    """Every stream's level, instant by instant: what it is from each event until the next."""
    areas: dict[Values, Fraction] = defaultdict(Fraction)
    events: dict[Values, int] = defaultdict(int)
    for stream in {fact.stream for fact in facts}:
        level, since = Fraction(0), period.start
        for fact in sorted((each for each in facts if each.stream == stream), key=lambda each: (each.at, each.order)):
            if fact.at >= period.end or (fact.at < period.start and not asked.recurring):
                continue
            now = max(fact.at, period.start)
            areas[fact.group(names)] += level * _micros(now - since)
            since = now
            level = Fraction(fact.value) + (level if asked.value_kind == "delta" else 0)
            events[fact.group(names)] += fact.at >= period.start
        group = tuple(pair for pair in stream[1] if names is None or pair[0] in names)
        areas[group] += level * _micros(period.end - since)
    whole = _micros(period.end - period.start)
    return {group: (area / whole, events[group]) for group, area in areas.items() if area or events[group]}


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _rounded(quantity: Fraction, rounding: tuple[str, int]) -> Decimal:
    """At 12 places, half away from zero, and then as the meter rounds."""
    mode, places = rounding
    scaled = abs(quantity) * 10**12
    whole = (scaled.numerator * 2 + scaled.denominator) // (scaled.denominator * 2)
    exact = Decimal(whole if quantity >= 0 else -whole).scaleb(-12)
    return exact if mode == "none" else exact.quantize(Decimal(1).scaleb(-places), MODES[mode]) + 0
