"""A share of an amount by days."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.proration import days_in_words, prorate


def test_a_share_by_days() -> None:
    assert prorate(Decimal(100), 31, 31) == 100
    assert prorate(Decimal(100), 0, 31) == 0
    assert prorate(Decimal(100), 8, 32) == 25
    assert [days_in_words(each) for each in (0, 1, 2)] == ["0 days", "1 day", "2 days"]


@pytest.mark.parametrize(("used", "full"), [(-1, 30), (31, 30), (0, 0)])
def test_days_must_be_a_part_of_the_period(used: int, full: int) -> None:
    with pytest.raises(ValueError, match=f"{used} of {full} days"):
        prorate(Decimal(1), used, full)


@given(st.decimals(min_value=0, max_value=10**15, places=4), st.integers(0, 366), st.integers(1, 366))
def test_never_more_than_the_amount_and_exact_far_beyond_any_minor_unit(amount: Decimal, used: int, more: int) -> None:
    share = prorate(amount, used, used + more)
    assert 0 <= share <= amount
    assert abs(Fraction(share) - Fraction(amount) * used / (used + more)) < Fraction(1, 10**80)
