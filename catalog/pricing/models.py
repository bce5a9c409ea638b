"""What is written becomes what computes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import ZERO
from catalog.pricing.book import PriceModel, PricesEach
from catalog.pricing.cost_plus import CostPlus
from catalog.pricing.graduated import Graduated
from catalog.pricing.package import Package
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.percentage import Percentage
from catalog.pricing.price import Model, Price
from catalog.pricing.stairstep import Stairstep
from catalog.pricing.tiers import Tier
from catalog.pricing.volume import Volume

_TIERED: Mapping[Model, type[Graduated] | type[Volume] | type[Stairstep]] = {
    Model.GRADUATED: Graduated,
    Model.VOLUME: Volume,
    Model.STAIRSTEP: Stairstep,
}


@dataclass(frozen=True)
class UnknownCosts:
    """Costs that nobody has looked up: every combination is one whose cost is not known."""

    def __call__(self, dimensions: Mapping[str, str]) -> Decimal | None:
        return None


def computing(price: Price, *, dimensions: bool = False) -> PriceModel | PricesEach:
    """The model that computes a price without faults. One by cost knows no costs yet: see `CostPlus.costs`.

    `dimensions`: the row is of a charge that has some, so it owes nothing without usage, whatever the price says.
    """
    match price.model:
        case Model.PER_UNIT:
            return PerUnit(_given(price.unit_price))
        case Model.PACKAGE:
            return Package(_given(price.size), _given(price.unit_price), price.free)
        case Model.PERCENTAGE:
            return Percentage(_fraction(price.percent), price.fixed, price.free, price.free_events)
        case Model.FLAT:
            return Stairstep([Tier(None, ZERO, _given(price.unit_price))], flat_at_zero=False)
        case Model.COST_PLUS:
            return CostPlus(_fraction(price.percent), UnknownCosts())
        case _:
            return _TIERED[price.model](price.tiers, price.flat_at_zero and not dimensions)


def _given(figure: Decimal | None) -> Decimal:
    if figure is None:
        raise ValueError("The price lacks a figure that its model needs.")
    return figure


def _fraction(percent: Decimal | None) -> Decimal:
    return _given(percent).scaleb(-2)
