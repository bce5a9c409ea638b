"""Quantities by customer, period and dimension: the only reader of buckets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.periods import Period


@dataclass(frozen=True)
class Window:
    """What to read: one meter's usage by some customer references in a period.

    `subscription` empty: all events, but for those that name one of `named_elsewhere`. Not empty: only events that name it.
    """

    key: int
    customers: tuple[str, ...]
    meter: int
    period: Period
    subscription: str = ""
    named_elsewhere: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Usage:
    """A quantity, in the meter's unit, at one combination of dimension values."""

    dimensions: Mapping[str, str]
    quantity: Decimal
    events: int


def read(windows: Sequence[Window]) -> dict[int, list[Usage]]:
    """Usage of every window, by its key, ordered by dimension values. The number of queries does not grow with the windows.

    Whole UTC hours come from buckets; the part of an hour at a bound comes from the raw events of that hour.
    """
    raise NotImplementedError
