"""Stairstep: the flat fee of the tier that holds the quantity, whatever the quantity is in it. Pure."""

from collections.abc import Sequence
from decimal import Decimal

from billing_site.foundation.money import ZERO, grouped
from catalog.pricing.book import Priced, Step, Steps
from catalog.pricing.ladder import Ladder
from catalog.pricing.tiers import Tier


class Stairstep:
    """`flat_at_zero`: the first tier's fee is due without usage, too; for charges without dimensions alone.

    Raises ValueError when a tier has a unit price.
    """

    def __init__(self, tiers: Sequence[Tier], flat_at_zero: bool) -> None:  # noqa: FBT001 - a column of the charge
        self.tiers, self.flat_at_zero = tuple(tiers), flat_at_zero
        self._ladder = Ladder(tiers)
        if any(tier.unit_price for tier in tiers):
            raise ValueError("The tiers of a stairstep have flat fees alone.")

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
