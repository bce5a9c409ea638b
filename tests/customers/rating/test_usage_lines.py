"""Usage lines worked by hand: rows, rounding, shares, and what no row prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_site.foundation.money import EXACT, round_amount
from billing_site.foundation.periods import Interval, Period
from catalog.pricing.book import CostDimensions, PriceBook, PriceModel, PricesEach, Row, Unmatched, UsageCharge
from catalog.pricing.combining import Combination
from catalog.pricing.cost_plus import CostPlus
from catalog.pricing.graduated import Graduated
from catalog.pricing.matrix import Matrix
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.stairstep import Stairstep
from catalog.pricing.tiers import Tier
from customers.rating.rated import RatedLine
from customers.rating.segments import Segment
from customers.rating.usage_lines import usage_lines

NOVEMBER = Period(datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Usage:
    dimensions: Mapping[str, str]
    quantity: Decimal
    events: int = 1


def used(*rows: tuple[str, str | int]) -> list[Usage]:
    """Each “model token_type” (a “-” is a missing value) and its quantity."""
    return [
        Usage(
            {name: value for name, value in zip(("model", "token_type"), words.split(), strict=True) if value != "-"},
            Decimal(quantity),
        )
        for words, quantity in rows
    ]


def rated(
    rows: Sequence[tuple[str, str]],
    usage: Sequence[Usage],
    currency: str = "USD",
    unmatched: Unmatched = Unmatched.HOLD,
) -> tuple[list[RatedLine], list[str]]:
    """`rows`: “model token_type” (a “*” matches anything) and the unit price."""
    made = tuple(
        Row(
            100 + position,
            position,
            {name: value for name, value in zip(("model", "token_type"), words.split(), strict=True) if value != "*"},
            PerUnit(Decimal(price)),
        )
        for position, (words, price) in enumerate(rows)
    )
    charge = UsageCharge(5, 0, "tokens", "Tokens", 3, 1, "token", ("model", "token_type"), made, unmatched)
    book = PriceBook(11, "Chatbot v1", currency, Interval.MONTH, (charge,))
    return usage_lines(book, [Segment(NOVEMBER, Matrix(charge))], [usage])


def shown(lines: Sequence[RatedLine]) -> list[tuple[str, str, str]]:
    return [(line.description, str(line.quantity), str(line.amount)) for line in lines]


CHATBOT = [
    ("gpt-a input", "0.00001"),
    ("gpt-a output", "0.00003"),
    ("gpt-b input", "0.000002"),
    ("gpt-b output", "0.000006"),
    ("* *", "0.00002"),
]


def test_the_chatbot_plan_comes_to_680_dollars() -> None:
    usage = used(
        ("gpt-c input", 1_250_000),
        ("gpt-b output", 5_000_000),
        ("gpt-b input", 25_000_000),
        ("gpt-a output", 11_833_333),
        ("gpt-a input", 22_000_000),
    )
    lines, problems = rated(CHATBOT, usage)
    assert problems == []
    # 22,000,000 × 0.00001 = 220; 11,833,333 × 0.00003 = 354.99999; 25,000,000 × 0.000002 = 50; 5,000,000 × 0.000006 =
    # 30; 1,250,000 × 0.00002 = 25
    assert shown(lines) == [
        ("Tokens · gpt-a · input", "22000000", "220.00"),
        ("Tokens · gpt-a · output", "11833333", "355.00"),
        ("Tokens · gpt-b · input", "25000000", "50.00"),
        ("Tokens · gpt-b · output", "5000000", "30.00"),
        ("Tokens · gpt-c · input", "1250000", "25.00"),
    ]
    assert sum(line.amount for line in lines) == Decimal("680.00")
    assert lines[1].explanation == {
        "version": "Chatbot v1",
        "version_id": 11,
        "charge": "tokens",
        "row": {"id": 101, "match": {"model": "gpt-a", "token_type": "output"}},
        "steps": ["11,833,333 token × 0.00003 = 354.99999", "rounded to 355.00"],
    }
    assert (lines[1].unit, lines[1].unit_price, lines[1].service) == ("token", Decimal("0.00003"), NOVEMBER)
    assert lines[1].dimensions == {"model": "gpt-a", "token_type": "output"}


def test_three_combinations_share_what_their_row_rounds_to() -> None:
    lines, _ = rated([("* *", "0.001")], used(("a input", 16), ("b input", 16), ("c input", 16)))
    # 48 × 0.001 = 0.048 → 0.05, and not three times round(0.016) = 0.06. Each has a share of 1⅔ cents: the first two
    # round up.
    assert shown(lines) == [
        ("Tokens · a · input", "16", "0.02"),
        ("Tokens · b · input", "16", "0.02"),
        ("Tokens · c · input", "16", "0.01"),
    ]
    assert lines[0].explanation["steps"] == ["48 token × 0.001 = 0.048", "rounded to 0.05"]
    assert [line.explanation["share"] for line in lines[1:]] == [
        "16 of 48 token in this row: 0.02 of 0.05, by largest remainder",
        "16 of 48 token in this row: 0.01 of 0.05, by largest remainder",
    ]


@pytest.mark.parametrize(
    ("currency", "quantity", "amount"),
    [
        ("JPY", 2_500, "3"),
        ("JPY", 2_499, "2"),
        ("USD", 25, "0.03"),
        ("KWD", 2, "0.002"),
        ("KWD", "2.5", "0.003"),
        ("USD", -25, "-0.03"),
    ],
)
def test_half_a_minor_unit_goes_away_from_zero(currency: str, quantity: int, amount: str) -> None:
    lines, _ = rated([("* *", "0.001")], used(("a input", quantity)), currency)
    assert [str(line.amount) for line in lines] == [amount]


def test_usage_taken_back_never_makes_another_combination_cheaper() -> None:
    lines, _ = rated([("* *", "0.01")], used(("a input", 300), ("b input", -100), ("c input", 100)))
    assert shown(lines) == [
        ("Tokens · a · input", "300", "3.00"),
        ("Tokens · b · input", "-100", "-1.00"),
        ("Tokens · c · input", "100", "1.00"),
    ]


def test_quantities_that_cancel_out_leave_two_lines_and_nothing_to_pay() -> None:
    lines, _ = rated([("* *", "0.333")], used(("a input", 5), ("b input", -5)))
    assert sum(line.amount for line in lines) == 0
    assert [line.quantity for line in lines] == [5, -5]


def test_no_quantity_no_line() -> None:
    lines, problems = rated([("a input", "1")], used(("a input", 0), ("z input", 0)))
    assert (lines, problems) == ([], [])
    assert rated(CHATBOT, []) == ([], [])


def test_a_missing_value_falls_to_the_wildcard_and_is_not_named() -> None:
    lines, _ = rated(CHATBOT, used(("- input", 100_000), ("- -", 50_000)))
    assert shown(lines) == [("Tokens", "50000", "1.00"), ("Tokens · input", "100000", "2.00")]
    assert [dict(line.dimensions) for line in lines] == [{}, {"token_type": "input"}]


def test_usage_without_a_price_holds_the_invoice_and_says_what_to_do() -> None:
    lines, problems = rated(CHATBOT[:1], used(("gpt-a input", 100_000), ("gpt-z output", "1234.5"), ("- -", 7)))
    assert shown(lines) == [("Tokens · gpt-a · input", "100000", "1.00")]
    mend = (
        "Publish a version of the plan with a row for it, or with a row of only *,"
        " and move the subscription to that version."
    )
    assert problems == [
        f"“Tokens” of Chatbot v1 has no price for usage without dimensions: 7 token. {mend}",
        f"“Tokens” of Chatbot v1 has no price for model = gpt-z, token_type = output: 1,234.5 token. {mend}",
    ]


def test_usage_without_a_price_can_be_free_and_says_so() -> None:
    lines, problems = rated(CHATBOT[:1], used(("gpt-z output", 9), ("gpt-a input", 100_000)), "JPY", Unmatched.ZERO)
    assert problems == []
    assert shown(lines) == [
        ("Tokens · gpt-a · input", "100000", "1"),
        ("Tokens · gpt-z · output (not priced)", "9", "0"),
    ]
    assert (lines[1].unit_price, lines[1].explanation["row"]) == (0, None)
    assert lines[1].explanation["steps"] == [
        "no row prices model = gpt-z, token_type = output; the charge says to charge nothing for such usage"
    ]


def charged(
    price: PriceModel | PricesEach,
    usage: Sequence[Usage],
    dimensions: tuple[str, ...] = ("model",),
    policy: Unmatched = Unmatched.HOLD,
) -> tuple[list[RatedLine], list[str]]:
    charge = UsageCharge(7, 0, "tokens", "Tokens", 3, 1, "token", dimensions, (Row(1, 0, {}, price),), policy)
    book = PriceBook(9, "Chatbot v1", "USD", Interval.MONTH, (charge,))
    return usage_lines(book, [Segment(NOVEMBER, Matrix(charge))], [usage])


def test_lines_of_tiers_have_no_unit_price_and_share_the_amount_of_their_row() -> None:
    tiers = [Tier(Decimal(100), Decimal("0.02")), Tier(None, Decimal("0.01"), Decimal(5))]
    usage = [Usage({"model": "a"}, Decimal(60)), Usage({"model": "b"}, Decimal(140))]
    lines, _ = charged(Graduated(tiers, flat_at_zero=False), usage)
    assert shown(lines) == [("Tokens · a", "60", "2.40"), ("Tokens · b", "140", "5.60")]
    assert [line.unit_price for line in lines] == [None, None]
    assert lines[0].explanation["steps"] == [
        "tier 1, up to 100 token: 100 token × 0.02 = 2",
        "tier 2, above 100 token: 100 token × 0.01 = 1",
        "tier 2, above 100 token: flat fee = 5",
    ]


def test_a_fee_that_is_due_without_usage_has_a_line() -> None:
    fee = Stairstep([Tier(None, flat_price=Decimal(9))], flat_at_zero=True)
    assert charged(fee, []) == ([], [])
    lines, problems = charged(fee, [], dimensions=())
    assert (shown(lines), problems) == ([("Tokens", "0", "9.00")], [])


def test_a_unit_price_that_is_too_fine_to_show_stands_in_the_explanation() -> None:
    cost = Decimal("0.000000000000001")
    lines, _ = charged(CostPlus(Decimal("0.5"), lambda _: cost), used(("gpt-a input", 10**15)))
    assert [(line.unit_price, str(line.amount)) for line in lines] == [(None, "1.50")]
    assert "0.000000000000001 cost × 1.5" in str(lines[0].explanation["steps"])


@pytest.mark.parametrize("policy", list(Unmatched))
def test_a_cost_that_nobody_knows_holds_the_invoice_whatever_the_charge_says(policy: Unmatched) -> None:
    by_cost = CostPlus(Decimal("0.2"), lambda values: Decimal("0.001") if values["model"] == "a" else None)
    usage = [Usage({"model": name}, Decimal(quantity)) for name, quantity in (("a", 1000), ("new", 50), ("old", 0))]
    lines, problems = charged(by_cost, usage, policy=policy)
    assert [(line.description, str(line.amount), line.unit_price) for line in lines] == [
        ("Tokens · a", "1.20", Decimal("0.0012"))
    ]
    (problem,) = problems
    assert problem == (
        "“Tokens” of Chatbot v1 is priced by cost, and nobody knows what model = new costs: 50 token."
        " Record its cost; the invoice goes on by itself."
    )


quantities = st.decimals(min_value=-(10**20), max_value=10**20, places=12, allow_nan=False)
values = st.sampled_from(["a", "b", "c", "-"])
usages = st.lists(st.tuples(st.builds(lambda m, t: f"{m} {t}", values, values), quantities), max_size=30)
tables = st.dictionaries(
    st.builds(lambda m, t: f"{m} {t}", st.sampled_from("abc*"), st.sampled_from("ab*")),
    st.decimals(min_value=0, max_value=10**14, places=15),
    max_size=8,
)


@given(tables, usages, st.sampled_from(["USD", "JPY", "KWD"]))
def test_rows_partition_the_usage_and_lines_add_up(
    table: dict[str, Decimal], rows: list[tuple[str, Decimal]], currency: str
) -> None:
    prices = [(words, str(price)) for words, price in table.items()]
    usage = used(*[(words, str(quantity)) for words, quantity in rows])
    lines, problems = rated(prices, usage, currency, Unmatched.ZERO)
    assert problems == []
    total = Decimal(0)
    for each in usage:
        total = EXACT.add(total, each.quantity)
    counted = Decimal(0)
    for line in lines:
        counted = EXACT.add(counted, line.quantity)
    assert counted == total
    _assert_rows_add_up(lines, currency)
    assert rated(prices, list(reversed(usage)), currency, Unmatched.ZERO) == (lines, problems)


def _assert_rows_add_up(lines: list[RatedLine], currency: str) -> None:
    """The lines of a row come to the row's exact amount, rounded once."""
    of_row: dict[int, list[RatedLine]] = {}
    for line in lines:
        if line.explanation["row"] is None:
            assert line.amount == 0
        else:
            of_row.setdefault(line.explanation["row"]["id"], []).append(line)
    for row in of_row.values():
        quantity = amount = Decimal(0)
        for line in row:
            quantity, amount = EXACT.add(quantity, line.quantity), EXACT.add(amount, line.amount)
        assert amount == round_amount(EXACT.multiply(quantity, row[0].unit_price), currency)


