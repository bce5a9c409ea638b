"""How the quantities of events fold into one number, and partial numbers into a whole. Pure.

Folding and merging must not depend on order or grouping: a bucket holds what was folded so far, and buckets are merged
on reading.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from billing_site.foundation.money import EXACT, ZERO


class Aggregation(Protocol):
    """One way to make a quantity of many events."""

    @property
    def key(self) -> str:
        """The name under which a meter asks for it."""

    @property
    def takes_values(self) -> bool:
        """Whether a meter may name properties that hold the value."""

    @property
    def absent(self) -> Decimal | None:
        """What an event without a value of its own stands for; None: nothing, the event is not counted."""

    def start(self) -> Decimal:
        """The state before any event."""

    def fold(self, state: Decimal, value: Decimal) -> Decimal:
        """The state after one more event."""

    def merge(self, state: Decimal, other: Decimal) -> Decimal:
        """The state of two disjoint sets of events."""

    def quantity(self, state: Decimal) -> Decimal:
        """The quantity, in the meter's unit."""


@dataclass(frozen=True)
class Additive:
    """Quantities that add up: merging is adding, so the database may add them too."""

    key: str
    takes_values: bool
    absent: Decimal | None

    def start(self) -> Decimal:
        return ZERO

    def fold(self, state: Decimal, value: Decimal) -> Decimal:
        return EXACT.add(state, value)

    def merge(self, state: Decimal, other: Decimal) -> Decimal:
        return EXACT.add(state, other)

    def quantity(self, state: Decimal) -> Decimal:
        return state


COUNT = Additive("count", takes_values=False, absent=Decimal(1))
SUM = Additive("sum", takes_values=True, absent=None)
AGGREGATIONS: dict[str, Aggregation] = {aggregation.key: aggregation for aggregation in (COUNT, SUM)}


def total(aggregation: Aggregation, values: Iterable[Decimal]) -> Decimal:
    """The quantity of all `values`."""
    state = aggregation.start()
    for value in values:
        state = aggregation.fold(state, value)
    return aggregation.quantity(state)
