"""What is rounded together where costs change within a segment: nothing is lost, whatever falls where."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.periods import Period
from catalog.pricing.book import Row, Unmatched, UsageCharge
from catalog.pricing.combining import Combination, add_up
from catalog.pricing.cost_plus import CostPlus
from catalog.pricing.matrix import Matrix
from catalog.pricing.per_unit import PerUnit
from customers.rating.cost_parts import roundings, without_when
from customers.rating.segments import WHEN, Segment, name_of

START = datetime(2024, 1, 1, tzinfo=UTC)
PARTS = tuple(Period(START + timedelta(days=day), START + timedelta(days=day + 10)) for day in (0, 10, 20))
WHOLE = Period(PARTS[0].start, PARTS[-1].end)
NAMES = [name_of(part) for part in PARTS]
quantities = st.decimals(-1000, 10**6, places=3)


def costs(values: Mapping[str, str]) -> Decimal | None:
    """Dearer part by part; of `c` nobody knows."""
    return None if values["model"] == "c" else Decimal("0.001") * (1 + NAMES.index(values[WHEN]))


def segment(cut: bool = True) -> Segment:
    rows = (Row(1, 0, {"model": "a"}, PerUnit(Decimal("0.01"))), Row(2, 1, {}, CostPlus(Decimal("0.2"), costs)))
    dimensions = ("model", "team", WHEN) if cut else ("model", "team")
    charge = UsageCharge(5, 0, "t", "T", 3, 1, "token", dimensions, rows, Unmatched.HOLD)
    return Segment(WHOLE, Matrix(charge), parts=PARTS if cut else ())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.sampled_from(NAMES), quantities)))
def test_every_unit_is_rounded_once(used: list[tuple[str, str, str, Decimal]]) -> None:
    usage = [
        Combination({"model": model, "team": team, WHEN: when}, quantity, 1) for model, team, when, quantity in used
    ]
    cut = segment()
    priced = cut.matrix.price(usage)
    found = [(row.row.id, *each) for row in priced.rows for each in roundings(row, cut)]
    parts = [part for _, _, parts, _ in found for part in parts]
    known = add_up(quantity for model, *_, quantity in used if model != "c")
    assert add_up(part.quantity for part in parts) == known
    assert add_up(each.amount for *_, each in found) == add_up(row.priced.amount for row in priced.rows)
    assert not any(WHEN in part.dimensions for part in parts)
    for row, period, mine, each in found:
        assert (period == WHOLE) == (row == 1)
        assert add_up(step.amount for step in each.steps) == each.amount == add_up(part.weight for part in mine)
        assert len({tuple(part.dimensions.items()) for part in mine}) == len(mine)
    unknown = without_when(priced.unknown_cost)
    assert add_up(each.quantity for each in unknown) == add_up(q for model, *_, q in used if model == "c")
    assert len(unknown) == len({team for model, team, *_ in used if model == "c"})


def test_a_segment_that_no_cost_cuts_is_rounded_as_a_whole() -> None:
    whole = segment(cut=False)
    (row,) = whole.matrix.price([Combination({"model": "a", "team": "x"}, Decimal(3), 1)]).rows
    assert list(roundings(row, whole)) == [(WHOLE, row.parts, row.priced)]
