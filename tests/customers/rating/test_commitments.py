"""What minimums and caps add to lines of usage, by hand; and which part of its terms a segment has."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.periods import Interval, Period
from catalog.pricing.book import PriceBook, Unmatched, UsageCharge
from catalog.pricing.matrix import Matrix
from customers.rating.commitments import Contradictory, Together, of_book, of_charge
from customers.rating.negotiated import Negotiated, What
from customers.rating.rated import LineKind, RatedLine
from customers.rating.segments import Segment

D = Decimal
NOVEMBER = Period(datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC))


def charge(**terms: object) -> UsageCharge:
    return UsageCharge(5, 0, "tokens", "Tokens", 3, 1, "token", (), (), Unmatched.HOLD, **terms)  # type: ignore[arg-type]


def segment(days: int = 30, **terms: object) -> Segment:
    return Segment(NOVEMBER, Matrix(charge(**terms)), days, 30)


def book(currency: str = "USD", **terms: object) -> PriceBook:
    return PriceBook(11, "Chatbot v1", currency, Interval.MONTH, (), **terms)  # type: ignore[arg-type]


def whole(**terms: object) -> Together:
    return Together(book(**terms), NOVEMBER, 30, 30)


def used(*amounts: str, product: int = 3) -> list[RatedLine]:
    return [
        RatedLine(LineKind.USAGE, 5, product, "Tokens", {}, D(1), "token", D(1), D(each), NOVEMBER, {})
        for each in amounts
    ]


def told(lines: Sequence[RatedLine]) -> list[tuple[str, int | None, int, str]]:
    return [(line.kind.value, line.charge, line.product, str(line.amount)) for line in lines]


@pytest.mark.parametrize(
    ("terms", "days", "amounts", "expected"),
    [
        ({}, 30, ["5.00"], []),
        ({"minimum": D(10)}, 30, ["2.50", "3.50"], [("minimum", 5, 3, "4.00")]),
        ({"minimum": D(10)}, 30, ["10.00"], []),
        ({"minimum": D(10)}, 30, [], [("minimum", 5, 3, "10.00")]),
        ({"minimum": D(10)}, 7, ["1.00"], [("minimum", 5, 3, "1.33")]),  # 2.333… − 1
        ({"cap": D(10)}, 30, ["10.01"], [("cap", 5, 3, "-0.01")]),
        ({"cap": D(0)}, 30, ["3.00"], [("cap", 5, 3, "-3.00")]),
        ({"cap": D(10)}, 7, ["3.00"], [("cap", 5, 3, "-0.67")]),
        ({"minimum": D(10), "cap": D(20)}, 30, ["15.00"], []),
        ({"minimum": D(10), "cap": D(10)}, 30, ["4.00"], [("minimum", 5, 3, "6.00")]),
    ],
)
def test_a_charge_is_filled_up_or_credited(
    terms: dict[str, Decimal], days: int, amounts: list[str], expected: list[tuple[str, int, int, str]]
) -> None:
    lines = list(of_charge(book(), segment(days, **terms), used(*amounts)))
    assert told(lines) == expected
    assert all((line.quantity, line.unit_price, line.service) == (1, line.amount, NOVEMBER) for line in lines)


def test_the_arithmetic_is_told() -> None:
    [line] = of_charge(book(), segment(7, minimum=D(10)), used("1.00"))
    assert line.description == "Tokens · minimum commitment"
    assert line.explanation["charge"] == "tokens"
    assert line.explanation["steps"] == ["minimum 2.333333333333… − usage 1 = 1.333333333333…", "rounded to 1.33"]


def test_all_usage_is_filled_up_as_a_product_of_its_own() -> None:
    terms = book(minimum=D(100), commitment_product=9)
    [line] = of_book(Together(terms, NOVEMBER, 15, 30), [*used("10.00"), *used("5.00", product=4)])
    assert told([line]) == [("minimum", None, 9, "35.00")]
    assert line.explanation["charge"] is None
    assert list(of_book(Together(terms, NOVEMBER, 15, 30), used("50.00"))) == []


def test_a_credit_of_all_usage_is_split_by_what_is_sold() -> None:
    lines = list(of_book(whole(cap=D(20)), [*used("20.00"), *used("10.00", product=4)]))
    assert told(lines) == [("cap", None, 3, "-6.67"), ("cap", None, 4, "-3.33")]
    assert lines[0].explanation["share"] == "-6.67 of -10.00, by what each product's usage comes to"
    [line] = of_book(whole(cap=D(20)), [*used("30.00"), *used("-5.00", product=4)])
    assert told([line]) == [("cap", None, 3, "-5.00")]
    assert "share" not in line.explanation


def test_a_part_of_the_period_looks_at_the_lines_within_it() -> None:
    half = Period(NOVEMBER.start, datetime(2023, 11, 16, tzinfo=UTC))
    lines = [replace(line, service=half) for line in used("10.00")]
    together = Together(book(minimum=D(100), commitment_product=9), half, 15, 30)
    assert told(list(of_book(together, [*lines, *used("40.00")]))) == [("minimum", None, 9, "40.00")]


def test_a_negotiated_one_is_named() -> None:
    term = Negotiated(7, What.MINIMUM, "tokens", NOVEMBER.start, None, NOVEMBER.start, D(10), said={"id": 7})
    other = replace(term, id=8, what=What.CAP, said={"id": 8})
    held = replace(segment(minimum=D(10)), negotiated=(term, other))
    [line] = of_charge(book(), held, used("4.00"))
    assert line.explanation["overrides"] == [{"id": 7}]
    [line] = of_book(replace(whole(cap=D(3)), negotiated=(term, other)), used("4.00"))
    assert line.explanation["overrides"] == [{"id": 8}]


def test_a_minimum_above_the_cap_is_refused() -> None:
    with pytest.raises(Contradictory, match="The minimum of “Tokens” of Chatbot v1, 10, is above its cap, 5"):
        list(of_charge(book(), segment(minimum=D(10), cap=D(5)), []))
    with pytest.raises(Contradictory, match="The minimum of all usage of Chatbot v1, 10, is above its cap, 5"):
        list(of_book(whole(minimum=D(10), cap=D(5)), []))


@given(
    st.lists(st.tuples(st.integers(1, 4), st.decimals(-10, 1000, places=2)), max_size=8),
    st.decimals(0, 2000, places=2),
    st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_lines_and_credit_come_to_the_cap(parts: list[tuple[int, Decimal]], cap: Decimal, currency: str) -> None:
    places = {"USD": 2, "JPY": 0, "KWD": 2}[currency]
    rounded = [(product, round(amount, places)) for product, amount in parts]
    lines = [line for product, amount in rounded for line in used(str(amount), product=product)]
    cap = round(cap, places)
    credited = list(of_book(Together(book(currency, cap=cap), NOVEMBER, 30, 30), lines))
    total = sum((line.amount for line in [*lines, *credited]), D(0))
    assert total == min(cap, sum((line.amount for line in lines), D(0)))
    assert all(line.amount < 0 for line in credited)


@pytest.mark.parametrize(
    ("included", "places", "days", "expected"),
    [
        (None, None, 7, "0"),
        ("100", None, 30, "100"),
        ("100", None, 7, "23"),  # 23.33…
        ("1e3", None, 7, "233"),
        ("0.5", None, 7, "0.1"),  # 0.1166…
        ("100", 2, 7, "23.33"),
    ],
)
def test_part_of_an_allowance(included: str | None, places: int | None, days: int, expected: str) -> None:
    given_ = None if included is None else D(included)
    assert segment(days, included=given_, places=places).included() == D(expected)
