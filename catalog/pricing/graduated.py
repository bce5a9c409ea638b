"""Graduated: each tier's share of the quantity at that tier's price, plus its flat fee once it is entered. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO
from catalog.pricing.book import Priced, Step, Steps
from catalog.pricing.ladder import Ladder
from catalog.pricing.tiers import Tier


@dataclass(frozen=True)
class Graduated:
    """`flat_at_zero`: the first tier's flat fee is due without usage, too; for charges without dimensions alone.

    Below nothing, usage that was taken back is priced as the first tier's.
    """

    tiers: Sequence[Tier]
    flat_at_zero: bool
    _ladder: Ladder = field(init=False, repr=False, compare=False)
    _entered: Sequence[Decimal] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", tuple(self.tiers))
        object.__setattr__(self, "_ladder", Ladder(self.tiers))
        object.__setattr__(self, "_entered", tuple(self._full_tiers()))

    def _full_tiers(self) -> Iterator[Decimal]:
        """For each tier: what all tiers before it come to, and its own flat fee."""
        before = ZERO
        for tier, lower in zip(self.tiers, self._ladder.lower, strict=True):
            before = EXACT.add(before, tier.flat_price)
            yield before
            if tier.up_to is not None:
                before = EXACT.add(before, tier.cost(EXACT.subtract(tier.up_to, lower)))

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        index = self._ladder.index(quantity)
        cost = self.tiers[index].cost(EXACT.subtract(quantity, self._ladder.lower[index]))
        entered = self._entered[index] if quantity > 0 or self.flat_at_zero else ZERO
        return Priced(EXACT.add(entered, cost), self, None, quantity, unit, events)

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        return tuple(self._each_step(quantity, unit))

    def _each_step(self, quantity: Decimal, unit: str) -> Iterator[Step]:
        last = self._ladder.index(quantity)
        for index, lower in enumerate(self._ladder.lower[: last + 1]):
            tier = self.tiers[index]
            upper = quantity if index == last or tier.up_to is None else tier.up_to
            yield self._ladder.step(index, EXACT.subtract(upper, lower), unit)
            if tier.flat_price and (quantity > 0 or self.flat_at_zero):
                yield self._ladder.flat_step(index, unit)
