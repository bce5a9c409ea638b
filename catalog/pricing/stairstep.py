"""Stairstep: the flat fee of the tier that holds the quantity, whatever the quantity is in it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from billing_site.foundation.money import ZERO, grouped
from catalog.pricing.book import Priced, Step, Steps
from catalog.pricing.ladder import Ladder
from catalog.pricing.tiers import Tier


@dataclass(frozen=True)
class Stairstep:
    """`flat_at_zero`: the first tier's fee is due without usage, too; for charges without dimensions alone.

    Raises ValueError when a tier has a unit price.
    """

    tiers: Sequence[Tier]
    flat_at_zero: bool
    _ladder: Ladder = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if any(tier.unit_price for tier in self.tiers):
            raise ValueError("The tiers of a stairstep have flat fees alone.")
        object.__setattr__(self, "tiers", tuple(self.tiers))
        object.__setattr__(self, "_ladder", Ladder(self.tiers))

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        index = self._ladder.index(quantity)
        amount = self.tiers[index].flat_price if quantity > 0 or self.flat_at_zero else ZERO
        return Priced(amount, self, None, quantity, unit, events)

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        if quantity <= 0 and not self.flat_at_zero:
            return (Step(f"{grouped(quantity)} {unit}: no tier is entered", quantity, None, ZERO),)
        index = self._ladder.index(quantity)
        words = f"{grouped(quantity)} {unit} in {self._ladder.name(index, unit)}: flat fee"
        return (Step(words, quantity, None, self.tiers[index].flat_price),)
