"""What minimums and caps add to lines of usage, by hand; and what of units and amounts is due by days."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.periods import Interval, Period
from catalog.pricing.book import FlatCharge, PriceBook, Timing, Unmatched, UsageCharge
from customers.rating.commitments import Commitment, Contradictory, Part, commitment_lines
from customers.rating.negotiated import Negotiated, What
from customers.rating.rated import LineKind, RatedLine
from customers.rating.segments import Held, allowances, prorated, share_in

D = Decimal
NOVEMBER = Period(datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC))
MIDDLE = datetime(2023, 11, 16, tzinfo=UTC)
HALVES = (Period(NOVEMBER.start, MIDDLE), Period(MIDDLE, NOVEMBER.end))
TOKENS = UsageCharge(5, 0, "tokens", "Tokens", 3, 1, "token", (), (), Unmatched.HOLD)


def book(currency: str = "USD", **terms: object) -> PriceBook:
    return PriceBook(11, "Chatbot v1", currency, Interval.MONTH, (TOKENS,), **terms)  # type: ignore[arg-type]


def committed(
    minimum: Decimal | None = None,
    cap: Decimal | None = None,
    days: int = 30,
    charge: UsageCharge | None = TOKENS,
    of: PriceBook | None = None,
) -> Commitment:
    return Commitment(of or book(), charge, [Part(NOVEMBER, days, minimum, cap)], 30, "UTC")


def halves(*terms: tuple[str | None, str | None], charge: UsageCharge | None = TOKENS) -> Commitment:
    """(minimum, cap) of each half of November."""
    parts = [
        Part(half, 15, *(None if each is None else D(each) for each in both))
        for half, both in zip(HALVES, terms, strict=True)
    ]
    return Commitment(book(), charge, parts, 30, "UTC")


def used(*amounts: str, product: int = 3, service: Period = NOVEMBER) -> list[RatedLine]:
    return [
        RatedLine(LineKind.USAGE, 5, product, "Tokens", {}, D(1), "token", D(1), D(each), service, {})
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
    lines = commitment_lines(committed(**terms, days=days), used(*amounts))
    assert told(lines) == expected
    assert all((line.quantity, line.unit_price, line.service) == (1, line.amount, NOVEMBER) for line in lines)


def test_the_arithmetic_is_told() -> None:
    [line] = commitment_lines(committed(D(10), days=7), used("1.00"))
    assert line.description == "Tokens · minimum commitment"
    assert line.explanation["charge"] == "tokens"
    assert line.explanation["steps"] == ["minimum 2.333333333333… − usage 1 = 1.333333333333…", "rounded to 1.33"]


def test_all_usage_is_filled_up_as_a_product_of_its_own() -> None:
    it = committed(D(100), days=15, charge=None, of=book(commitment_product=9))
    [line] = commitment_lines(it, [*used("10.00"), *used("5.00", product=4)])
    assert told([line]) == [("minimum", None, 9, "35.00")]
    assert line.explanation["charge"] is None
    assert commitment_lines(it, used("50.00")) == []


def test_a_minimum_of_all_usage_that_names_no_product_is_the_first_usage_charges() -> None:
    assert told(commitment_lines(committed(D(100), charge=None), [])) == [("minimum", None, 3, "100.00")]
    seats = FlatCharge(6, 0, "seats", "Seats", 8, Timing.ARREARS, D(1))
    for charges, product in (((seats, TOKENS), 3), ((seats,), 8)):
        it = committed(D(100), charge=None, of=replace(book(), charges=charges))
        assert told(commitment_lines(it, [])) == [("minimum", None, product, "100.00")]


def test_a_credit_of_all_usage_is_split_by_what_is_sold() -> None:
    it = committed(cap=D(20), charge=None)
    lines = commitment_lines(it, [*used("20.00"), *used("10.00", product=4)])
    assert told(lines) == [("cap", None, 3, "-6.67"), ("cap", None, 4, "-3.33")]
    assert lines[0].explanation["share"] == "-6.67 of -10.00, by what each product's usage comes to"
    [line] = commitment_lines(it, [*used("30.00"), *used("-5.00", product=4)])
    assert told([line]) == [("cap", None, 3, "-5.00")]
    assert "share" not in line.explanation


@pytest.mark.parametrize(
    ("terms", "amounts", "expected"),
    [
        # 9.99 × 15 ÷ 30 twice is 9.99, not twice 5.00
        ([("9.99", None), ("9.99", None)], ("0.00", "0.00"), [("minimum", "9.99")]),
        ([(None, "9.99"), (None, "9.99")], ("50.00", "50.00"), [("cap", "-90.01")]),
        # 100 × 15 ÷ 30 + 200 × 15 ÷ 30, of all that was used, whenever that was
        ([("100", None), ("200", None)], ("140.00", "0.00"), [("minimum", "10.00")]),
        ([(None, "100"), (None, "200")], ("160.00", "0.00"), [("cap", "-10.00")]),
        ([(None, None), ("62", None)], ("0.00", "6.00"), [("minimum", "25.00")]),
        # a cap from the 16th on is of what comes from then on
        ([(None, None), (None, "100")], ("80.00", "60.00"), [("cap", "-10.00")]),
        ([(None, "100"), (None, None)], ("40.00", "999.00"), []),
        # 500 − 100 ÷ 2 = 450 taken back; the 50 that are left are filled up to 100
        ([("100", None), ("100", "100")], ("0.00", "500.00"), [("cap", "-450.00"), ("minimum", "50.00")]),
    ],
)
@pytest.mark.parametrize("charge", [TOKENS, None])
def test_parts_of_a_period_come_to_what_they_say_by_days(
    terms: list[tuple[str | None, str | None]],
    amounts: tuple[str, str],
    expected: list[tuple[str, str]],
    charge: UsageCharge | None,
) -> None:
    lines = [line for amount, half in zip(amounts, HALVES, strict=True) for line in used(amount, service=half)]
    found = commitment_lines(halves(*terms, charge=charge), lines)
    assert [(line.kind.value, str(line.amount)) for line in found] == expected


def test_of_a_line_that_cannot_be_cut_a_cap_sees_its_days() -> None:
    """200 of the whole month, a cap of 100 from the 16th on: 100 of it against 50."""
    [line] = commitment_lines(halves((None, None), (None, "100")), used("200.00"))
    assert (str(line.amount), line.service) == ("-50.00", HALVES[1])


def test_a_negotiated_one_is_named() -> None:
    term = Negotiated(7, What.MINIMUM, "tokens", NOVEMBER.start, None, NOVEMBER.start, D(10), said={"id": 7})
    other = replace(term, id=8, what=What.CAP, said={"id": 8})
    [line] = commitment_lines(replace(committed(D(10)), negotiated=(term, other)), used("4.00"))
    assert line.explanation["overrides"] == [{"id": 7}]
    [line] = commitment_lines(replace(committed(cap=D(3), charge=None), negotiated=(term, other)), used("4.00"))
    assert line.explanation["overrides"] == [{"id": 8}]


def test_a_minimum_above_the_cap_is_refused() -> None:
    with pytest.raises(Contradictory, match="The minimum of “Tokens” of Chatbot v1, 10, is above its cap, 5"):
        commitment_lines(halves((None, None), ("10", "5")), [])
    with pytest.raises(Contradictory, match="The minimum of all usage of Chatbot v1, 10, is above its cap, 5"):
        commitment_lines(committed(D(10), D(5), charge=None), [])


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
    credited = commitment_lines(committed(cap=cap, charge=None, of=book(currency)), lines)
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
    assert allowances([[Held(given_, days)]], 30, places) == [D(expected)]


def test_parts_of_an_allowance_add_up() -> None:
    """31.5 units in three parts of 10 days are 11 + 10 + 10.5: each is what is due to its end less what was before."""
    assert allowances([[Held(D("31.5"), 10)]] * 3, 30, 0) == [D(11), D(10), D("10.5")]
    assert allowances([[Held(D(100), 10), Held(D(200), 5)], [Held(D(200), 15)]], 30, 0) == [D(67), D(100)]
    assert allowances([[Held(None, 15)], [Held(D(0), 15)]], 30, 0) == [D(0), D(0)]


@given(st.lists(st.tuples(st.decimals(0, 10**6, places=2), st.integers(0, 10)), min_size=1, max_size=4))
def test_what_is_due_is_never_more_than_the_greatest(parts: list[tuple[Decimal, int]]) -> None:
    full_days = max(sum(days for _, days in parts), 1)
    due = prorated([Held(*each) for each in parts], full_days)
    assert 0 <= due <= max(number for number, _ in parts)
    assert sum(allowances([[Held(*each)] for each in parts], full_days, 2)) == sum(
        allowances([[Held(*each) for each in parts]], full_days, 2)
    )


def test_how_much_of_a_line_falls_in_a_part_of_time() -> None:
    assert share_in(NOVEMBER, HALVES[:1], "UTC") == Fraction(1, 2)
    assert share_in(HALVES[0], HALVES[:1], "UTC") == 1
    assert share_in(HALVES[1], HALVES[:1], "UTC") == 0
    assert share_in(NOVEMBER, HALVES, "UTC") == 1
