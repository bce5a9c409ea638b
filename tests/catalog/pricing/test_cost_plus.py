"""What a combination costs, plus a margin."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given

from catalog.pricing.cost_plus import CostPlus, Marked
from tests.catalog.pricing_models import PRICES, QUANTITIES, explains_itself

COSTS = {("gpt", "input"): Decimal("0.0000025"), ("gpt", "output"): Decimal("0.00001")}


def test_each_combination_has_a_price_of_its_own() -> None:
    model = CostPlus(Decimal("0.2"), lambda values: COSTS.get((values["model"], values["token_type"])))
    marked = model.at({"model": "gpt", "token_type": "output"})
    assert marked is not None
    priced = marked.price(Decimal(2_000_000), "token", 3)
    assert [str(step) for step in priced.steps] == ["2,000,000 token × 0.00001 cost × 1.2 = 24"]
    assert priced.unit_price == Decimal("0.000012")
    assert model.at({"model": "new", "token_type": "output"}) is None


@pytest.mark.parametrize(("margin", "amount"), [("0", "10"), ("-0.5", "5"), ("1", "20")])
def test_a_margin(margin: str, amount: str) -> None:
    assert Marked(Decimal(2), Decimal(margin)).price(Decimal(5), "token", 1).amount == Decimal(amount)


@given(PRICES, PRICES, QUANTITIES)
def test_it_is_the_cost_and_the_margin_on_it_exactly(cost: Decimal, margin: Decimal, quantity: Decimal) -> None:
    priced = Marked(cost, margin).price(quantity, "token", 1)
    assert explains_itself(priced)
    with localcontext(prec=200):
        assert priced.amount == quantity * cost + quantity * cost * margin
