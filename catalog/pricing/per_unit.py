"""Per unit: quantity × unit price. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import EXACT, grouped
from catalog.pricing.book import Priced


@dataclass(frozen=True)
class PerUnit:
    """Every unit costs the same. A negative quantity (usage taken back) gives a negative amount."""

    unit_price: Decimal

    def price(self, quantity: Decimal, unit: str) -> Priced:
        amount = EXACT.multiply(quantity, self.unit_price)
        step = f"{grouped(quantity)} {unit} × {grouped(self.unit_price)} = {grouped(amount)}"
        return Priced(amount, (step,), self.unit_price)
