"""All of a quantity at the price of the tier that holds it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.money import EXACT
from catalog.pricing.tiers import Tier
from catalog.pricing.volume import Volume
from tests.catalog.pricing_models import FEES, PRICES, QUANTITIES, VOLUME, explains_itself, same_in_pieces

TIERS = [
    Tier(Decimal(100), Decimal(2), Decimal(10)),
    Tier(Decimal(200), Decimal(1)),
    Tier(None, Decimal("0.5"), Decimal(50)),
]


@pytest.mark.parametrize(
    ("quantity", "unit_price", "steps"),
    [
        ("1", None, ["tier 1, up to 100 call: 1 call × 2 = 2", "tier 1, up to 100 call: flat fee = 10"]),
        ("100.5", "1", ["tier 2, above 100 to 200 call: 100.5 call × 1 = 100.5"]),
        ("200", "1", ["tier 2, above 100 to 200 call: 200 call × 1 = 200"]),
        ("2000", None, ["tier 3, above 200 call: 2,000 call × 0.5 = 1,000", "tier 3, above 200 call: flat fee = 50"]),
        ("0", None, ["tier 1, up to 100 call: 0 call × 2 = 0", "tier 1, up to 100 call: flat fee = 10"]),
        ("-3", None, ["tier 1, up to 100 call: -3 call × 2 = -6", "tier 1, up to 100 call: flat fee = 10"]),
    ],
)
def test_the_price_of_a_quantity(quantity: str, unit_price: str | None, steps: list[str]) -> None:
    priced = Volume(TIERS, flat_at_zero=True).price(Decimal(quantity), "call", 1)
    assert [str(step) for step in priced.steps] == steps
    assert priced.unit_price == (None if unit_price is None else Decimal(unit_price))
    assert explains_itself(priced)


def test_without_usage_a_flat_fee_is_due_where_the_charge_says_so() -> None:
    model = Volume(TIERS, flat_at_zero=False)
    assert [model.price(Decimal(each), "call", 1).amount for each in (-3, 0, 1)] == [-6, 0, 12]
    assert [str(step) for step in model.price(Decimal(0), "call", 0).steps] == [
        "tier 1, up to 100 call: 0 call × 2 = 0"
    ]


def test_a_tier_can_charge_by_started_packages() -> None:
    blocks = [Tier(Decimal(1000), Decimal(10), package=Decimal(100)), Tier(None, Decimal(1), package=Decimal(100))]
    priced = Volume(blocks, flat_at_zero=False).price(Decimal("1999.5"), "GB", 1)
    assert [str(step) for step in priced.steps] == [
        "tier 2, above 1,000 GB: 1,999.5 GB, 20 packages of 100 GB × 1 = 20"
    ]
    assert (priced.amount, priced.unit_price) == (20, None)


@given(VOLUME, QUANTITIES, st.lists(QUANTITIES, min_size=1))
def test_pieces_cost_what_the_whole_costs(model: Volume, quantity: Decimal, pieces: list[Decimal]) -> None:
    priced = model.price(quantity, "unit", 1)
    assert explains_itself(priced)
    assert same_in_pieces(model, quantity, pieces)
    assert priced.unit_price is None or EXACT.multiply(priced.unit_price, quantity) == priced.amount


@given(st.lists(PRICES, min_size=3, max_size=3), st.lists(FEES, min_size=3, max_size=3), QUANTITIES, QUANTITIES)
def test_where_no_tier_is_cheaper_than_the_one_before_more_never_costs_less(
    prices: list[Decimal], fees: list[Decimal], one: Decimal, other: Decimal
) -> None:
    bounds = [Decimal(10), Decimal(1000), None]
    rising = [Tier(*each) for each in zip(bounds, sorted(prices), sorted(fees), strict=True)]
    model = Volume(rising, flat_at_zero=True)
    lower, upper = sorted([one, other])
    assert model.price(lower, "unit", 1).amount <= model.price(upper, "unit", 1).amount
