"""A price with some units that cost nothing. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO, grouped
from catalog.pricing.book import Priced, PriceModel, Step, Steps


@dataclass(frozen=True)
class LessIncluded:
    """The price of a quantity less `included` units. No unit price holds for all of the quantity."""

    model: PriceModel
    included: Decimal

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        paid = EXACT.subtract(quantity, self.included)
        return Priced(self.model.price(paid, unit, events).amount, self, None, quantity, unit, events)

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        included = Step(f"included: {grouped(self.included)} of {grouped(quantity)} {unit}", self.included, ZERO, ZERO)
        return (included, *self.model.steps(EXACT.subtract(quantity, self.included), unit, events))
