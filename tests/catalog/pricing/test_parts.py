"""A charge in parts of a period: what its own price comes to is what the whole does; by hand where prices differ."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.money import ZERO
from catalog.pricing.book import PriceModel, Row, Unmatched, UsageCharge
from catalog.pricing.combining import Combination, add_up
from catalog.pricing.cost_plus import CostPlus
from catalog.pricing.graduated import Graduated
from catalog.pricing.matrix import Matrix, PricedUsage
from catalog.pricing.package import Package
from catalog.pricing.parts import key_of, price_parts
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.percentage import Percentage
from catalog.pricing.stairstep import Stairstep
from catalog.pricing.tiers import Tier
from catalog.pricing.volume import Volume
from tests.catalog.pricing_models import MODELS, explains_itself

D = Decimal
TIERS = [Tier(D(1000), D(1), D(7)), Tier(None, D("0.1"), D(3))]
# Quantities as usage has them, some of them taken back.
QUANTITIES = st.decimals(min_value=-100, max_value=2000, places=2)


def charge(*rows: tuple[Mapping[str, str], Any], dimensions: tuple[str, ...] = ("model",), **terms: Any) -> UsageCharge:
    made = tuple(Row(position + 1, position, match, price) for position, (match, price) in enumerate(rows))
    return UsageCharge(5, 0, "t", "T", 3, 1, "token", dimensions, made, Unmatched.HOLD, **terms)


def used(quantity: str | int | Decimal, model: str = "", events: int = 1) -> Combination:
    return Combination({"model": model} if model else {}, D(quantity), events)


def amounts(priced: list[PricedUsage]) -> list[list[str]]:
    return [[f"{row.priced.amount.normalize():f}" for row in each.rows] for each in priced]


@pytest.mark.parametrize(
    ("price", "first", "second"),
    [
        (Graduated(TIERS, flat_at_zero=False), "1410", "500"),  # 7 + 1,000 + 3 + 4,000 × 0.1; 5,000 × 0.1
        (Volume(TIERS, flat_at_zero=False), "503", "500"),
        (Stairstep([Tier(None, ZERO, D(500))], flat_at_zero=False), "500", "0"),
        (Package(D(3000), D(10)), "20", "20"),  # 2 packages of 3,000, then 4 for 10,000
        (Percentage(D("0.01"), D(1), D(6000), 1), "0", "41"),  # 4,000 × 1 %, and the second event
        (PerUnit(D("0.5")), "2500", "2500"),
    ],
)
def test_what_comes_on_top_is_the_price_of_the_total_less_that_of_before(
    price: PriceModel, first: str, second: str
) -> None:
    """5,000 and 5,000 on top."""
    matrix = Matrix(charge(({}, price), dimensions=()))
    priced = price_parts([(matrix, [used(5000)]), (matrix, [used(5000)])])
    assert amounts(priced) == [[first], [second]]
    assert all(explains_itself(row.priced) for each in priced for row in each.rows)


def test_another_price_goes_on_where_the_first_one_stood() -> None:
    cheaper = Graduated([Tier(D(1000), D("0.9"), D(7)), Tier(None, D("0.05"), D(3))], flat_at_zero=False)
    plan, mine = (Matrix(charge(({}, price))) for price in (Graduated(TIERS, flat_at_zero=False), cheaper))
    # 7 + 600; of the next 600 are 400 × 0.9, the fee of the second tier and 200 × 0.05
    priced = price_parts([(plan, [used(600)]), (mine, [used(600)])])
    assert amounts(priced) == [["607"], ["373"]]
    assert [str(step) for step in priced[1].rows[0].priced.steps] == [
        "tier 1, up to 1,000 token: 1,000 token × 0.9 = 900",
        "tier 1, up to 1,000 token: flat fee = 7",
        "tier 2, above 1,000 token: 200 token × 0.05 = 10",
        "tier 2, above 1,000 token: flat fee = 3",
        "less what the 600 token before it come to at this price = -547",
    ]


def test_a_row_is_known_by_its_values_and_a_new_one_begins_at_nothing() -> None:
    tiers = Graduated(TIERS, flat_at_zero=False)
    plan = Matrix(charge(({}, tiers)))
    split = Matrix(charge(({"model": "a"}, tiers), ({}, tiers)))
    priced = price_parts([(plan, [used(900, "a"), used(100, "b")]), (split, [used(10, "a"), used(10, "b")])])
    # * goes on from 1,000: the fee of its second tier and 10 × 0.1; the row of a begins
    assert amounts(priced) == [["1007"], ["17", "4"]]
    assert key_of(split.row_at(0)) == (("model", "a"),)


def test_a_fee_without_usage_is_due_once() -> None:
    fee = Matrix(charge(({}, Stairstep([Tier(None, ZERO, D(500))], flat_at_zero=True)), dimensions=()))
    other = Matrix(charge(({}, Stairstep([Tier(None, ZERO, D(80))], flat_at_zero=False)), dimensions=()))
    assert amounts(price_parts([(fee, []), (fee, []), (fee, [used(5)])])) == [["500"], ["0"], ["0"]]
    assert amounts(price_parts([(other, []), (fee, [])])) == [[], ["500"]]
    assert amounts(price_parts([(other, [used(5)]), (fee, [used(5)])])) == [["80"], ["0"]]


def test_volume_can_make_a_part_less_than_nothing_and_its_parts_share_that() -> None:
    """1,000 are 1,007; 1,200 are 123: what comes on top takes 884 back."""
    matrix = Matrix(charge(({}, Volume(TIERS, flat_at_zero=False))))
    _, [row] = (each.rows for each in price_parts([(matrix, [used(1000)]), (matrix, [used(50, "a"), used(150, "b")])]))
    assert (str(row.priced.amount), [str(part.weight) for part in row.parts]) == ("-884.0", ["50", "150"])


def test_a_price_by_cost_stands_beside_tiers_that_go_on() -> None:
    by_cost = Matrix(charge(({}, CostPlus(D("0.5"), lambda values: D("0.01") if values["model"] == "a" else None))))
    tiers = Matrix(charge(({}, Graduated(TIERS, flat_at_zero=False))))
    first, second = price_parts([(by_cost, [used(1000, "a"), used(3, "b")]), (tiers, [used(10, "a")])])
    assert (amounts([first]), [each.quantity for each in first.unknown_cost]) == ([["15"]], [3])
    assert amounts([second]) == [["1"]]  # the second tier, whose fee would have been due before


def test_what_is_included_is_of_all_parts() -> None:
    matrix = Matrix(charge(({"model": "a"}, PerUnit(D(1))), ({}, PerUnit(D(2)))))
    parts = [(matrix, [used(100, "a"), used(50, "b")]), (matrix, [used(50, "b")])]
    priced = price_parts(parts, D(100))
    # 50 of each row; those of b are 25 and 25
    assert [[str(row.included) for row in each.rows] for each in priced] == [["50", "25"], ["25"]]
    assert amounts(priced) == [["50", "50"], ["50"]]
    none = Matrix(charge(({"model": "a"}, PerUnit(D(1)))))
    # what no row prices takes its share, too
    held = price_parts([(none, [used(100, "a")]), (none, [used(100, "b")])], D(100))
    assert (amounts(held), [each.quantity for each in held[1].unmatched]) == ([["50"], []], [100])


ROWS = st.lists(
    st.tuples(st.sampled_from([{}, {"model": "a"}, {"model": "b"}]), MODELS),
    min_size=1,
    max_size=3,
    unique_by=lambda row: str(row[0]),
)
USAGE = st.lists(st.builds(used, QUANTITIES, st.sampled_from(["", "a", "b", "c"]), st.integers(0, 3)), max_size=5)


@given(ROWS, st.booleans(), st.lists(USAGE, min_size=1, max_size=4), st.decimals(0, 2500, places=2))
def test_its_own_price_for_any_part_changes_nothing(
    rows: list[tuple[Mapping[str, str], PriceModel]],
    with_dimensions: bool,
    parts: list[list[Combination]],
    included: Decimal,
) -> None:
    """The parts of every row come to the row, its quantity and its units that cost nothing, whatever the model is."""
    if not with_dimensions:
        rows = [({}, rows[0][1])]
        parts = [[each._replace(dimensions={}) for each in part] for part in parts]
    made = charge(*rows, dimensions=("model",) if with_dimensions else ())
    whole = Matrix(made).price([each for part in parts for each in part], included)
    cut = price_parts([(Matrix(made), part) for part in parts], included)
    for row in whole.rows:
        mine = [each for part in cut for each in part.rows if each.row == row.row]
        assert add_up(each.priced.amount for each in mine) == row.priced.amount
        assert add_up(each.quantity for each in mine) == row.quantity
        assert add_up(each.included for each in mine) == row.included
        assert all(explains_itself(each.priced) for each in mine)
    assert {each.row.id for part in cut for each in part.rows if each.priced.amount} <= {r.row.id for r in whole.rows}
    unmatched = add_up(each.quantity for part in cut for each in part.unmatched)
    assert unmatched == add_up(each.quantity for each in whole.unmatched)
