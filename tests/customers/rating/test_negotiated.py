"""What negotiated terms make of periods and charges; pure."""

from dataclasses import replace
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
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
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


def test_a_number_is_that_of_the_term_that_holds_or_the_plans_own() -> None:
    terms = [term(What.INCLUDED, "100", 5, 12), term(What.CAP, None, 12)]
    before, inside, after = negotiated.parts(JANUARY, terms)
    held = [negotiated.number(What.INCLUDED, Decimal(7), part, terms) for part in (before, inside, after)]
    assert held == [7, 100, 7]
    assert [negotiated.number(What.CAP, Decimal(9), part, terms) for part in (inside, after)] == [9, None]
    assert [term(What.CAP, "1", 5, 12).meets(part) for part in (before, inside, after)] == [False, True, False]
    assert term(What.CAP, "1", 12).meets(JANUARY)


def test_what_is_about_others_leaves_a_charge_the_very_same() -> None:
    others = [term(What.INCLUDED, "1", charge="calls"), term(What.DISCOUNT, "10", charge="")]
    assert negotiated.usage_charge(TOKENS, others) is TOKENS
    assert negotiated.flat_charge(SEATS, others) is SEATS


def test_a_fee_is_negotiated_by_its_code() -> None:
    assert negotiated.flat_charge(SEATS, [term(What.FEE, "20", charge="seats")]).amount == Decimal(20)
    assert negotiated.flat_charge(SEATS, [term(What.FEE, "20", charge="support")]) is SEATS


def test_only_what_asks_for_the_usage_of_its_days_cuts_it() -> None:
    price, fee, off = term(What.PRICE), term(What.FEE, "1", charge="seats"), term(What.DISCOUNT, "5", charge="")
    least, units = term(What.MINIMUM, "1", 5), term(What.INCLUDED, "1", 5)
    every = [fee, off, least, units, price]
    assert negotiated.cutting(every, TOKENS, BOOK, JANUARY) == [price, off]
    seats = replace(TOKENS, adds_up=False)
    assert negotiated.cutting(every, seats, BOOK, JANUARY) == [price]
    assert negotiated.about(every, "seats", What.FEE, What.DISCOUNT) == [fee]


@pytest.mark.parametrize(
    ("plan", "number", "first", "cuts"),
    [
        (None, "10", 5, True),  # none before the 5th
        (None, "10", 1, False),
        ("7", "10", 5, False),
        ("7", None, 5, True),  # none from the 5th on
        ("7", None, 1, False),
    ],
)
@pytest.mark.parametrize("code", ["tokens", ""])
def test_a_cap_cuts_where_there_is_none_on_other_days(
    plan: str | None, number: str | None, first: int, cuts: bool, code: str
) -> None:
    cap = None if plan is None else Decimal(plan)
    charge = replace(TOKENS, cap=cap if code else None)
    book = replace(BOOK, cap=None if code else cap)
    agreed = [term(What.CAP, number, first, charge=code)]
    assert negotiated.cutting(agreed, charge, book, JANUARY) == (agreed if cuts else [])
    assert negotiated.cutting(agreed, replace(charge, adds_up=False), book, JANUARY) == []


def test_a_negotiated_price_owes_nothing_without_usage_where_there_are_dimensions() -> None:
    fee = Price(Model.GRADUATED, tiers=(Tier(None, Decimal(1), Decimal(5)),))
    for dimensions, owed in ((("model",), 0), ((), 5)):
        charge = negotiated.usage_charge(
            replace(TOKENS, dimensions=dimensions), [term(What.PRICE, match={}, price=fee)]
        )
        (row,) = [row for row in charge.rows if row.id == -11]
        assert row.price.price(Decimal(0), "token", 0).amount == owed  # type: ignore[union-attr]


def test_explanations_name_what_they_rest_on() -> None:
    price, other = term(What.PRICE), term(What.PRICE, id=12, said={"id": 12})
    assert negotiated.named([price, other, term(What.CAP, "1")], What.PRICE, row=-12) == {"overrides": [{"id": 12}]}
    assert negotiated.named([price], What.PRICE, What.INCLUDED, row=1) == {}
    assert What.PRICE.label == "Price of a row"
