"""Per unit: quantity × unit price. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from billing_site.foundation.money import EXACT, grouped
from catalog.pricing.book import Priced, Step


@dataclass(frozen=True)
class PerUnit:
    """Every unit costs the same. A negative quantity (usage taken back) gives a negative amount."""

    unit_price: Decimal

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        amount = EXACT.multiply(quantity, self.unit_price)
        return Priced(amount, partial(self._steps, quantity, unit, amount), self.unit_price)

    def _steps(self, quantity: Decimal, unit: str, amount: Decimal) -> tuple[Step]:
        words = f"{grouped(quantity)} {unit} × {grouped(self.unit_price)}"
        return (Step(words, quantity, self.unit_price, amount),)