def in_halves(charge: UsageCharge, *used: Sequence[Combination]) -> list[tuple[str, str]]:
    middle = datetime(2023, 11, 16, tzinfo=UTC)
    halves = [Period(NOVEMBER.start, middle), Period(middle, NOVEMBER.end)]
    book = PriceBook(9, "Chatbot v1", "USD", Interval.MONTH, (charge,))
    lines, problems = usage_lines(book, [Segment(half, Matrix(charge)) for half in halves], used)
    assert not problems
    return [(f"{line.service.start.day}–{line.service.end.day}", str(line.amount)) for line in lines]


def test_segments_go_on_where_quantities_add_up_and_begin_anew_elsewhere() -> None:
    """0.005 and 0.005 are one cent; a fee that is due once there is usage is due once, or for each maximum."""
    halves = [Combination({}, Decimal(1), 1)], [Combination({}, Decimal(1), 1)]
    fee = Stairstep([Tier(None, Decimal(0), Decimal("0.005"))], flat_at_zero=False)
    for price, adds_up, amounts in (
        (PerUnit(Decimal("0.005")), True, ("0.01", "0.00")),
        (fee, True, ("0.01", "0.00")),
        (fee, False, ("0.01", "0.01")),
    ):
        charge = UsageCharge(7, 0, "t", "T", 3, 1, "token", (), (Row(1, 0, {}, price),), Unmatched.HOLD, adds_up)
        assert in_halves(charge, *halves) == list(zip(("1–16", "16–1"), amounts, strict=True))


def test_usage_without_its_band_says_what_it_lacks() -> None:
    cost = CostDimensions("model", context="size", above={"0-9": 0, "9+": 9})
    row = Row(1, 0, {}, CostPlus(Decimal(0), lambda values: None))
    charge = UsageCharge(7, 0, "t", "T", 3, 1, "token", ("model", "size"), (row,), Unmatched.HOLD, cost=cost)
    book = PriceBook(9, "Chatbot v1", "USD", Interval.MONTH, (charge,))
    used = [Combination({"model": "a"}, Decimal(1), 1), Combination({"model": "a", "size": "9+"}, Decimal(1), 1)]
    lines, problems = usage_lines(book, [Segment(NOVEMBER, Matrix(charge))], [used])
    assert not lines
    assert ["It has no “size”" in problem for problem in problems] == [True, False]
