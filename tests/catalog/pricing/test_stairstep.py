"""The fee of the tier that holds a quantity."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.stairstep import Stairstep
from catalog.pricing.tiers import Tier
from tests.catalog.pricing_models import FEES, QUANTITIES, STAIRSTEPS, explains_itself, same_in_pieces

TIERS = [Tier(Decimal(5), flat_price=Decimal(100)), Tier(None, flat_price=Decimal(150))]


@pytest.mark.parametrize(
    ("quantity", "step"),
    [
        ("3", "3 seat in tier 1, up to 5 seat: flat fee = 100"),
        ("5", "5 seat in tier 1, up to 5 seat: flat fee = 100"),
        ("5.1", "5.1 seat in tier 2, above 5 seat: flat fee = 150"),
        ("0", "0 seat in tier 1, up to 5 seat: flat fee = 100"),
        ("-1", "-1 seat in tier 1, up to 5 seat: flat fee = 100"),
    ],
)
def test_the_price_of_a_quantity(quantity: str, step: str) -> None:
    priced = Stairstep(TIERS, flat_at_zero=True).price(Decimal(quantity), "seat", 1)
    assert [str(each) for each in priced.steps] == [step]
    assert priced.unit_price is None


def test_without_usage_a_fee_is_due_where_the_charge_says_so() -> None:
    model = Stairstep(TIERS, flat_at_zero=False)
    assert [model.price(Decimal(each), "seat", 1).amount for each in (-1, 0, 1)] == [0, 0, 100]
    assert [str(step) for step in model.price(Decimal(-1), "seat", 1).steps] == ["-1 seat: no tier is entered = 0"]


def test_a_unit_price_is_refused() -> None:
    with pytest.raises(ValueError, match="flat fees alone"):
        Stairstep([Tier(None, Decimal(1), Decimal(1))], flat_at_zero=False)


@given(STAIRSTEPS, QUANTITIES, st.lists(QUANTITIES, min_size=1))
def test_pieces_cost_what_the_whole_costs(model: Stairstep, quantity: Decimal, pieces: list[Decimal]) -> None:
    priced = model.price(quantity, "unit", 1)
    assert explains_itself(priced)
    assert same_in_pieces(model, quantity, pieces)


@given(st.lists(FEES, min_size=2, max_size=2), QUANTITIES, QUANTITIES, st.booleans())
def test_where_fees_rise_more_never_costs_less(fees: list[Decimal], one: Decimal, other: Decimal, flag: bool) -> None:
    low, high = sorted(fees)
    model = Stairstep([Tier(Decimal(1000), flat_price=low), Tier(None, flat_price=high)], flag)
    lower, upper = sorted([one, other])
    assert model.price(lower, "unit", 1).amount <= model.price(upper, "unit", 1).amount
