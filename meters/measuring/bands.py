"""Context bands: a dimension that says how large one request was, by thresholds on a sum of its properties. Pure.

Bands are half-open, (lower, upper], as the tiers of a price are; the first begins at zero and holds it, the last is
open. Their names are what a price row is written by: thresholds 200000 and 1000000 give “0-200000”, “200000-1000000”
and “1000000+”.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any

from billing_site.foundation.money import EXACT, ZERO, plain
from meters.events.values import as_number, lookup


@dataclass(frozen=True)
class Band:
    """A derived dimension: `name`, the properties that are added up, and thresholds, each greater than the last."""

    name: str
    properties: tuple[str, ...]
    thresholds: tuple[Decimal, ...]
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", band_names(self.thresholds))

    def value(self, properties: Mapping[str, Any]) -> str | None:
        """The name of the band in which the event lies.

        A property that is missing adds nothing. None, which only `*` matches, when all are missing, when one is no
        number, and when the sum is less than zero.
        """
        total = None
        for name in self.properties:
            given = lookup(properties, name)
            if given is None:
                continue
            number = as_number(given)
            if number is None:
                return None
            total = number if total is None else EXACT.add(total, number)
        if total is None or total < ZERO:
            return None
        return self.names[bisect_left(self.thresholds, total)]


def band_names(thresholds: Sequence[Decimal]) -> tuple[str, ...]:
    """What the bands between so many thresholds are called, one more than there are thresholds."""
    bounds = ["0", *(plain(each) for each in thresholds)]
    return (*(f"{lower}-{upper}" for lower, upper in pairwise(bounds)), f"{bounds[-1]}+")
