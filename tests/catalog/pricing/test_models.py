"""What is written becomes what computes."""

from decimal import Decimal

import pytest

from catalog.pricing.book import PriceModel, PricesEach
from catalog.pricing.cost_plus import CostPlus
from catalog.pricing.graduated import Graduated
from catalog.pricing.models import UnknownCosts, computing
from catalog.pricing.package import Package
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.percentage import Percentage
from catalog.pricing.price import Model, Price
from catalog.pricing.stairstep import Stairstep
from catalog.pricing.tiers import Tier
from catalog.pricing.volume import Volume

TIERS = (Tier(Decimal(10), Decimal(2), Decimal(3)), Tier(None, Decimal(1)))
STEPS = (Tier(Decimal(10), flat_price=Decimal(3)), Tier(None, flat_price=Decimal(5)))
ONE, TWO, THREE = Decimal(1), Decimal(2), Decimal(3)


@pytest.mark.parametrize(
    ("price", "model"),
    [
        (Price(unit_price=TWO), PerUnit(TWO)),
        (Price(Model.PACKAGE, unit_price=TWO, size=Decimal(10), free=ONE), Package(Decimal(10), TWO, ONE)),
        (Price(Model.GRADUATED, tiers=TIERS), Graduated(TIERS, flat_at_zero=True)),
        (Price(Model.VOLUME, tiers=TIERS, flat_at_zero=False), Volume(TIERS, flat_at_zero=False)),
        (Price(Model.STAIRSTEP, tiers=STEPS), Stairstep(STEPS, flat_at_zero=True)),
        (
            Price(Model.PERCENTAGE, percent=Decimal("2.9"), fixed=ONE, free=TWO, free_events=3),
            Percentage(Decimal("0.029"), ONE, TWO, 3),
        ),
        (Price(Model.FLAT, unit_price=TWO), Stairstep([Tier(None, flat_price=TWO)], flat_at_zero=False)),
        (Price(Model.COST_PLUS, percent=Decimal(20)), CostPlus(Decimal("0.2"), UnknownCosts())),
    ],
)
def test_each_price_has_its_model(price: Price, model: PriceModel | PricesEach) -> None:
    assert computing(price) == model


@pytest.mark.parametrize("model", [Model.GRADUATED, Model.VOLUME, Model.STAIRSTEP])
def test_a_row_of_a_charge_with_dimensions_owes_nothing_without_usage(model: Model) -> None:
    price = Price(model, tiers=STEPS)
    alone, row = computing(price), computing(price, dimensions=True)
    assert not isinstance(alone, PricesEach)
    assert not isinstance(row, PricesEach)
    assert [each.price(Decimal(0), "call", 0).amount for each in (alone, row)] == [3, 0]
    assert [each.price(ONE, "call", 1).amount for each in (alone, row)] == [3, 3]


def test_costs_that_nobody_has_looked_up_are_not_known() -> None:
    model = computing(Price(Model.COST_PLUS, percent=Decimal(20)))
    assert isinstance(model, PricesEach)
    assert model.at({"model": "a"}) is None


def test_a_price_that_lacks_a_figure_is_no_model() -> None:
    with pytest.raises(ValueError, match="lacks a figure"):
        computing(Price())
