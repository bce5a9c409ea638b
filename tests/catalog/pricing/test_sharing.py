"""A row's rounded amount over its combinations."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.money import round_to
from catalog.pricing.sharing import share


@pytest.mark.parametrize(
    ("amount", "weights", "places", "parts"),
    [
        ("0.02", "0.006 0.006 0.006", 2, "0.01 0.01 0.00"),
        ("51.23", "51.2345", 2, "51.23"),
        ("10", "1 2 4", 0, "1 3 6"),
        ("2.00", "3 -1", 2, "3.00 -1.00"),
        ("0.01", "0.006 -0.001 0.006", 2, "0.01 0.00 0.00"),
        ("-0.01", "0.001 -0.006 -0.006", 2, "0.00 -0.01 0.00"),
        ("-2.00", "-1.5 -0.5", 2, "-1.50 -0.50"),
        ("0.00", "1 -1", 2, "1.00 -1.00"),
        ("0.00", "0 0", 2, "0.00 0.00"),
        ("0.99", "1 0 -0.01", 2, "1.00 0.00 -0.01"),
    ],
)
def test_shares(amount: str, weights: str, places: int, parts: str) -> None:
    shares = share(Decimal(amount), [Decimal(weight) for weight in weights.split()], places)
    assert [str(part) for part in shares] == parts.split()


def test_nothing_cannot_share() -> None:
    with pytest.raises(ValueError, match="no parts"):
        share(Decimal(1), [], 2)
    with pytest.raises(ValueError, match="more than 2 decimals"):
        share(Decimal("0.001"), [Decimal(1)], 2)


WEIGHTS = st.lists(st.decimals(min_value=-(10**20), max_value=10**20, places=8), min_size=1, max_size=20)


@given(WEIGHTS, st.integers(0, 3))
def test_shares_add_up_and_none_turns_its_sign(weights: list[Decimal], places: int) -> None:
    with localcontext(prec=200):
        amount = round_to(sum(weights, Decimal(0)), places)
        shares = share(amount, weights, places)
        assert sum(shares) == amount
        for part, weight in zip(shares, weights, strict=True):
            assert part == 0 or (part < 0) == (weight < 0)
            assert -int(part.as_tuple().exponent) == places
