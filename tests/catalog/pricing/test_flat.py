"""A fee by the days of its period."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.money import round_amount
from catalog.pricing.flat import price_fee


@pytest.mark.parametrize(
    ("fee", "used", "full", "step", "rounded"),
    [
        ("20", 31, 31, "the fee of the full period = 20", "20.00"),
        ("20.0000", 13, 31, "20 × 13 days ÷ 31 days = 8.387096774193…", "8.39"),
        ("31", 1, 31, "31 × 1 day ÷ 31 days = 1", "1.00"),
        ("1234.5", 15, 30, "1,234.5 × 15 days ÷ 30 days = 617.25", "617.25"),
        ("99.99", 0, 30, "99.99 × 0 days ÷ 30 days = 0", "0.00"),
        ("0", 10, 30, "0 × 10 days ÷ 30 days = 0", "0.00"),
        ("10", 2, 3, "10 × 2 days ÷ 3 days = 6.666666666666…", "6.67"),
        ("0.01", 1, 2, "0.01 × 1 day ÷ 2 days = 0.005", "0.01"),
        ("30000", 1, 7, "30,000 × 1 day ÷ 7 days = 4,285.714285714285…", "4285.71"),
    ],
)
def test_the_fee_of_some_days(fee: str, used: int, full: int, step: str, rounded: str) -> None:
    priced = price_fee(Decimal(fee), used, full)
    assert [str(each) for each in priced.steps] == [step]
    assert priced.unit_price == Decimal(fee)
    assert str(round_amount(priced.amount, "USD")) == rounded


@pytest.mark.parametrize(("used", "full"), [(-1, 30), (31, 30), (0, 0), (1, 0)])
def test_days_must_be_a_part_of_the_period(used: int, full: int) -> None:
    with pytest.raises(ValueError, match=f"{used} of {full} days"):
        price_fee(Decimal(10), used, full)


FEES = st.decimals(min_value=0, max_value=10**15, places=4)
DAYS = st.integers(1, 366).flatmap(lambda full: st.tuples(st.integers(0, full), st.just(full)))


@given(FEES, DAYS, st.sampled_from(["JPY", "USD", "KWD"]))
def test_one_rounding_of_the_exact_fraction_and_never_more_than_the_fee(
    fee: Decimal, days: tuple[int, int], currency: str
) -> None:
    used, full = days
    priced = price_fee(fee, used, full)
    assert 0 <= priced.amount <= fee
    exact = Fraction(fee) * used / full
    rounded = round_amount(priced.amount, currency)
    unit = Fraction(1, 10 ** -int(rounded.as_tuple().exponent))
    assert Fraction(rounded) == unit * ((exact / unit + Fraction(1, 2)) // 1)


@given(FEES, DAYS)
def test_the_last_step_ends_with_the_amount(fee: Decimal, days: tuple[int, int]) -> None:
    priced = price_fee(fee, *days)
    text = str(priced.steps[-1]).rpartition(" = ")[2].replace(",", "")
    shown = Decimal(text.removesuffix("…"))
    assert shown < priced.amount < shown + Decimal("1e-12") if text.endswith("…") else shown == priced.amount
