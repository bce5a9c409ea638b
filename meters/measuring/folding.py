"""Which combinations of dimension values are counted together once a meter has too many of them. Pure.

A combination is counted at the first of its candidates that has a series: itself, then folded forms of it, in which
values read `__other__`. A series once made stays, and a step, once taken, is not taken back until the meter is counted
anew: so the series that are there say where every event was counted, whenever and by whomever that is asked.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

from meters.measuring.counting import SeriesKey

OTHER = "__other__"


class Step(IntEnum):
    """How far one customer's combinations of a meter are folded."""

    NOTHING = 0  # said, and not done: levels must be kept apart to be added up
    NAMES = 1  # the dimensions that have too many values
    ALL = 2  # all but the kept ones, and the subscription


@dataclass(frozen=True)
class Fold:
    """`names`: the dimensions with too many values. `kept`: those whose values the meter itself gives."""

    step: Step
    names: frozenset[str]
    kept: frozenset[str]

    def candidates(self, key: SeriesKey) -> tuple[SeriesKey, ...]:
        """Where it may be counted, the first choice first; only the last may be made anew."""
        found = [key]
        if self.step >= Step.NAMES:
            found.append(folded(key, self.names))
        if self.step >= Step.ALL:
            free = frozenset(name for name, _ in key.dimensions) - self.kept
            found.append(folded(key, free)._replace(subscription=key.subscription and OTHER))
        return tuple(dict.fromkeys(found))


def folded(key: SeriesKey, names: Collection[str]) -> SeriesKey:
    """With `__other__` for the values of these dimensions; one that is absent stays absent."""
    return key._replace(dimensions=tuple((name, OTHER if name in names else value) for name, value in key.dimensions))


def too_many(keys: Collection[SeriesKey], kept: Collection[str], most: int) -> frozenset[str]:
    """The dimensions to fold so that at most `most` combinations are left: those with most values, as few as do."""
    values: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        for name, value in key.dimensions:
            if name not in kept:
                values[name].add(value)
    names: set[str] = set()
    for name in sorted(values, key=lambda each: (-len(values[each]), each)):
        names.add(name)
        if len({folded(key, names) for key in keys}) <= most:
            break
    return frozenset(names)
