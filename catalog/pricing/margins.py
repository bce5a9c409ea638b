"""What a price earns over what a unit costs. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO, grouped
from catalog.pricing.price import Model, Price

HUNDRED, ONE = Decimal(100), Decimal(1)


@dataclass(frozen=True)
class RowMargin:
    """What a row earns on one model and token type: its least price of a unit, and what that unit costs, in USD.

    `row`: counted from 0. `model` as usage names it. `at`: all the values for which it is, for people. `when` it costs
    that, in words; empty: always. `endless`: one amount is for any quantity, so that further units cost nothing.
    `within`: of which quantities the least price is, in words; empty: of all. `field`: where in the price it stands.
    """

    row: int
    model: str
    token_type: str
    at: str
    unit_price: Decimal
    cost: Decimal
    when: str = ""
    endless: bool = False
    within: str = ""
    field: str = ""

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
    """The least that one more unit can cost somebody at this price; None where that cannot be said.

    Free units and allowances are left out: they are given away on purpose. A flat amount, and the last tier of a
    stairstep, are for any quantity: one more unit is for nothing. A percentage is a price of a unit, unless there is a
    fixed fee for each event, of which nobody knows how many units it has.
    """
    if price.model == Model.COST_PLUS and price.percent is not None:
        return EXACT.multiply(cost, EXACT.add(ONE, EXACT.divide(price.percent, HUNDRED)))
    return min(_unit_prices(price), default=None)


def least_place(price: Price) -> tuple[str, str]:
    """Of which quantities the least price of a unit is, in words (“above 1,000”; empty: of all), and its field."""
    if price.model not in (Model.GRADUATED, Model.VOLUME) or not price.tiers:
        return "", price.used()[0]
    prices = list(_unit_prices(price))
    cheapest = prices.index(min(prices))
    return tier_bounds(price, cheapest), f"tiers.{cheapest}.unit_price"


def tier_bounds(price: Price, index: int) -> str:
    """The quantities of a tier in words: “up to 10”, “above 10 and up to 20”, “above 20”; empty: it is the only one."""
    lower = price.tiers[index - 1].up_to if index else None
    upper = price.tiers[index].up_to
    bounds = [f"above {grouped(lower)}"] if lower is not None else []
    return " and ".join([*bounds, *([f"up to {grouped(upper)}"] if upper is not None else [])])


def comparable(one: Price, other: Price) -> tuple[Decimal, Decimal] | None:
    """Two prices as two numbers of the same: the least of a unit, an amount, a factor of cost; None: they are not."""
    if Model.COST_PLUS in (one.model, other.model):
        return _both(one, other) if one.model == other.model else None
    if one.model == other.model == Model.FLAT:
        return None if one.unit_price is None or other.unit_price is None else (one.unit_price, other.unit_price)
    return None if is_endless(one) or is_endless(other) else _both(one, other)


def _both(one: Price, other: Price) -> tuple[Decimal, Decimal] | None:
    mine, theirs = least_unit_price(one, ONE), least_unit_price(other, ONE)
    return None if mine is None or theirs is None else (mine, theirs)


def is_endless(price: Price) -> bool:
    """Whether one amount is for any quantity, however large."""
    return price.model in (Model.FLAT, Model.STAIRSTEP)


def is_by_event(price: Price) -> bool:
    """Whether each event pays something, however many units it has."""
    return price.model == Model.PERCENTAGE and bool(price.fixed)


def _unit_prices(price: Price) -> Iterator[Decimal]:
    if price.model == Model.PER_UNIT and price.unit_price is not None:
        yield price.unit_price
    elif price.model == Model.PACKAGE and price.unit_price is not None and price.size:
        yield EXACT.divide(price.unit_price, price.size)
    elif price.model == Model.PERCENTAGE and price.percent is not None and not is_by_event(price):
        yield EXACT.divide(price.percent, HUNDRED)
    elif is_endless(price):
        yield ZERO
    elif price.model in (Model.GRADUATED, Model.VOLUME):
        for tier in price.tiers:
            yield tier.unit_price if not tier.package else EXACT.divide(tier.unit_price, tier.package)
