"""What a price earns over what a unit costs. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import EXACT
from catalog.pricing.price import Model, Price

HUNDRED, ONE = Decimal(100), Decimal(1)


@dataclass(frozen=True)
class RowMargin:
    """What a row earns on one model and token type: its least price of a unit, and what that unit costs, in USD.

    `row`: counted from 0. `model` as usage names it. `at`: all the values for which it is, for people.
    """

    row: int
    model: str
    token_type: str
    at: str
    unit_price: Decimal
    cost: Decimal

    @property
    def percent(self) -> Decimal | None:
        """The price above cost, in percent of it; None: it costs nothing."""
        if not self.cost:
            return None
        return EXACT.multiply(EXACT.subtract(EXACT.divide(self.unit_price, self.cost), ONE), HUNDRED)

    def least(self, floor: Decimal) -> Decimal:
        """What a unit has to cost at a margin of `floor` percent."""
        return EXACT.multiply(self.cost, EXACT.add(ONE, EXACT.divide(floor, HUNDRED)))

    def keeps(self, floor: Decimal) -> bool:
        return self.unit_price >= self.least(floor)


def least_unit_price(price: Price, cost: Decimal) -> Decimal | None:
    """The least that one more unit can cost somebody at this price; None where units have no price.

    Free units and allowances are left out: they are given away on purpose. A percentage, a stairstep and a flat amount
    have no price of a unit.
    """
    if price.model == Model.COST_PLUS and price.percent is not None:
        return EXACT.multiply(cost, EXACT.add(ONE, EXACT.divide(price.percent, HUNDRED)))
    return min(_unit_prices(price), default=None)


def _unit_prices(price: Price) -> Iterator[Decimal]:
    if price.model == Model.PER_UNIT and price.unit_price is not None:
        yield price.unit_price
    elif price.model == Model.PACKAGE and price.unit_price is not None and price.size:
        yield EXACT.divide(price.unit_price, price.size)
    elif price.model in (Model.GRADUATED, Model.VOLUME):
        for tier in price.tiers:
            yield tier.unit_price if not tier.package else EXACT.divide(tier.unit_price, tier.package)
