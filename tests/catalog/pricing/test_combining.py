"""Usage by the values of the dimensions that can be priced."""

from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.combining import Combination, add_up, combine


def used(quantity: int, events: int = 1, **dimensions: str) -> Combination:
    return Combination(dimensions, Decimal(quantity), events)


def test_usage_is_added_up_over_what_cannot_be_priced() -> None:
    usage = [used(1, model="a", region="eu"), used(2, 3, model="a", region="us"), used(4, region="us")]
    assert combine(usage, ("model",)) == [used(4), used(3, 4, model="a")]
    assert combine(usage, ()) == [used(7, 5)]


def test_a_missing_value_is_not_an_empty_one_and_comes_first() -> None:
    usage = [used(1, model="b", kind="x"), used(2, model=""), used(4, model="a", kind=""), used(8)]
    found = combine(usage, ("model", "kind"))
    assert found == [used(8), used(2, model=""), used(4, model="a", kind=""), used(1, model="b", kind="x")]


def test_values_stand_in_the_order_of_the_dimensions() -> None:
    (found,) = combine([used(1, kind="x", model="b"), used(1, model="b", kind="x")], ("model", "kind"))
    assert (list(found.dimensions.items()), found.quantity) == ([("model", "b"), ("kind", "x")], 2)


VALUES = st.sampled_from(["", "a", "b", "10", "9"])
USAGE = st.lists(
    st.builds(
        Combination,
        st.dictionaries(st.sampled_from(["model", "kind", "other"]), VALUES),
        st.decimals(min_value=-(10**25), max_value=10**25, places=12),
        st.integers(0, 9),
    )
)


@given(USAGE)
def test_each_combination_comes_once_in_order_and_nothing_is_lost(usage: list[Combination]) -> None:
    found = combine(usage, ("model", "kind"))
    keys = [
        tuple((name in each.dimensions, each.dimensions.get(name, "")) for name in ("model", "kind")) for each in found
    ]
    assert keys == sorted(set(keys))
    with localcontext(prec=5):
        assert add_up(each.quantity for each in found) == add_up(each.quantity for each in usage)
    assert sum(each.events for each in found) == sum(each.events for each in usage)
