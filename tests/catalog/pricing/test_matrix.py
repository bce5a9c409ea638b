"""Which row prices which usage, and what a row comes to."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.money import EXACT, ZERO, round_amount
from catalog.pricing.book import PriceModel, PricesEach, Row, Unmatched, UsageCharge
from catalog.pricing.combining import add_up
from catalog.pricing.cost_plus import CostPlus
from catalog.pricing.graduated import Graduated
from catalog.pricing.matrix import Combination, Matrix, PricedRow, price_usage
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.percentage import Percentage
from catalog.pricing.sharing import share
from catalog.pricing.tiers import Tier
from tests.catalog.pricing_models import MODELS, explains_itself


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


def test_usage_is_grouped_by_its_row_where_quantities_do_not_add_up() -> None:
    values = {"model": "a", "token_type": "output", "region": "eu"}
    assert Matrix(ROWS).group(values) == {"model": "a", "token_type": "output"}
    largest = Matrix(replace(ROWS, adds_up=False))
    assert largest.group(values) == {"model": "a"}
    assert largest.group({"region": "eu"}) == {}
    assert Matrix(replace(ROWS, adds_up=False, rows=())).group(values) == {"model": "a", "token_type": "output"}


def test_the_precision_of_whoever_calls_has_no_say() -> None:
    with localcontext(prec=2):
        priced = price_usage(charge(({}, "0.00001")), [used("12345678.123456789012"), used(1, model="a")])
    assert priced.rows[0].quantity == Decimal("12345679.123456789012")
    assert priced.rows[0].priced.amount == Decimal("123.45679123456789012")
    assert priced.rows[0].parts[0].weight == Decimal("123.45678123456789012")


TIERS = [
    Tier(Decimal(100), Decimal("0.02")),
    Tier(Decimal(1000), Decimal("0.01"), Decimal(5)),
    Tier(None, Decimal("0.005")),
]


def by(model: PriceModel | PricesEach, *matches: Mapping[str, str], **changed: Any) -> UsageCharge:
    """A charge whose rows all have this model, for these values."""
    rows = tuple(Row(position, position, match, model) for position, match in enumerate(matches))
    return replace(charge(), rows=rows, **changed)


def steps(row: PricedRow) -> list[str]:
    return [str(step) for step in row.priced.steps]


def test_combinations_share_the_tiers_of_their_row_and_its_amount_by_quantity() -> None:
    usage = [used(60, model="a"), used(140, model="b"), used(-20, model="c"), used(90, model="d")]
    (row, other) = price_usage(by(Graduated(TIERS, flat_at_zero=False), {}, {"model": "d"}), usage).rows
    assert (row.quantity, row.priced.unit_price) == (180, None)
    assert steps(row) == [
        "tier 1, up to 100 token: 100 token × 0.02 = 2",
        "tier 2, above 100 to 1,000 token: 80 token × 0.01 = 0.8",
        "tier 2, above 100 to 1,000 token: flat fee = 5",
    ]
    # What was taken back has no price of its own here: it only made the quantity of the row smaller.
    assert [(part.quantity, part.weight) for part in row.parts] == [(60, 60), (140, 140), (-20, 0)]
    assert share(Decimal("7.80"), [part.weight for part in row.parts], 2) == [
        Decimal("2.34"),
        Decimal("5.46"),
        Decimal("0.00"),
    ]
    assert (other.quantity, other.priced.amount) == (90, Decimal("1.8"))


def test_a_row_that_owes_less_than_nothing_is_shared_by_what_was_taken_back() -> None:
    usage = [used(60, model="a"), used(-140, model="b"), used(-20, model="c")]
    (row,) = price_usage(by(Graduated(TIERS, flat_at_zero=False), {}), usage).rows
    assert (row.quantity, row.priced.amount) == (-100, -2)
    assert [part.weight for part in row.parts] == [0, 140, 20]


def test_a_fixed_fee_counts_the_events_of_the_whole_row() -> None:
    usage = [used(100, 3, model="a"), used(300, 2, model="b")]
    (row,) = price_usage(by(Percentage(Decimal("0.01"), Decimal(1)), {}), usage).rows
    assert (row.priced.amount, [part.events for part in row.parts]) == (9, [3, 2])


def test_only_a_charge_without_dimensions_owes_a_fee_without_usage() -> None:
    fee = Graduated([Tier(None, Decimal(1), Decimal(7))], flat_at_zero=True)
    (row,) = price_usage(by(fee, {}, dimensions=()), []).rows
    assert (row.quantity, row.priced.amount, len(row.parts)) == (0, 7, 1)
    assert price_usage(by(fee, {}), []).rows == ()
    assert price_usage(by(PerUnit(Decimal(1)), {}, dimensions=()), []).rows == ()
    assert price_usage(by(cost_plus(), {}, dimensions=()), []).rows == ()
    assert price_usage(by(fee, dimensions=()), []) == price_usage(by(fee, {}), [])


def cost_plus() -> CostPlus:
    costs = {"a": Decimal(2), "b": Decimal(3), "like a": Decimal(2)}
    return CostPlus(Decimal("0.5"), lambda values: costs.get(values.get("model", "")))


def test_cost_plus_prices_every_combination_by_its_own_cost() -> None:
    usage = [used(10, model="a"), used(20, 2, model="b", token_type="input"), used(5, model="new"), used(1)]
    priced = price_usage(by(cost_plus(), {}), usage)
    (row,) = priced.rows
    assert priced.unmatched == ()
    assert priced.unknown_cost == (used(1), used(5, model="new"))
    assert (row.quantity, row.priced.amount, row.priced.unit_price) == (30, 120, None)
    assert [(part.quantity, part.unit_price, part.weight) for part in row.parts] == [(10, 3, 30), (20, 4.5, 90)]
    assert steps(row) == ["a: 10 token × 2 cost × 1.5 = 30", "b, input: 20 token × 3 cost × 1.5 = 90"]


def test_one_cost_for_all_is_one_unit_price_and_no_known_cost_is_no_row() -> None:
    (row,) = price_usage(by(cost_plus(), {}), [used(10, model="a"), used(1, model="like a")]).rows
    assert row.priced.unit_price == 3
    assert price_usage(by(cost_plus(), {}), [used(10, model="new")]).rows == ()
    (row,) = price_usage(by(CostPlus(Decimal(0), lambda _: Decimal(1)), {}, dimensions=()), [used(4)]).rows
    assert steps(row) == ["4 token × 1 cost × 1 = 4"]


def test_what_is_included_is_spread_over_all_rows_by_quantity() -> None:
    rows = charge(({"token_type": "input"}, "0.5"), ({"token_type": "output"}, "2"))
    usage = [
        used(200, model="a", token_type="input"),
        used(100, model="b", token_type="input"),
        used(100, model="a", token_type="output"),
        used(100, model="a", token_type="other"),
    ]
    priced = price_usage(rows, usage, Decimal(101))
    assert [(row.quantity, row.included, row.priced.amount) for row in priced.rows] == [
        (300, 61, Decimal("119.5")),  # 60.6, and the unit that is left: of equal remainders the first
        (100, 20, 160),
    ]
    first = priced.rows[0]
    assert steps(first) == ["included: 61 of 300 token = 0", "239 token × 0.5 = 119.5"]
    assert first.priced.unit_price is None
    assert [(part.quantity, part.included, part.unit_price) for part in first.parts] == [
        (200, 41, None),
        (100, 20, None),
    ]
    assert [part.weight for part in first.parts] == [Decimal("79.5"), Decimal(40)]
    assert priced.unmatched == (used(100, model="a", token_type="other"),)


def test_what_was_taken_back_makes_less_to_be_included() -> None:
    rows = charge(({"model": "a"}, "1"), ({"model": "b"}, "1"))
    priced = price_usage(rows, [used(100, model="a"), used(-40, model="b")], Decimal(1000))
    assert [(row.included, row.priced.amount) for row in priced.rows] == [(60, 40), (0, -40)]


def test_units_are_included_at_the_places_of_the_meter() -> None:
    rows = charge(({"model": "a"}, "1"), ({"model": "b"}, "1"))
    usage = [used(2, model="a"), used(1, model="b")]
    assert [row.included for row in price_usage(rows, usage, Decimal(1)).rows] == [1, 0]
    rounded = replace(rows, places=2)
    assert [str(row.included) for row in price_usage(rounded, usage, Decimal(1)).rows] == ["0.67", "0.33"]
    half = price_usage(rows, usage, Decimal("0.5"))  # as it was agreed, though usage comes in whole units
    assert [str(row.included) for row in half.rows] == ["0.3", "0.2"]
    finer = [used("2.000", model="a"), used("1.5", model="b")]
    assert [str(row.included) for row in price_usage(rows, finer, Decimal(1)).rows] == ["0.6", "0.4"]


def test_what_is_included_comes_off_each_combination_that_is_priced_for_itself() -> None:
    priced = price_usage(by(cost_plus(), {}), [used(10, model="a"), used(30, model="b")], Decimal(20))
    (row,) = priced.rows
    assert (row.included, row.priced.amount) == (20, 82.5)
    assert steps(row) == [
        "a: included: 5 of 10 token = 0",
        "a: 5 token × 2 cost × 1.5 = 15",
        "b: included: 15 of 30 token = 0",
        "b: 15 token × 3 cost × 1.5 = 67.5",
    ]
    assert [part.unit_price for part in row.parts] == [None, None]


def test_all_that_is_used_can_be_included_and_a_fee_is_due_all_the_same() -> None:
    fee = Graduated([Tier(None, Decimal(1), Decimal(7))], flat_at_zero=True)
    (row,) = price_usage(by(fee, {}, dimensions=()), [used(50)], Decimal(100)).rows
    assert steps(row) == [
        "included: 50 of 50 token = 0",
        "tier 1, any quantity: 0 token × 1 = 0",
        "tier 1, any quantity: flat fee = 7",
    ]


def test_rows_that_were_found_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.pricing.matrix.KEPT", 2)
    matrix = Matrix(charge(({}, "1"), ({"model": "m3"}, "5")))
    usage = [used(1, model=f"m{number}") for number in range(5)]
    for _ in range(2):
        assert [(row.row.position, row.quantity) for row in matrix.price(usage).rows] == [(0, 4), (1, 1)]
        assert len(matrix._found) <= 2


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


COSTS = st.dictionaries(VALUES, st.decimals(min_value=0, max_value=100, places=9))
EACH = st.builds(
    lambda costs, margin: CostPlus(margin, lambda values: costs.get(values.get("model", "a"))),
    COSTS,
    st.decimals(min_value=-1, max_value=9, places=4),
)


@st.composite
def any_charge(draw: st.DrawFn) -> UsageCharge:
    """Rows of any kind side by side."""
    matches = draw(st.lists(MATCHES, max_size=8, unique_by=lambda match: tuple(sorted(match.items()))))
    rows = tuple(Row(index, index, match, draw(MODELS | EACH)) for index, match in enumerate(matches))
    return replace(charge(), dimensions=NAMES, rows=rows)


SOME = st.decimals(min_value=-(10**8), max_value=10**8, places=3)
SOME_USAGE = st.lists(
    st.builds(Combination, st.dictionaries(st.sampled_from(NAMES), VALUES), SOME, st.integers(0, 9)), max_size=12
)


@given(any_charge(), SOME_USAGE, st.one_of(st.just(ZERO), st.decimals(min_value=0, max_value=10**9, places=3)))
def test_the_cells_of_any_matrix_add_up_to_its_usage_and_its_amounts(
    priced_by: UsageCharge, usage: list[Combination], included: Decimal
) -> None:
    priced = price_usage(priced_by, usage, included)
    total = add_up(each.quantity for each in usage)
    apart = [*priced.unmatched, *priced.unknown_cost]
    assert add_up([*(row.quantity for row in priced.rows), *(each.quantity for each in apart)]) == total
    free = add_up(row.included for row in priced.rows)
    most = max(min(included, total), ZERO)
    assert free <= most
    assert free == most or apart
    for row in priced.rows:
        assert add_up(part.quantity for part in row.parts) == row.quantity
        assert add_up(part.included for part in row.parts) == row.included
        assert all(0 <= part.included <= max(part.quantity, ZERO) for part in row.parts)
        assert add_up(step.amount for step in row.priced.steps) == row.priced.amount
        assert explains_itself(row.priced)
        rounded = round_amount(row.priced.amount, "USD")
        shares = share(rounded, [part.weight for part in row.parts], 2)
        assert add_up(shares) == rounded
        for part, amount in zip(row.parts, shares, strict=True):
            one_price = part.unit_price
            assert one_price is None or EXACT.multiply(one_price, part.quantity) == part.weight
            assert one_price is None or amount == 0 or (amount < 0) == (part.quantity < 0)
