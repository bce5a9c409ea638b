"""The dearest that a unit becomes, against the cost of every hour and size."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.dearest import Dearest, Met, always, dearest
from catalog.pricing.model_costs import HOUR, Action, CostRow, Hours, ModelCosts, Source
from tests.catalog.costing import utc

D = Decimal
START = utc(2026, 5, 20)
HOURS = st.integers(0, 23)
SIZES = [0, 10, 20, 30]


def hours(pair: tuple[int, int]) -> Hours | None:
    return Hours(*pair) if pair[0] != pair[1] else None


@st.composite
def rows(draw: st.DrawFn) -> CostRow:
    action = draw(st.sampled_from([Action.COSTS, Action.COSTS, Action.ENDS]))
    return CostRow(
        id=draw(st.integers(1, 10**6)),
        token_type=draw(st.sampled_from(["input", "cache_read", "output"])),
        above=draw(st.sampled_from(SIZES)),
        hours=hours(draw(st.tuples(HOURS, HOURS))),
        source=draw(st.sampled_from(list(Source))),
        action=action,
        cost=D(draw(st.integers(0, 9))) if action is Action.COSTS else None,
        effective_from=START + draw(st.integers(-10, 60)) * HOUR,
        recorded_at=START,
    )


@given(
    st.lists(rows(), max_size=8), st.integers(0, 30 * 60), st.sampled_from([(0, None), (0, 20), (10, 20), (10, None)])
)
def test_it_is_the_highest_of_all_hours_and_sizes(
    recorded: list[CostRow], minutes: int, sizes: tuple[int, int | None]
) -> None:
    costs, since, (above, up_to) = ModelCosts("a", "b", tuple(recorded)), START + timedelta(minutes=minutes), sizes
    priced_alike = [size for size in SIZES if size >= above and (up_to is None or size < up_to)]
    each = [
        (found.amount, costs.cost_at(at, "cache_read", above))
        for at in (since, *(START + hour * HOUR for hour in range(100) if START + hour * HOUR > since))
        for size in priced_alike
        if (found := costs.cost_at(at, "cache_read", size)) is not None
    ]
    told = dearest(costs, since, "cache_read", above, up_to)
    assert (told is not None) == bool(each)
    if told is not None:
        assert told.cost.cost == max(cost for cost, _ in each)
        known = [(cost, billed.amount) for cost, billed in each if billed is not None]
        assert (told.by_cost is not None) == bool(known)
        if told.by_cost is not None:
            assert _times(told.by_cost.cost, told.by_cost.billed) == max(_times(*one) for one in known)


def _times(cost: Decimal, billed: Decimal | None) -> Decimal:
    assert billed is not None
    if billed:
        return cost / billed
    return D("Infinity") if cost else D(1)


def test_it_says_when() -> None:
    def cost(amount: str, above: int = 0, begins: int = -1, at: Hours | None = None) -> CostRow:
        start = START + begins * HOUR
        return CostRow(0, "input", above, at, Source.OWN, Action.COSTS, D(amount), start, start)

    costs = ModelCosts("a", "b", (cost("1"), cost("3", above=10, begins=5, at=Hours(1, 2)), cost("2", above=10)))
    assert dearest(costs, START, "input", 0, None) == Dearest(
        *[Met(D(3), D(1), "above 10 input tokens, at 01:00–02:00 UTC, from 2026-05-20 05:00 UTC on")] * 2
    )
    assert dearest(costs, START, "input", 0, 10) == always(D(1))
    assert dearest(costs, START, "output", 0, None) is None


def test_what_is_billed_as_nothing_is_the_worst_of_all_prices_by_cost() -> None:
    def cost(amount: str, above: int, begins: int) -> CostRow:
        return CostRow(0, "input", above, None, Source.OWN, Action.COSTS, D(amount), START + begins * HOUR, START)

    free = (cost("0", 0, 0), cost("0", 10, 0))
    assert dearest(ModelCosts("a", "b", free), START, "input", 0, None) == always(D(0))
    paid = ModelCosts("a", "b", (*free, cost("1", 10, 2), cost("1", 0, 3), cost("9", 10, 3)))
    found = dearest(paid, START, "input", 0, None)
    assert found is not None
    assert found.by_cost is not None
    assert (found.cost.cost, found.by_cost.cost, found.by_cost.billed) == (9, 1, 0)
    large = dearest(ModelCosts("a", "b", (cost("1", 10, 0),)), START, "input", 0, None)
    assert large == Dearest(Met(D(1), None, "above 10 input tokens"), None)
