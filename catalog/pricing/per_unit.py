"""Per unit: quantity × unit price. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import EXACT, grouped
from catalog.pricing.book import Priced, Step, Steps


@dataclass(frozen=True)
class PerUnit:
    """Every unit costs the same. A negative quantity (usage taken back) gives a negative amount."""

    unit_price: Decimal

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        amount = EXACT.multiply(quantity, self.unit_price)
        return Priced(amount, self, self.unit_price, quantity, unit, events)

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        words = f"{grouped(quantity)} {unit} × {grouped(self.unit_price)}"
        return (Step(words, quantity, self.unit_price, EXACT.multiply(quantity, self.unit_price)),)
