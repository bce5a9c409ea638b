"""Rounding, splitting and writing amounts, by figures worked out by hand and by what must hold for all."""

from decimal import Decimal, localcontext
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.money import (
    grouped,
    is_currency,
    minor_unit,
    plain,
    round_amount,
    round_to,
    show,
    split,
)


def decimals(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


@pytest.mark.parametrize("code", ["USD", "EUR", "JPY", "KWD", "INR", "BRL"])
def test_currencies_in_use(code: str) -> None:
    assert is_currency(code)


@pytest.mark.parametrize("code", ["DEM", "XXX", "XAU", "usd", "US", "", "ZZZ", "BTC"])
def test_no_currencies_in_use(code: str) -> None:
    assert not is_currency(code)


@pytest.mark.parametrize(("code", "places"), [("JPY", 0), ("KRW", 0), ("USD", 2), ("EUR", 2), ("KWD", 3), ("CLF", 4)])
def test_minor_units(code: str, places: int) -> None:
    assert minor_unit(code) == places


@pytest.mark.parametrize(
    ("amount", "currency", "rounded"),
    [
        ("0.005", "USD", "0.01"),
        ("0.0049999999999999999", "USD", "0.00"),
        ("-0.005", "USD", "-0.01"),
        ("-0.004", "USD", "0.00"),
        ("1.5", "JPY", "2"),
        ("2.5", "JPY", "3"),
        ("-2.5", "JPY", "-3"),
        ("0.0005", "KWD", "0.001"),
        ("20", "USD", "20.00"),
        ("12345678901234567890123456789012345.675", "USD", "12345678901234567890123456789012345.68"),
    ],
)
def test_half_is_rounded_away_from_zero(amount: str, currency: str, rounded: str) -> None:
    assert str(round_amount(Decimal(amount), currency)) == rounded


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30), st.integers(0, 15))
def test_rounding_moves_by_half_a_unit_at_most(amount: Decimal, places: int) -> None:
    rounded = round_to(amount, places)
    with localcontext(prec=200):
        assert abs(rounded - amount) * 2 <= Decimal(1).scaleb(-places)
    assert -int(rounded.as_tuple().exponent) == places
    assert round_to(amount.copy_negate(), places) == rounded.copy_negate()


@pytest.mark.parametrize(
    ("number", "text", "in_groups"),
    [
        ("1.0", "1", "1"),
        ("1E+6", "1000000", "1,000,000"),
        ("1E-15", "0.000000000000001", "0.000000000000001"),
        ("22361870.000", "22361870", "22,361,870"),
        ("-1234567.50", "-1234567.5", "-1,234,567.5"),
        ("-0.5", "-0.5", "-0.5"),
        ("-0.00", "0", "0"),
        ("100", "100", "100"),
        ("0E+3", "0", "0"),
    ],
)
def test_numbers_are_written_without_exponent_and_trailing_zeros(number: str, text: str, in_groups: str) -> None:
    assert plain(Decimal(number)) == text
    assert grouped(Decimal(number)) == in_groups


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40))
def test_writing_keeps_every_digit(number: Decimal) -> None:
    assert Decimal(plain(number)) == number
    assert Decimal(grouped(number).replace(",", "")) == number


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("1234.5", "USD", "$1,234.50"),
        ("-5", "JPY", "-¥5"),
        ("0.004", "USD", "$0.004"),
        ("1.5", "KWD", "KWD\N{NO-BREAK SPACE}1.500"),
        ("223.6187000", "USD", "$223.6187"),
        ("1E+3", "EUR", "€1,000.00"),
        ("123456789012345678901234567890123.456", "USD", "$123,456,789,012,345,678,901,234,567,890,123.456"),
    ],
)
def test_amounts_for_people(amount: str, currency: str, text: str) -> None:
    assert show(Decimal(amount), currency) == text


@pytest.mark.parametrize(
    ("total", "weights", "places", "parts"),
    [
        ("10", "1 1 1", 2, "3.34 3.33 3.33"),
        ("-10", "1 1 1", 2, "-3.34 -3.33 -3.33"),
        ("0.02", "1 1 1", 2, "0.01 0.01 0.00"),
        ("10", "1 2 4", 0, "1 3 6"),
        ("1", "0 1 0", 2, "0.00 1.00 0.00"),
        ("1", "0 0", 2, "1.00 0.00"),
        ("0", "3 5", 2, "0.00 0.00"),
        ("100", "0.5 0.25 0.25", 2, "50.00 25.00 25.00"),
        ("0.01", "1 2", 2, "0.00 0.01"),
        ("5", "7", 2, "5.00"),
    ],
)
def test_splitting_by_largest_remainder(total: str, weights: str, places: int, parts: str) -> None:
    assert [str(part) for part in split(Decimal(total), decimals(*weights.split()), places)] == parts.split()


def test_a_split_needs_parts_of_one_sign_and_an_amount_that_can_be_paid() -> None:
    with pytest.raises(ValueError, match="no parts"):
        split(Decimal(1), [], 2)
    with pytest.raises(ValueError, match="no weight may be negative"):
        split(Decimal(1), decimals("1", "-1"), 2)
    with pytest.raises(ValueError, match=r"1\.001 has more than 2 decimals"):
        split(Decimal("1.001"), decimals("1"), 2)


weights = st.decimals(min_value=0, max_value=10**26, places=12)


@given(st.integers(-(10**25), 10**25), st.lists(weights, min_size=1, max_size=30), st.integers(0, 4))
def test_the_parts_of_a_split_add_up_and_are_nearest(units: int, shares: list[Decimal], places: int) -> None:
    total = Decimal(units).scaleb(-places)
    parts = split(total, shares, places)
    with localcontext(prec=200):
        assert sum(parts) == total
        assert all(str(part) != "-0" and -int(part.as_tuple().exponent) == places for part in parts)
        whole = sum(shares)
        if whole:
            for part, share in zip(parts, shares, strict=True):
                assert abs(part - total * share / whole) < Decimal(1).scaleb(-places)
                assert share or part == 0
        else:
            assert parts[0] == total


@given(st.integers(0, 10**9), st.lists(weights, min_size=2, max_size=8))
def test_a_larger_weight_never_gets_less(units: int, shares: list[Decimal]) -> None:
    parts = split(Decimal(units), shares, 0)
    ordered = sorted(zip(shares, parts, strict=True))
    assert not any(shares) or all(low <= high for (_, low), (_, high) in pairwise(ordered))


def test_the_rounding_of_whoever_calls_has_no_say() -> None:
    with localcontext(prec=3, rounding="ROUND_DOWN"):
        assert round_amount(Decimal("1234567.895"), "USD") == Decimal("1234567.90")
        assert split(Decimal("1000000.01"), decimals("1", "1"), 2) == decimals("500000.01", "500000.00")
        assert show(Decimal("1234567.895"), "USD") == "$1,234,567.895"
