"""Quantity × unit price, exactly."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.money import round_amount
from catalog.pricing.per_unit import PerUnit


@pytest.mark.parametrize(
    ("quantity", "unit", "unit_price", "step", "rounded"),
    [
        ("28185", "call", "0.010000000000000", "28,185 call × 0.01 = 281.85", "281.85"),
        ("22361870", "token", "0.00001", "22,361,870 token × 0.00001 = 223.6187", "223.62"),
        ("4088665", "token", "0.00002", "4,088,665 token × 0.00002 = 81.7733", "81.77"),
        ("18059974", "token", "0.000005", "18,059,974 token × 0.000005 = 90.29987", "90.30"),
        ("245896", "token", "0.00001", "245,896 token × 0.00001 = 2.45896", "2.46"),
        ("0", "token", "0.00001", "0 token × 0.00001 = 0", "0.00"),
        ("10", "GB", "5.12345", "10 GB × 5.12345 = 51.2345", "51.23"),
        ("-5", "token", "1", "-5 token × 1 = -5", "-5.00"),
        ("7", "call", "0", "7 call × 0 = 0", "0.00"),
        (
            "0.000000000001",
            "h",
            "0.000000000000001",
            "0.000000000001 h × 0.000000000000001 = 0." + "0" * 26 + "1",
            "0.00",
        ),
    ],
)
def test_the_price_of_a_quantity(quantity: str, unit: str, unit_price: str, step: str, rounded: str) -> None:
    priced = PerUnit(Decimal(unit_price)).price(Decimal(quantity), unit, 1)
    assert [str(each) for each in priced.steps] == [step]
    assert priced.unit_price == Decimal(unit_price)
    assert str(round_amount(priced.amount, "USD")) == rounded


@given(
    st.decimals(min_value=-(10**26), max_value=10**26, places=12),
    st.decimals(min_value=0, max_value=10**14, places=15),
)
def test_nothing_is_lost_and_the_last_step_ends_with_the_amount(quantity: Decimal, unit_price: Decimal) -> None:
    with localcontext(prec=5):
        priced = PerUnit(unit_price).price(quantity, "token", 1)
    with localcontext(prec=200):
        assert priced.amount == quantity * unit_price
    assert Decimal(str(priced.steps[-1]).rpartition(" = ")[2].replace(",", "")) == priced.amount
