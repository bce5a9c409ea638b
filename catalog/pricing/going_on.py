"""The price of usage that comes on top of earlier usage of the same row, at a price that may be another. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from billing_site.foundation.money import EXACT, ZERO, grouped
from catalog.pricing.book import Priced, PriceModel, Step, Steps


class Before(NamedTuple):
    """What was paid of a row in the parts of a period before this one: units, less those included, and events."""

    quantity: Decimal = ZERO
    events: int = 0


@dataclass(frozen=True)
class GoingOn:
    """price(total after) − price(total before): tiers go on, and flat fees and packages are not due again.

    Where the price is the same before and after, the parts come to what the whole would, for every model.
    """

    model: PriceModel
    before: Before

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        """One unit price holds where it is the same for the total before and the total after."""
        earlier, together = self._both(quantity, unit, events)
        one_price = together.unit_price if together.unit_price == earlier.unit_price else None
        amount = EXACT.subtract(together.amount, earlier.amount)
        return Priced(amount, self, one_price, quantity, unit, events)

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        priced = self.price(quantity, unit, events)
        if priced.unit_price is not None:
            words = f"{grouped(quantity)} {unit} × {grouped(priced.unit_price)}"
            return (Step(words, quantity, priced.unit_price, priced.amount),)
        earlier, together = self._both(quantity, unit, events)
        words = f"less what the {grouped(self.before.quantity)} {unit} before it come to at this price"
        return (*together.steps, Step(words, None, None, earlier.amount.copy_negate()))

    def _both(self, quantity: Decimal, unit: str, events: int) -> tuple[Priced, Priced]:
        earlier = self.model.price(self.before.quantity, unit, self.before.events)
        total = EXACT.add(self.before.quantity, quantity)
        return earlier, self.model.price(total, unit, self.before.events + events)
