"""Folding, merging and rounding, on plain numbers."""

from decimal import Decimal
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meters.measuring.aggregation import (
    AGGREGATIONS,
    AVERAGE,
    COUNT,
    LATEST,
    MAX,
    MIN,
    SUM,
    UNIQUE_COUNT,
    VALUE_KINDS,
    WEIGHTED_DELTAS,
    WEIGHTED_LEVELS,
    Aggregation,
    Hourly,
    Rounding,
    RoundingMode,
    aggregation_for,
    time_weighted,
)

numbers = st.decimals(allow_nan=False, allow_infinity=False, places=12, max_value=10**18 - 1, min_value=1 - 10**18)


@pytest.mark.parametrize(
    ("aggregation", "values", "expected"),
    [
        (COUNT, "1 1 3", "5"),
        (SUM, "0.1 0.2 -0.5", "-0.2"),
        (MAX, "-3 -1 -2", "-1"),
        (MAX, "0 2.5 2.50", "2.5"),
        (MIN, "3 1 2", "1"),
        (MIN, "0", "0"),
        (AVERAGE, "1 2 2", "1.666666666667"),
        (AVERAGE, "-1 -2 -2", "-1.666666666667"),
        (AVERAGE, "10 20 10 0", "10"),
    ],
)
def test_of_plain_numbers(aggregation: Aggregation, values: str, expected: str) -> None:
    given_values = [Decimal(value) for value in values.split()]
    kept = reduce(aggregation.merge, map(aggregation.start, given_values))
    assert kept is not None
    assert aggregation.quantity(kept, len(given_values)) == Decimal(expected)


@given(st.lists(numbers, min_size=1), st.lists(numbers, min_size=1))
def test_however_they_are_split_and_ordered(some: list[Decimal], others: list[Decimal]) -> None:
    for aggregation in (COUNT, SUM, MAX, MIN, AVERAGE):
        start, merge = aggregation.start, aggregation.merge
        parts = merge(reduce(merge, map(start, some)), reduce(merge, map(start, others)))
        assert parts == reduce(merge, map(start, [*others, *some]))


def test_what_no_number_of_an_hour_can_say() -> None:
    for aggregation in (LATEST, UNIQUE_COUNT, WEIGHTED_LEVELS):
        assert aggregation.hourly is Hourly.NOTHING
        assert aggregation.merge(aggregation.start(Decimal(1)), aggregation.start(Decimal(2))) is None


def test_every_aggregation_has_its_name() -> None:
    plain = [aggregation_for(key) for key in AGGREGATIONS if key != "weighted_sum"]
    assert [each.key for each in plain] == ["count", "sum", "max", "min", "average", "latest", "unique_count"]
    assert [aggregation_for("weighted_sum", kind) for kind in VALUE_KINDS] == [WEIGHTED_LEVELS, WEIGHTED_DELTAS]
    assert [each.key for each in plain if each.adds_up] == ["count", "sum"]


def test_a_level_for_a_part_of_the_period() -> None:
    day = 24 * 3600 * 10**6
    assert time_weighted(Decimal(2500) * 27 * day, 31 * day) == Decimal("2177.419354838710")
    assert time_weighted(Decimal(-1) * day, 3 * day) == Decimal("-0.333333333333")


@pytest.mark.parametrize(
    ("mode", "places", "quantity", "expected"),
    [
        ("none", 0, "123.456", "123.456"),
        ("none", 0, "-0.0", "0"),
        ("ceil", 0, "123.456", "124"),
        ("ceil", 0, "123", "123"),
        ("ceil", 0, "-123.456", "-123"),
        ("ceil", 0, "-0.4", "0"),
        ("ceil", 2, "123.451", "123.46"),
        ("ceil", -2, "123.456", "200"),
        ("floor", 0, "123.456", "123"),
        ("floor", 0, "-123.456", "-124"),
        ("floor", 2, "123.459", "123.45"),
        ("floor", -2, "199", "100"),
        ("half_up", 0, "0.5", "1"),
        ("half_up", 0, "-0.5", "-1"),
        ("half_up", 0, "0.49", "0"),
        ("half_up", 2, "0.125", "0.13"),
        ("half_up", 12, "0.1234567890125", "0.123456789013"),
        ("half_up", -3, "1500", "2000"),
    ],
)
def test_rounding(mode: str, places: int, quantity: str, expected: str) -> None:
    rounded = Rounding(RoundingMode(mode), places).apply(Decimal(quantity))
    assert rounded == Decimal(expected)
    assert not rounded.is_signed() or rounded
