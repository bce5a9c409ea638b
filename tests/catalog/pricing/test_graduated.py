"""Each tier's share of a quantity at its own price."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.graduated import Graduated
from catalog.pricing.tiers import Tier
from tests.catalog.pricing_models import GRADUATED, QUANTITIES, explains_itself, same_in_pieces

TIERS = [
    Tier(Decimal(10), Decimal(10), Decimal(2)),
    Tier(Decimal(20), Decimal(5), Decimal(3)),
    Tier(None, Decimal(5), Decimal(3)),
]


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [("0", "2"), ("1", "12"), ("10", "102"), ("10.5", "107.5"), ("11", "110"), ("20", "155"), ("21", "163")],
)
def test_the_price_of_a_quantity(quantity: str, amount: str) -> None:
    priced = Graduated(TIERS, flat_at_zero=True).price(Decimal(quantity), "call", 1)
    assert priced.amount == Decimal(amount)
    assert priced.unit_price is None


def test_it_is_explained_tier_by_tier() -> None:
    priced = Graduated(TIERS, flat_at_zero=True).price(Decimal(1021), "call", 1)
    assert [str(step) for step in priced.steps] == [
        "tier 1, up to 10 call: 10 call × 10 = 100",
        "tier 1, up to 10 call: flat fee = 2",
        "tier 2, above 10 to 20 call: 10 call × 5 = 50",
        "tier 2, above 10 to 20 call: flat fee = 3",
        "tier 3, above 20 call: 1,001 call × 5 = 5,005",
        "tier 3, above 20 call: flat fee = 3",
    ]


def test_without_usage_a_flat_fee_is_due_where_the_charge_says_so() -> None:
    nothing = Graduated(TIERS, flat_at_zero=False).price(Decimal(0), "call", 0)
    assert [str(step) for step in nothing.steps] == ["tier 1, up to 10 call: 0 call × 10 = 0"]
    taken_back = [Graduated(TIERS, flat_at_zero=flag).price(Decimal(-3), "call", 1) for flag in (False, True)]
    assert [priced.amount for priced in taken_back] == [-30, -28]
    assert [str(step) for step in taken_back[1].steps] == [
        "tier 1, up to 10 call: -3 call × 10 = -30",
        "tier 1, up to 10 call: flat fee = 2",
    ]


def test_a_tier_can_charge_by_started_packages() -> None:
    blocks = [Tier(Decimal(1000), Decimal(1), package=Decimal(100)), Tier(None, Decimal(1), package=Decimal(1000))]
    priced = Graduated(blocks, flat_at_zero=False).price(Decimal(5325), "GB", 1)
    assert [str(step) for step in priced.steps] == [
        "tier 1, up to 1,000 GB: 1,000 GB, 10 packages of 100 GB × 1 = 10",
        "tier 2, above 1,000 GB: 4,325 GB, 5 packages of 1,000 GB × 1 = 5",
    ]
    assert priced.amount == 15


@given(GRADUATED, QUANTITIES, st.lists(QUANTITIES, min_size=1))
def test_more_never_costs_less_and_pieces_cost_what_the_whole_costs(
    model: Graduated, quantity: Decimal, pieces: list[Decimal]
) -> None:
    priced = model.price(quantity, "unit", 1)
    assert explains_itself(priced)
    end = quantity + sum(pieces, Decimal(0))
    after = model.price(end, "unit", 1).amount
    assert same_in_pieces(model, quantity, pieces)
    assert (after >= priced.amount) if end >= quantity else (after <= priced.amount)
