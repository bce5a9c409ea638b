"""What discounts take off which lines."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.discounts import Discount, InvoiceLine, Taken, in_order, take

DAY = datetime(2024, 1, 1, tzinfo=UTC)


def line(key: int, amount: str, charge: str = "tokens", kind: str = "usage") -> InvoiceLine:
    return InvoiceLine(key, charge, 1, Decimal(amount), kind)


def off(key: int, percent: str | None = None, amount: str | None = None, *charges: str, days: int = 0) -> Discount:
    numbers = [None if each is None else Decimal(each) for each in (percent, amount)]
    return Discount(key, f"Discount {key}", DAY + timedelta(days=days), *numbers, frozenset(charges))


def told(taken: list[Taken]) -> list[tuple[int, str, dict[int, str], str]]:
    return [
        (
            each.discount.key,
            str(each.amount),
            {key: str(share) for key, share in each.by_line.items()},
            str(each.priced.steps[0]),
        )
        for each in taken
    ]


def test_a_percentage_is_rounded_once_and_spread_by_largest_remainder() -> None:
    lines = [line(1, "1.00"), line(2, "1.00")]
    assert told(take(lines, [off(7, "33.33")], "USD")) == [(7, "0.67", {1: "0.34", 2: "0.33"}, "33.33 % of 2 = 0.6666")]


def test_the_next_one_works_on_what_is_left() -> None:
    lines = [line(1, "60.00"), line(2, "40.00", "calls")]
    assert told(take(lines, [off(1, "10"), off(2, "25", days=1), off(3, None, "7.5", days=2)], "USD")) == [
        (1, "10.00", {1: "6.00", 2: "4.00"}, "10 % of 100 = 10"),
        (2, "22.50", {1: "13.50", 2: "9.00"}, "25 % of 90 = 22.5"),
        (3, "7.50", {1: "4.50", 2: "3.00"}, "7.5 off 67.5 = 7.5"),
    ]


def test_those_of_some_charges_go_first_then_the_oldest() -> None:
    found = in_order([off(1, "1", days=1), off(2, "1", days=0), off(3, "1", None, "a", days=9), off(4, "1", days=0)])
    assert [each.key for each in found] == [3, 2, 4, 1]
    lines = [line(1, "10.00"), line(2, "10.00", "calls")]
    assert told(take(lines, [off(1, "50"), off(2, None, "4", "calls", days=5)], "USD")) == [
        (2, "4.00", {2: "4.00"}, "4 off 10 = 4"),
        (1, "8.00", {1: "5.00", 2: "3.00"}, "50 % of 16 = 8"),
    ]


def test_an_amount_that_is_larger_takes_the_rest_and_says_what_remains() -> None:
    lines = [line(1, "10.00"), line(2, "5.00")]
    found = take(lines, [off(1, None, "25"), off(2, None, "3", days=1), off(3, "10", days=2)], "USD")
    assert told(found) == [
        (1, "15.00", {1: "10.00", 2: "5.00"}, "25 off 15, which leaves 10 of it = 15"),
        (2, "0.00", {}, "3 off 0, which leaves 3 of it = 0"),
        (3, "0.00", {}, "10 % of 0 = 0"),
    ]
    assert [each.left for each in found] == [10, 3, None]


def test_a_credit_makes_what_a_discount_works_on_smaller() -> None:
    lines = [line(1, "100.00"), line(2, "65.00"), line(3, "-65.00", kind="cap")]
    assert told(take(lines, [off(1, "50")], "USD")) == [(1, "50.00", {1: "30.30", 2: "19.70"}, "50 % of 100 = 50")]
    assert told(take([line(1, "5.00"), line(2, "-6.00")], [off(1, "50")], "USD")) == [(1, "0.00", {}, "50 % of 0 = 0")]


def test_without_lines_nothing_is_taken() -> None:
    assert told(take([line(1, "5.00")], [off(1, "50", None, "calls")], "USD")) == [(1, "0.00", {}, "50 % of 0 = 0")]


def test_an_amount_is_taken_in_the_currencys_minor_unit() -> None:
    (found,) = take([line(1, "100")], [off(1, None, "2.5")], "JPY")
    assert (found.amount, found.left) == (3, 0)


@pytest.mark.parametrize(
    ("percent", "amount", "message"),
    [
        (None, None, "either a percentage or an amount"),
        ("1", "1", "either a percentage or an amount"),
        ("101", None, "0 to 100 %"),
        ("-1", None, "0 to 100 %"),
        (None, "-1", "an amount of 0 or more"),
    ],
)
def test_a_discount_that_makes_no_sense_is_refused(percent: str | None, amount: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        off(1, percent, amount)


CHARGES = st.sampled_from(["a", "b", "c"])
LINES = st.lists(st.tuples(CHARGES, st.decimals(min_value=0, max_value=10**9, places=2)), max_size=10)
DISCOUNTS = st.lists(
    st.tuples(
        st.one_of(
            st.tuples(st.decimals(min_value=0, max_value=100, places=4), st.none()),
            st.tuples(st.none(), st.decimals(min_value=0, max_value=10**9, places=2)),
        ),
        st.frozensets(CHARGES),
        st.integers(0, 3),
    ),
    max_size=6,
)


@given(LINES, DISCOUNTS)
def test_discounts_add_up_and_never_take_more_than_there_is(
    amounts: list[tuple[str, Decimal]], given_discounts: list[tuple[tuple[Decimal, Decimal], frozenset[str], int]]
) -> None:
    lines = [InvoiceLine(key, charge, 1, amount, "usage") for key, (charge, amount) in enumerate(amounts)]
    discounts = [
        Discount(key, "x", DAY + timedelta(days=days), percent, amount, charges)
        for key, ((percent, amount), charges, days) in enumerate(given_discounts)
    ]
    rest = {each.key: each.amount for each in lines}
    for taken in take(lines, discounts, "USD"):
        discount = taken.discount
        mine = {each.key for each in lines if not discount.charges or each.charge in discount.charges}
        base = sum((rest[key] for key in mine), Decimal(0))
        assert taken.by_line.keys() <= mine
        assert sum(taken.by_line.values(), Decimal(0)) == taken.amount
        assert sum(step.amount for step in taken.priced.steps) == taken.priced.amount
        if discount.amount is None:
            assert discount.percent is not None
            assert abs(taken.amount - base * discount.percent / 100) <= Decimal("0.005")
        else:
            assert (taken.amount, taken.left) == (min(discount.amount, base), discount.amount - taken.amount)
        for key, share in taken.by_line.items():
            rest[key] -= share
    assert all(left >= 0 for left in rest.values())


def test_one_is_for_the_lines_of_its_charges_and_of_its_products_of_those_with_its_keys() -> None:
    lines = [line(1, "10.00"), line(2, "10.00", "calls"), InvoiceLine(3, "seats", 2, Decimal("10.00"), "fee")]
    both = Discount(1, "Both", DAY, Decimal(50), charges=frozenset({"calls"}), products=frozenset({2}))
    assert told(take(lines, [both], "USD"))[0][2] == {2: "5.00", 3: "5.00"}
    some = Discount(1, "Some", DAY, Decimal(50), products=frozenset({1}), lines={2: Fraction(1), 3: Fraction(1)})
    assert told(take(lines, [some], "USD"))[0][2] == {2: "5.00"}
    everything = Discount(2, "All", DAY, Decimal(10))
    assert [each.key for each in in_order([everything, some])] == [1, 2]
