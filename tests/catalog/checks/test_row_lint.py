"""What stands out in rows by themselves: ambiguous ones, prices of nothing, prices far from their neighbours'."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from catalog.charges.row_checks import DraftRow
from catalog.charges.row_meeting import Work
from catalog.checks.row_lint import PAIRS_AT_MOST, Finding, Severity, of_rows
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from tests.catalog.counting import lines

D = Decimal


def row(price: str | Price = "1", **match: str) -> DraftRow:
    return DraftRow(match, per_unit(D(price)) if isinstance(price, str) else price)


def found(*rows: DraftRow) -> list[Finding]:
    return list(of_rows(rows))


def test_of_equally_exact_rows_that_can_meet_the_first_wins() -> None:
    first, second = row("1", model="a"), row("2", region="eu")
    assert found(first, second) == [
        Finding(
            Severity.WARNING,
            "ambiguous",
            "Rows 1 (model = a) and 2 (region = eu) are equally exact and can match the same usage:"
            " row 1 stands first and wins.",
            "Move the row up that should win, or add one that names both: region = eu, model = a.",
            1,
        )
    ]
    assert "Rows 1 (region = eu) and 2 (model = a)" in found(second, first)[0].message


def test_rows_do_not_meet_when_a_value_keeps_them_apart_or_a_third_one_names_both() -> None:
    assert found(row("1", model="a"), row("2", model="b")) == []
    assert found(row("1", model="a", region="eu"), row("2", model="b", type="in")) == []
    assert found(row("1", model="a"), row("2", region="eu"), row("3", model="a", region="eu")) == []
    assert found(row("1", model="a"), row("1", region="eu")) == []  # whichever wins, it costs the same
    assert found(row("1", model="a"), row("2")) == []  # one is more exact
    meet = found(row("1", model="a", region="eu"), row("2", model="a", type="in"))
    assert [(each.code, each.row) for each in meet] == [("ambiguous", 1)]


def test_many_pairs_are_told_once() -> None:
    rows = [*(row("1", model=f"m{n}") for n in range(20)), *(row("2", region=f"r{n}") for n in range(10))]
    [told] = found(*rows)
    assert told.message.endswith("So it is with 199 more pairs of such rows.")
    rows = [*(row("1", model=f"m{n}") for n in range(2_000)), *(row("2", region=f"r{n}") for n in range(2_000))]
    [told] = found(*rows)
    assert f"{PAIRS_AT_MOST - 1:,} more" in told.message
    assert lines(lambda: found(*rows)) < 100 * len(rows)


def test_rows_that_cost_the_same_are_no_pairs_and_cost_no_work() -> None:
    rows = [*(row("1", model=f"m{n}") for n in range(2_500)), *(row("1.0", region=f"r{n}") for n in range(2_500))]
    assert found(*rows) == []
    [told] = found(*rows, row("2", region="last"))
    assert told.message.endswith("So it is with 2,499 more pairs of such rows.")


def test_what_could_not_be_looked_at_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.checks.row_lint.Work", lambda: Work(5))
    few = [row("1", model="a"), row("2", region="eu")]
    assert [each.code for each in found(*few)] == ["ambiguous"]
    assert [each.code for each in found(*few, row("3", type="in"))] == ["ambiguous", "ambiguous_unknown"]
    assert [each.code for each in found(*few, row("3", region="us"), row("1", model="b"))] == [
        "ambiguous",
        "ambiguous_unknown",
    ]


def test_a_free_tier_is_hinted_at_and_a_free_price_warned_of() -> None:
    free, fee, paid = Tier(D(10)), Tier(D(20), D(0), D(1)), Tier(None, D(1))
    rows = [
        row(Price(Model.GRADUATED, tiers=(free, fee, paid)), model="a"),
        row(Price(Model.VOLUME, tiers=(fee, paid)), model="b"),
        row(Price(Model.STAIRSTEP, tiers=(free, Tier(D(20)), Tier(None, D(0), D(9)))), model="c"),
        row(Price(Model.GRADUATED, tiers=(paid, free)), model="not in order"),
    ]
    assert [(each.severity, each.code, each.row, each.message) for each in found(*rows)] == [
        ("hint", "tier_zero", 0, "Tier 1 of row 1 (model = a) costs nothing."),
        ("hint", "tier_zero", 2, "Tiers 1 and 2 of row 3 (model = c) cost nothing."),
    ]


def test_what_costs_nothing_whatever_is_used() -> None:
    tiers = Price(Model.VOLUME, tiers=(Tier(D(10)), Tier(None)))
    rows = [row("0", model="a"), row("0.1", model="b"), row(tiers, model="c"), row(Price(), model="not written yet")]
    assert [(each.code, each.row, each.column) for each in found(*rows)] == [
        ("price_zero", 0, "price"),
        ("price_zero", 2, "price"),
    ]


def prices(given: Mapping[tuple[str, str], str]) -> list[DraftRow]:
    return [row(price, model=model, type=type_) for (model, type_), price in given.items()]


def test_a_price_ten_times_its_neighbours_median_is_told() -> None:
    given = {("a", "in"): "1", ("b", "in"): "2", ("c", "in"): "20", ("d", "in"): "2.1"}
    [told] = found(*prices(given))
    assert (told.code, told.row, told.column) == ("price_far", 2, "price")
    assert told.message == (
        "The price of row 3 (model = c, type = in) is 10 times what its neighbours cost in the middle."
    )
    assert found(*prices({**given, ("c", "in"): "19.99"})) == []


def test_a_price_of_a_tenth_is_told_too() -> None:
    [told] = found(*prices({("a", "in"): "1", ("b", "in"): "1", ("c", "in"): "0.1", ("d", "in"): "1"}))
    assert told.message.endswith("is 10 times less than what its neighbours cost in the middle.")


def test_cached_tokens_are_cheap_beside_others_but_not_beside_their_like() -> None:
    usual = {"in": "1", "out": "4", "write": "1.25", "cache": "0.1"}
    given = {(model, type_): price for model in "abcd" for type_, price in usual.items()}
    assert found(*prices(given)) == []
    # 20 is 200 times the other cached ones, and 16 times the median of its model's.
    assert [each.row for each in found(*prices({**given, ("b", "cache"): "20"}))] == [7]


def test_a_few_rows_do_not_say_which_of_them_is_wrong() -> None:
    assert found(*prices({("a", "in"): "1", ("b", "in"): "1", ("c", "in"): "100"})) == []
    assert found(row("1"), row(Price(Model.FLAT, D(1000)), model="a")) == []
