"""Volume: all of the quantity at the price of the tier that holds it, plus that tier's flat fee. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from billing_site.foundation.money import EXACT
from catalog.pricing.book import Priced, Steps
from catalog.pricing.ladder import Ladder
from catalog.pricing.tiers import Tier


@dataclass(frozen=True)
class Volume:
    """`flat_at_zero`: the first tier's flat fee is due without usage, too; for charges without dimensions alone.

    Below nothing, usage that was taken back is priced as the first tier's.
    """

    tiers: Sequence[Tier]
    flat_at_zero: bool
    _ladder: Ladder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tiers", tuple(self.tiers))
        object.__setattr__(self, "_ladder", Ladder(self.tiers))

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        """One unit price holds where the tier has neither a flat fee nor packages."""
        tier = self.tiers[self._ladder.index(quantity)]
        amount, one_price = tier.cost(quantity), None if tier.package else tier.unit_price
        if tier.flat_price and (quantity > 0 or self.flat_at_zero):
            amount, one_price = EXACT.add(amount, tier.flat_price), None
        return Priced(amount, self, one_price, quantity, unit, events)

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        index = self._ladder.index(quantity)
        step = self._ladder.step(index, quantity, unit)
        if self.tiers[index].flat_price and (quantity > 0 or self.flat_at_zero):
            return (step, self._ladder.flat_step(index, unit))
        return (step,)
