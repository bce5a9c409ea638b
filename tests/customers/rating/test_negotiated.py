"""What negotiated terms make of periods and charges; pure."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.periods import Interval, Period
from catalog.pricing.book import FlatCharge, PriceBook, Row, Timing, Unmatched, UsageCharge
from catalog.pricing.models import computing
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.price import per_unit
from customers.rating import negotiated
from customers.rating.negotiated import Negotiated, What

START = datetime(2024, 1, 1, tzinfo=UTC)
JANUARY = Period(START, datetime(2024, 2, 1, tzinfo=UTC))
ROWS = (Row(1, 0, {"model": "a"}, PerUnit(Decimal(2))), Row(2, 1, {}, PerUnit(Decimal(1))))
TOKENS = UsageCharge(7, 0, "tokens", "Tokens", 3, 5, "token", ("model",), ROWS, Unmatched.HOLD)
SEATS = FlatCharge(8, 1, "seats", "Seats", 4, Timing.ARREARS, Decimal(30))
BOOK = PriceBook(1, "Plan v1", "USD", Interval.MONTH, (SEATS, TOKENS), cap=Decimal(500))


def day(number: int) -> datetime:
    return START + timedelta(days=number - 1)


def term(what: What, number: str | None = None, first: int = 1, last: int | None = None, **fields: Any) -> Negotiated:
    at = {"starts_at": day(first), "ends_at": None if last is None else day(last), "since": START}
    amount = None if number is None else Decimal(number)
    return Negotiated(
        **{"id": 11, "what": what, "charge": "tokens", "number": amount, "said": {"id": 11}, **at, **fields}
    )


def test_a_period_is_cut_where_a_term_begins_or_ends_within_it() -> None:
    terms = [term(What.MINIMUM, "1", 5, 12), term(What.CAP, "9", 12), term(What.CAP, "9", -40, 40)]
    assert negotiated.parts(JANUARY, terms) == [
        Period(day(1), day(5)),
        Period(day(5), day(12)),
        Period(day(12), day(32)),
    ]
    assert [len(negotiated.holding(part, terms)) for part in negotiated.parts(JANUARY, terms)] == [1, 2, 2]
    assert negotiated.parts(JANUARY, [term(What.CAP, "9", 1, 32)]) == [JANUARY]


@given(st.lists(st.tuples(st.integers(-40, 70), st.integers(0, 50)), max_size=6))
def test_parts_are_the_period_and_each_term_holds_in_a_part_wholly_or_not(bounds: list[tuple[int, int]]) -> None:
    terms = [term(What.CAP, "1", first, first + length) for first, length in bounds]
    parts = negotiated.parts(JANUARY, terms)
    assert (parts[0].start, parts[-1].end) == (JANUARY.start, JANUARY.end)
    assert all(one.end == other.start and one.start < one.end for one, other in pairwise(parts))
    for part in parts:
        for each in terms:
            inside = part.clip(each.starts_at, each.ends_at)
            length = inside.end - inside.start
            assert length in (timedelta(0), part.end - part.start)
            if each.starts_at != each.ends_at:
                assert each.holds_in(part) == bool(length)


def test_a_price_stands_in_the_place_of_the_row_with_the_same_values() -> None:
    price = term(What.PRICE, match={"model": "a"}, price=per_unit(Decimal("1.5")))
    charge = negotiated.usage_charge(TOKENS, [price])
    assert charge.rows == (Row(-11, 0, {"model": "a"}, computing(per_unit(Decimal("1.5")))), ROWS[1])
    assert TOKENS.rows == ROWS


def test_a_row_that_the_plan_does_not_have_comes_before_all() -> None:
    charge = negotiated.usage_charge(TOKENS, [term(What.PRICE, match={"model": "b"}, price=per_unit(Decimal(9)))])
    assert [(row.id, row.position) for row in charge.rows] == [(-11, -1), (1, 0), (2, 1)]


def test_included_minimum_and_cap_are_those_of_the_charge_alone() -> None:
    terms = [term(What.INCLUDED, "100"), term(What.MINIMUM, "5"), term(What.CAP, None), term(What.CAP, "7", charge="")]
    charge = negotiated.usage_charge(TOKENS, terms)
    assert (charge.included, charge.minimum, charge.cap) == (Decimal(100), Decimal(5), None)
    assert charge.rows is TOKENS.rows


def test_what_is_about_others_leaves_a_charge_the_very_same() -> None:
    others = [term(What.INCLUDED, "1", charge="calls"), term(What.DISCOUNT, "10", charge="")]
    assert negotiated.usage_charge(TOKENS, others) is TOKENS
    assert negotiated.flat_charge(SEATS, others) is SEATS
    assert negotiated.book(BOOK, others) is BOOK


def test_a_fee_is_negotiated_by_its_code() -> None:
    assert negotiated.flat_charge(SEATS, [term(What.FEE, "20", charge="seats")]).amount == Decimal(20)
    assert negotiated.flat_charge(SEATS, [term(What.FEE, "20", charge="support")]) is SEATS


@pytest.mark.parametrize(("named", "product"), [(None, 3), (9, 9)])
def test_a_minimum_of_all_usage_has_the_plans_product_or_that_of_its_first_usage(
    named: int | None, product: int
) -> None:
    plan = PriceBook(1, "Plan v1", "USD", Interval.MONTH, (SEATS, TOKENS), commitment_product=named)
    book = negotiated.book(plan, [term(What.MINIMUM, "100", charge="")])
    assert (book.minimum, book.cap, book.commitment_product) == (Decimal(100), None, product)
    assert negotiated.book(BOOK, [term(What.CAP, None, charge="")]).cap is None


def test_which_terms_cut_what() -> None:
    price, fee, off = term(What.PRICE), term(What.FEE, "1", charge="seats"), term(What.DISCOUNT, "5", charge="")
    least = term(What.MINIMUM, "1", charge="")
    every = [price, fee, off, least]
    assert negotiated.of_usage_charge(every, TOKENS) == [price, off, least]
    assert negotiated.of_fee(every, SEATS) == [fee, off]
    assert negotiated.of_book(every) == [least]


def test_explanations_name_what_they_rest_on() -> None:
    price, other = term(What.PRICE), term(What.PRICE, id=12, said={"id": 12})
    assert negotiated.named([price, other, term(What.CAP, "1")], What.PRICE, row=-12) == {"overrides": [{"id": 12}]}
    assert negotiated.named([price], What.PRICE, What.INCLUDED, row=1) == {}
    assert What.PRICE.label == "Price of a row"
