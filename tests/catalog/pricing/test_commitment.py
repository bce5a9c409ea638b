"""A minimum that is trued up to, and a cap."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.money import round_amount
from catalog.pricing.commitment import cap_credit, prorate, true_up


@pytest.mark.parametrize(
    ("minimum", "charged", "step"),
    [
        ("100", "0", "minimum 100 − usage 0 = 100"),
        ("1000", "749.99", "minimum 1,000 − usage 749.99 = 250.01"),
        ("100", "100", "minimum 100, reached by usage of 100 = 0"),
        ("100", "1234.5", "minimum 100, reached by usage of 1,234.5 = 0"),
        ("100", "-5", "minimum 100 − usage -5 = 105"),
        ("0", "0", "minimum 0, reached by usage of 0 = 0"),
    ],
)
def test_what_is_missing_to_a_minimum(minimum: str, charged: str, step: str) -> None:
    priced = true_up(Decimal(minimum), Decimal(charged))
    assert [str(each) for each in priced.steps] == [step]
    assert [each.amount for each in priced.steps] == [priced.amount]


@pytest.mark.parametrize(
    ("cap", "charged", "step"),
    [
        ("100", "165", "cap 100 − usage 165 = -65"),
        ("100", "100", "cap 100, not reached by usage of 100 = 0"),
        ("100", "-3", "cap 100, not reached by usage of -3 = 0"),
        ("0", "7", "cap 0 − usage 7 = -7"),
    ],
)
def test_what_a_cap_takes_back(cap: str, charged: str, step: str) -> None:
    priced = cap_credit(Decimal(cap), Decimal(charged))
    assert [str(each) for each in priced.steps] == [step]
    assert [each.amount for each in priced.steps] == [priced.amount]


def test_a_part_of_a_period_has_its_part_of_the_minimum() -> None:
    minimum = prorate(Decimal(10_000), 6, 7)
    priced = true_up(minimum, Decimal("115.71"))
    assert round_amount(priced.amount, "USD") == Decimal("8455.72")
    assert [str(step) for step in priced.steps] == ["minimum 8,571.428571428571… − usage 115.71 = 8,455.718571428571…"]


CENTS = st.decimals(min_value=0, max_value=10**12, places=2)


@given(CENTS, CENTS, st.integers(1, 31))
def test_usage_and_true_up_come_to_the_rounded_minimum(full: Decimal, charged: Decimal, days: int) -> None:
    minimum = prorate(full, days, 31)
    line = round_amount(true_up(minimum, charged).amount, "USD")
    assert line >= 0
    assert charged + line == max(round_amount(minimum, "USD"), charged)


@given(CENTS, CENTS, st.integers(1, 31))
def test_usage_and_credit_come_to_no_more_than_the_rounded_cap(full: Decimal, charged: Decimal, days: int) -> None:
    cap = prorate(full, days, 31)
    line = round_amount(cap_credit(cap, charged).amount, "USD")
    assert line <= 0
    assert abs(charged + line - min(round_amount(cap, "USD"), charged)) <= Decimal("0.01")
