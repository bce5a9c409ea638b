"""Units that cost nothing, over the usage of a charge."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.allowance import places_of, prorated_allowance, spread
from catalog.pricing.combining import add_up


@pytest.mark.parametrize(
    ("included", "used", "full", "places", "allowance"),
    [
        ("1000", 31, 31, 0, "1000"),
        ("1000", 10, 31, 0, "323"),  # 322.58…
        ("1000", 0, 31, 0, "0"),
        ("1", 1, 2, 0, "1"),  # 0.5, half away from zero
        ("1", 1, 3, 2, "0.33"),
        ("0.5", 31, 31, 0, "0.5"),  # as it was agreed
    ],
)
def test_a_part_of_a_period_has_its_part_of_the_allowance(
    included: str, used: int, full: int, places: int, allowance: str
) -> None:
    assert str(prorated_allowance(Decimal(included), used, full, places)) == allowance


def test_days_must_be_a_part_of_the_period() -> None:
    with pytest.raises(ValueError, match="32 of 31 days"):
        prorated_allowance(Decimal(1), 32, 31, 0)


@pytest.mark.parametrize(
    ("included", "quantities", "places", "free"),
    [
        ("100", "500", 0, "100"),
        ("100", "50", 0, "50"),  # never more than the usage
        ("100", "100 200 300", 0, "17 33 50"),  # 16.67 33.33 50
        ("1", "1 1 1", 2, "0.34 0.33 0.33"),
        ("0.5", "1 1", 1, "0.3 0.2"),
        ("100", "100 -40", 0, "60 0"),  # 60 in all: what was taken back is not free twice
        ("30", "100 -40 100", 0, "15 0 15"),
        ("30", "10 -40", 0, "0 0"),
        ("0", "10 20", 0, "0 0"),
        ("100", "0 0", 0, "0 0"),
        ("100", "", 0, ""),
        ("500", "2000 1000", -3, "333 167"),  # a meter of thousands counts whole units
    ],
)
def test_it_is_spread_by_quantity(included: str, quantities: str, places: int, free: str) -> None:
    shares = spread(Decimal(included), [Decimal(each) for each in quantities.split()], places)
    assert [str(share) for share in shares] == free.split()


def test_the_most_decimals_of_some_quantities() -> None:
    assert places_of([Decimal("1.500"), Decimal("2.25"), Decimal("1e3"), Decimal(0)]) == 2
    assert places_of([Decimal(100)]) == 0
    assert places_of([]) == 0


@given(
    st.lists(st.decimals(min_value=-(10**20), max_value=10**20, places=4), max_size=20),
    st.decimals(min_value=0, max_value=10**21, places=4),
)
def test_it_is_spread_exactly_and_never_more_than_was_used(quantities: list[Decimal], included: Decimal) -> None:
    free = spread(included, quantities, 4)
    assert add_up(free) == max(min(included, add_up(quantities)), Decimal(0))
    for share, quantity in zip(free, quantities, strict=True):
        assert 0 <= share <= max(quantity, Decimal(0))
        assert -int(share.as_tuple().exponent) <= 4
