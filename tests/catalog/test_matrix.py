"""Which row prices which usage, and what a row comes to."""

from collections.abc import Mapping
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.money import round_amount
from catalog.pricing.book import Row, Unmatched, UsageCharge
from catalog.pricing.matrix import Combination, Matrix, combine, price_usage
from catalog.pricing.per_unit import PerUnit


def charge(*rows: tuple[Mapping[str, str], str], dimensions: tuple[str, ...] = ("model", "token_type")) -> UsageCharge:
    """Rows in the order of their positions; ids run against it, so that they cannot be mistaken for it."""
    return UsageCharge(
        id=1,
        position=0,
        code="tokens",
        name="Tokens",
        product=1,
        meter=1,
        unit="token",
        dimensions=dimensions,
        rows=tuple(
            Row(len(rows) - position, position, match, PerUnit(Decimal(price)))
            for position, (match, price) in enumerate(rows)
        ),
        unmatched=Unmatched.HOLD,
    )


def used(quantity: str | int, events: int = 1, **dimensions: str) -> Combination:
    return Combination(dimensions, Decimal(quantity), events)


def test_the_lines_of_the_chatbot() -> None:
    tokens = charge(
        ({"model": "model-a", "token_type": "input"}, "0.00001"),
        ({"model": "model-a", "token_type": "output"}, "0.00002"),
        ({"model": "model-b", "token_type": "input"}, "0.000005"),
        ({"model": "model-b", "token_type": "output"}, "0.00001"),
    )
    calls = charge(({}, "0.01"), dimensions=())
    priced = [
        *price_usage(calls, [used(28185)]).rows,
        *price_usage(
            tokens,
            [
                used(245_896, model="model-b", token_type="output"),
                used(18_059_974, model="model-b", token_type="input"),
                used(22_361_870, model="model-a", token_type="input"),
                used(4_088_665, model="model-a", token_type="output"),
            ],
        ).rows,
    ]
    amounts = [round_amount(row.priced.amount, "USD") for row in priced]
    assert [str(amount) for amount in amounts] == ["281.85", "223.62", "81.77", "90.30", "2.46"]
    assert sum(amounts) == Decimal("680.00")


ROWS = charge(
    ({}, "9"),
    ({"token_type": "input"}, "8"),
    ({"model": "a"}, "7"),
    ({"model": "a", "token_type": "input"}, "6"),
    ({"model": "1"}, "5"),
)


@pytest.mark.parametrize(
    ("dimensions", "position"),
    [
        ({"model": "a", "token_type": "input"}, 3),  # most exact values
        ({"model": "a", "token_type": "output"}, 2),
        ({"model": "b", "token_type": "input"}, 1),
        ({"model": "b", "token_type": "output"}, 0),
        ({"model": "1", "token_type": "input"}, 1),  # equally exact: the first by position
        ({"model": "a"}, 2),  # a missing value matches only *
        ({"token_type": "input"}, 1),
        ({}, 0),
        ({"model": "1.0"}, 0),  # texts are equal or not
        ({"model": "A"}, 0),
        ({"model": ""}, 0),
        ({"model": "a", "token_type": "input", "region": "eu"}, 3),
    ],
)
def test_which_row_wins(dimensions: Mapping[str, str], position: int) -> None:
    row = Matrix(ROWS).row_for(dimensions)
    assert row is not None
    assert row.position == position


def test_equal_positions_fall_to_the_row_that_was_made_first() -> None:
    rows = (Row(7, 0, {"model": "a"}, PerUnit(Decimal(1))), Row(5, 0, {"token_type": "input"}, PerUnit(Decimal(2))))
    tie = UsageCharge(1, 0, "x", "X", 1, 1, "token", ("model", "token_type"), rows, Unmatched.HOLD)
    row = Matrix(tie).row_for({"model": "a", "token_type": "input"})
    assert row is not None
    assert row.id == 5


def test_position_decides_between_equally_exact_rows_of_other_dimensions() -> None:
    rows = charge(({"model": "a"}, "1"), ({"token_type": "input"}, "2"), ({"model": "b"}, "3"))
    row = Matrix(rows).row_for({"model": "b", "token_type": "input"})
    assert row is not None
    assert row.position == 1


def test_what_no_row_fits_is_given_back() -> None:
    only_input = charge(({"token_type": "input"}, "1"))
    priced = price_usage(only_input, [used(1, token_type="input"), used(2, token_type="output"), used(4), used(8)])
    assert [row.quantity for row in priced.rows] == [1]
    assert priced.unmatched == (used(12, 2), used(2, token_type="output"))
    assert Matrix(charge()).row_for({"model": "a"}) is None


