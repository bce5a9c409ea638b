"""Cost-plus: what each combination of dimension values costs us, plus a margin. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import EXACT, grouped
from catalog.pricing.book import Priced, Step, Steps

ONE = Decimal(1)

Costs = Callable[[Mapping[str, str]], Decimal | None]
"""The cost of one unit at a combination of dimension values; None when it is not known."""


@dataclass(frozen=True)
class CostPlus:
    """Quantity × cost × (1 + margin), for each combination of a row by its own cost; `margin` 0.2 is 20 %.

    A combination whose cost is not known has no price: the matrix gives it back as such.
    """

    margin: Decimal
    costs: Costs

    def at(self, dimensions: Mapping[str, str]) -> "Marked | None":
        cost = self.costs(dimensions)
        return None if cost is None else Marked(cost, self.margin)


@dataclass(frozen=True)
class Marked:
    """A cost marked up by a margin."""

    cost: Decimal
    margin: Decimal

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        unit_price = self._unit_price()
        return Priced(EXACT.multiply(quantity, unit_price), self, unit_price, quantity, unit, events)

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        words = f"{grouped(quantity)} {unit} × {grouped(self.cost)} cost × {grouped(EXACT.add(ONE, self.margin))}"
        unit_price = self._unit_price()
        return (Step(words, quantity, unit_price, EXACT.multiply(quantity, unit_price)),)

    def _unit_price(self) -> Decimal:
        return EXACT.multiply(self.cost, EXACT.add(ONE, self.margin))
