"""Which lines discounts become; pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.periods import Alignment, Interval, Period, Schedule
from catalog.pricing.book import FlatCharge, PriceBook, Timing, Unmatched, UsageCharge
from catalog.pricing.discounts import Discount
from customers.rating.discounting import Offer, discount_lines
from customers.rating.negotiated import Negotiated, What
from customers.rating.rated import LineKind, RatedLine

D = Decimal
START = datetime(2024, 1, 1, tzinfo=UTC)
JANUARY = Period(START, datetime(2024, 2, 1, tzinfo=UTC))
FIRST = Period(START, datetime(2024, 1, 11, tzinfo=UTC))
REST = Period(FIRST.end, JANUARY.end)
FEBRUARY = Period(JANUARY.end, datetime(2024, 3, 1, tzinfo=UTC))
SCHEDULE = Schedule(Interval.MONTH, Alignment.CALENDAR, date(2024, 1, 1), "UTC")
TOKENS = UsageCharge(5, 0, "tokens", "Tokens", 3, 1, "token", (), (), Unmatched.HOLD)
SEATS = FlatCharge(6, 1, "seats", "Seats", 4, Timing.ADVANCE, D(29))
BOOK = PriceBook(11, "Chatbot v1", "USD", Interval.MONTH, (TOKENS, SEATS))


def line(amount: str, charge: int | None = 5, product: int = 3, service: Period = JANUARY) -> RatedLine:
    return RatedLine(LineKind.USAGE, charge, product, "Tokens", {}, D(1), "token", D(1), D(amount), service, {})


def coupon(percent: str | None = "10", **fields: Any) -> Offer:
    numbers = {"percent": None if percent is None else D(percent)}
    return Offer(Discount(1, "Spring (SPRING)", START, **{**numbers, **fields}), {"coupon": {"code": "SPRING"}})


def term(number: str, charge: str = "tokens", *, percentage: bool = True, first: datetime = START) -> Negotiated:
    said = {"id": 7, "name": "Negotiated discount"}
    return Negotiated(7, What.DISCOUNT, charge, first, None, START, D(number), percentage=percentage, said=said)


def lines_of(lines: Sequence[RatedLine], terms: Sequence[Negotiated] = (), *coupons: Offer) -> list[RatedLine]:
    return discount_lines(BOOK, SCHEDULE, lines, [JANUARY, FEBRUARY], terms, coupons)


def told(lines: Sequence[RatedLine]) -> list[tuple[str, int | None, int, str]]:
    return [(line.description, line.charge, line.product, str(line.amount)) for line in lines]


def test_without_discounts_there_are_no_lines() -> None:
    assert lines_of([line("100.00")]) == []
    other = Negotiated(7, What.FEE, "tokens", START, None, START, D(5))
    assert lines_of([line("100.00")], [other]) == []


def test_a_line_for_each_product_with_the_charge_where_it_is_one() -> None:
    lines = [line("100.00"), line("20.00", None), line("29.00", 6, 4, FEBRUARY)]
    found = lines_of(lines, (), coupon())
    assert told(found) == [("Spring (SPRING)", None, 3, "-12.00"), ("Spring (SPRING)", 6, 4, "-2.90")]
    assert [each.service for each in found] == [JANUARY, FEBRUARY]
    assert found[0].explanation == {
        "version": "Chatbot v1",
        "version_id": 11,
        "charge": None,
        "row": None,
        "steps": ["10 % of 149 = 14.9"],
        "share": "12.00 of 14.90, by what is left of each line, largest remainder",
        "coupon": {"code": "SPRING"},
    }
    assert (found[0].kind, found[0].quantity, found[0].unit_price) == (LineKind.DISCOUNT, 1, D("-12.00"))


def test_a_percentage_is_of_the_lines_of_the_days_on_which_it_holds() -> None:
    lines = [line("100.00", service=FIRST), line("50.00", service=REST), line("29.00", 6, 4, FEBRUARY)]
    assert told(lines_of(lines, [term("10", first=FIRST.end)])) == [("Negotiated discount", 5, 3, "-5.00")]
    found = lines_of(lines, [term("10", "", first=FIRST.end)])
    assert told(found) == [("Negotiated discount", 5, 3, "-5.00"), ("Negotiated discount", 6, 4, "-2.90")]
    assert found[0].explanation["overrides"] == [{"id": 7, "name": "Negotiated discount"}]


def test_an_amount_is_of_a_full_period_and_prorated_by_the_days_on_which_it_holds() -> None:
    lines = [line("100.00", service=FIRST), line("3.00", service=REST)]
    assert told(lines_of(lines, [term("31", percentage=False)])) == [("Negotiated discount", 5, 3, "-31.00")]
    # 31 × 21 ÷ 31, and no more than there is
    found = lines_of(lines, [term("31", percentage=False, first=REST.start)])
    assert told(found) == [("Negotiated discount", 5, 3, "-3.00")]
    assert found[0].explanation["steps"] == ["21 off 3, which leaves 18 of it = 3"]


def test_an_amount_is_taken_off_each_period_of_the_invoice() -> None:
    lines = [line("100.00", 6, 4), line("29.00", 6, 4, FEBRUARY)]
    later = replace(term("29", "seats", percentage=False), ends_at=datetime(2024, 2, 11, tzinfo=UTC))
    # all of January; 29 × 10 ÷ 29 of February, of whose fee 10 of 29 days are in it
    assert told(lines_of(lines, [later])) == [
        ("Negotiated discount", 6, 4, "-29.00"),
        ("Negotiated discount", 6, 4, "-10.00"),
    ]
    before = replace(later, starts_at=datetime(2023, 11, 1, tzinfo=UTC), ends_at=datetime(2023, 12, 1, tzinfo=UTC))
    assert lines_of(lines, [before]) == []


def test_a_negotiated_one_goes_first_when_it_is_of_one_charge() -> None:
    found = lines_of([line("100.00")], [term("50")], coupon("10"), coupon(None, amount=D(1), products=frozenset({3})))
    assert [str(each.amount) for each in found] == ["-50.00", "-1.00", "-4.90"]
    assert found[0].explanation["charge"] == "tokens"


def test_a_discount_on_one_charge_takes_no_more_than_a_cap_on_all_usage_leaves() -> None:
    """1,000 of tokens, capped at 100: half of what is paid is 50, and the invoice does not fall to −400."""
    capped = [line("1000.00"), line("-900.00", None)]
    assert [str(each.amount) for each in lines_of(capped, [], coupon("50", charges=frozenset({"tokens"})))] == [
        "-50.00"
    ]
    assert [str(each.amount) for each in lines_of(capped, [term("50")])] == ["-50.00"]
    late = term("50", "", first=REST.start)
    halves = [line("0.00", service=FIRST), line("1000.00", service=REST), line("-900.00", None)]
    assert [str(each.amount) for each in lines_of(halves, [late])] == ["-50.00"]


@given(
    st.lists(
        st.tuples(st.decimals(-500, 500, places=2), st.sampled_from([3, 4]), st.sampled_from([5, None])), max_size=6
    ),
    st.lists(st.integers(1, 100), max_size=4),
    st.decimals(0, 300, places=2),
)
def test_what_is_left_is_never_below_nothing(
    amounts: list[tuple[Decimal, int, int | None]], percents: list[int], amount: Decimal
) -> None:
    lines = [line(str(each), charge, product) for each, product, charge in amounts]
    found = lines_of(lines, [term("20")], *(coupon(str(each)) for each in percents), coupon(None, amount=amount))
    before, off = (sum((each.amount for each in some), D(0)) for some in (lines, found))
    assert before + off >= min(before, D(0))
    assert all(each.amount < 0 for each in found)
    assert (
        lines_of(lines, [term("20")], *(coupon(str(each)) for each in percents), coupon(None, amount=amount)) == found
    )


def test_a_credit_of_a_cap_goes_with_the_usage_that_it_takes_back() -> None:
    """Half of the 30 of 40 that were used in its days: a credit of 20 is 15 of theirs, so 7.50 of 15."""
    used = [line("10.00", service=FIRST), line("30.00", service=REST)]
    late = term("50", "", first=REST.start)
    for charge in (5, None):
        [found] = lines_of([*used, replace(line("-20.00", charge), kind=LineKind.CAP)], [late])
        assert (str(found.amount), found.explanation["steps"][0]) == (
            "-7.50",
            "50 % of 15, so much of the lines as its days have = 7.5",
        )
    # of another product, or of no usage that is known: by its days, 21 of 31
    other = replace(line("-3.10", None, 9), kind=LineKind.CAP)
    [found] = lines_of([*used, other], [late])
    assert str(found.amount) == "-13.95"  # half of 30 − 2.10


@given(
    st.lists(st.decimals(0, 3, places=2), min_size=1, max_size=8),
    st.integers(1, 100),
    st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 31)),  # noqa: DTZ001 - made one of UTC below
)
def test_a_share_of_a_line_never_takes_more_than_the_line(amounts: list[Decimal], percent: int, at: datetime) -> None:
    lines = [line(str(amount)) for amount in amounts]
    first = at.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
    found = lines_of(lines, [term(str(percent), "", first=first), replace(term(str(percent), ""), id=8)])
    assert 0 >= sum(each.amount for each in found) >= -sum(amounts)