def test_a_row_is_priced_once_on_all_its_usage_and_shows_its_parts() -> None:
    priced = price_usage(
        charge(({"token_type": "input"}, "0.003"), ({}, "1")),
        [used(3, model="b", token_type="input"), used(1, token_type="input"), used(2, model="a", token_type="input")],
    )
    (row,) = priced.rows
    assert row.row.match == {"token_type": "input"}
    assert (row.quantity, row.priced.amount) == (6, Decimal("0.018"))
    assert [str(step) for step in row.priced.steps] == ["6 token × 0.003 = 0.018"]
    assert [(dict(part.dimensions), part.quantity, part.weight) for part in row.parts] == [
        ({"token_type": "input"}, 1, Decimal("0.003")),
        ({"model": "a", "token_type": "input"}, 2, Decimal("0.006")),
        ({"model": "b", "token_type": "input"}, 3, Decimal("0.009")),
    ]


def test_rows_come_in_their_order_whatever_the_usage_does() -> None:
    rows = charge(({"model": "z"}, "1"), ({"model": "a"}, "1"), ({}, "1"))
    priced = price_usage(rows, [used(1, model="a"), used(1), used(1, model="z")])
    assert [row.row.position for row in priced.rows] == [0, 1, 2]


def test_without_usage_there_is_no_row() -> None:
    priced = price_usage(ROWS, [])
    assert (priced.rows, priced.unmatched) == ((), ())


def test_usage_is_added_up_over_what_cannot_be_priced() -> None:
    usage = [used(1, model="a", region="eu"), used(2, model="a", region="us"), used(4, region="us")]
    assert combine(usage, ("model",)) == [used(4), used(3, 2, model="a")]
    assert combine(usage, ()) == [used(7, 3)]


def test_the_precision_of_whoever_calls_has_no_say() -> None:
    with localcontext(prec=2):
        priced = price_usage(charge(({}, "0.00001")), [used("12345678.123456789012"), used(1, model="a")])
    assert priced.rows[0].quantity == Decimal("12345679.123456789012")
    assert priced.rows[0].priced.amount == Decimal("123.45679123456789012")
    assert priced.rows[0].parts[0].weight == Decimal("123.45678123456789012")


# What holds for all

NAMES = ("model", "token_type", "region")
VALUES = st.sampled_from(["a", "b", "1"])
MATCHES = st.dictionaries(st.sampled_from(NAMES), VALUES)
QUANTITIES = st.decimals(min_value=-(10**25), max_value=10**25, places=12)
USAGE = st.lists(
    st.builds(Combination, st.dictionaries(st.sampled_from((*NAMES, "other")), VALUES), QUANTITIES, st.integers(0, 9))
)
CHARGES = st.lists(st.tuples(MATCHES, st.sampled_from(["0", "0.00001", "3"])), max_size=12).map(
    lambda rows: charge(*rows, dimensions=NAMES)
)


@given(CHARGES, USAGE)
def test_rows_and_what_none_fits_partition_the_usage(priced_by: UsageCharge, usage: list[Combination]) -> None:
    priced = price_usage(priced_by, usage)
    with localcontext(prec=200):
        total = sum((each.quantity for each in usage), Decimal(0))
        unmatched = sum((each.quantity for each in priced.unmatched), Decimal(0))
        assert sum((row.quantity for row in priced.rows), unmatched) == total
        seen = [tuple(sorted(part.dimensions.items())) for row in priced.rows for part in row.parts]
        seen += [tuple(sorted(each.dimensions.items())) for each in priced.unmatched]
        assert len(seen) == len(set(seen))
        for row in priced.rows:
            assert sum(part.quantity for part in row.parts) == row.quantity
            assert sum(part.weight for part in row.parts) == row.priced.amount


@given(CHARGES, st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_the_row_is_the_one_that_reading_all_rows_would_find(
    priced_by: UsageCharge, dimensions: dict[str, str]
) -> None:
    fitting = [row for row in priced_by.rows if row.match.items() <= dimensions.items()]
    expected = min(fitting, key=lambda row: (-len(row.match), row.position, row.id), default=None)
    assert Matrix(priced_by).row_for(dimensions) == expected


@given(st.permutations(ROWS.rows), st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_the_order_of_rows_decides_only_between_equally_exact_ones(rows: list[Row], dimensions: dict[str, str]) -> None:
    moved = tuple(Row(row.id, position, row.match, row.price) for position, row in enumerate(rows))
    matrix = Matrix(UsageCharge(1, 0, "x", "X", 1, 1, "token", NAMES, moved, Unmatched.HOLD))
    before, after = Matrix(ROWS).row_for(dimensions), matrix.row_for(dimensions)
    assert before is not None
    assert after is not None
    fitting = [row for row in ROWS.rows if row.match.items() <= dimensions.items()]
    only_one_so_exact = sum(len(row.match) == len(before.match) for row in fitting) == 1
    assert len(after.match) == len(before.match)
    assert after.id == before.id or not only_one_so_exact


@given(CHARGES, USAGE, st.randoms(use_true_random=False))
def test_the_order_of_usage_changes_nothing(priced_by: UsageCharge, usage: list[Combination], random: object) -> None:
    shuffled = list(usage)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert price_usage(priced_by, shuffled) == price_usage(priced_by, usage)
