"""Packages, each paid for once it is started."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.package import Package, in_packages, started
from tests.catalog.pricing_models import PACKAGES, QUANTITIES, explains_itself, same_in_pieces


@pytest.mark.parametrize(
    ("quantity", "free", "step"),
    [
        ("1500000", "0", "1,500,000 token, 2 packages of 1,000,000 token × 1.25 = 2.5"),
        ("1000000", "0", "1,000,000 token, 1 package of 1,000,000 token × 1.25 = 1.25"),
        ("1000000.000000000001", "0", "1,000,000.000000000001 token, 2 packages of 1,000,000 token × 1.25 = 2.5"),
        ("0", "0", "0 token, 0 packages of 1,000,000 token × 1.25 = 0"),
        ("-5", "0", "-5 token, 0 packages of 1,000,000 token × 1.25 = 0"),
        ("100", "100", "100 token − 100 free, 0 packages of 1,000,000 token × 1.25 = 0"),
        ("101", "100", "101 token − 100 free, 1 package of 1,000,000 token × 1.25 = 1.25"),
    ],
)
def test_the_price_of_a_quantity(quantity: str, free: str, step: str) -> None:
    priced = Package(Decimal(1_000_000), Decimal("1.25"), Decimal(free)).price(Decimal(quantity), "token", 1)
    assert [str(each) for each in priced.steps] == [step]
    assert priced.unit_price is None
    assert explains_itself(priced)


def test_a_package_without_an_end_is_not_rounded_on_the_way() -> None:
    with localcontext(prec=3):
        assert started(Decimal(1000000), Decimal(3)) == 333_334
        assert started(Decimal(999999), Decimal(3)) == 333_333
    assert in_packages(Decimal(4), Decimal(3), "GB") == "2 packages of 3 GB"


@given(PACKAGES, QUANTITIES, st.lists(QUANTITIES, min_size=1))
def test_more_never_costs_less_and_pieces_cost_what_the_whole_costs(
    model: Package, quantity: Decimal, pieces: list[Decimal]
) -> None:
    priced = model.price(quantity, "unit", 1)
    assert explains_itself(priced)
    end = quantity + sum(pieces, Decimal(0))
    after = model.price(end, "unit", 1).amount
    assert same_in_pieces(model, quantity, pieces)
    assert (after >= priced.amount) if end >= quantity else (after <= priced.amount)
