"""The runner itself: what it sets aside, what it counts, and that a wrong figure fails."""

import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cases import aggregation, commitment, discount, matrix, pricing
from tests.cases.loading import Case, load
from tests.cases.plugin import lines
from tests.cases.test_cases import check


def priced(source: str = "somebody", **changed: Any) -> Case:
    given = {"model": "per_unit", "currency": "USD", "price": {"unit_price": "1"}, "quantity": "2", **changed}
    return Case("x", source, "pricing", given, {"amount": "2", "asserted": ["amount"]})


def converted(price: str, factor: str, rounding: str, precision: int = 0, op: str = "divide") -> dict[str, Any]:
    convert = {"op": op, "factor": factor, "rounding": rounding, "precision": precision}
    return {"price": {"unit_price": price, "convert": convert}}


def package(**price: str) -> dict[str, Any]:
    return {"model": "package", "price": {"package_size": "10", "package_price": "1", **price}, "quantity": "10"}


def tiered(model: str, *tiers: dict[str, Any]) -> dict[str, Any]:
    return {"model": model, "price": {"tiers": list(tiers)}}


def shared(transactions: list[str], **price: Any) -> dict[str, Any]:
    return {"model": "percentage", "price": {"rate": "10", **price}, "transactions": transactions, "quantity": "0"}


def in_matrix(usage: list[tuple[dict[str, Any], str]], *cells: tuple[dict[str, Any], str], **price: str) -> Case:
    given = {
        "model": "matrix",
        "currency": "USD",
        "price": {"cells": [{"match": match, "unit_price": unit_price} for match, unit_price in cells], **price},
        "usage": [{"dims": dims, "quantity": quantity} for dims, quantity in usage],
    }
    return Case("x", "somebody", "matrix", given, {})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, None),
        ({"quantity": "-2"}, None),
        ({"rounding": "half_up"}, None),
        ({"zero_usage": "none"}, None),
        ({"model": "dearest", "price": {}}, "the price model “dearest” is not offered"),
        ({"model": "graduated_time_prorated"}, "pays them by time"),
        ({"price": {"unit_price": "1", "free_units": "5"}}, "uses “free_units”"),
        ({"minimum": "5"}, "uses “minimum”"),
        ({"quantity": "-1", "allow_negative": False}, "negative usage is free"),
        ({"price": {"unit_price": "1", "cap_amount": "5"}}, None),
        (converted("1", "1000", "none"), None),
        (converted("1", "1000", "floor", 3), None),
        (converted("1", "3", "ceiling"), None),
        (converted("1", "3", "floor"), "leaves no exact price"),
        (converted("1", "8", "floor"), "no power of ten"),
        (converted("1", "0.5", "half_up", op="multiply"), "no power of ten"),
        ({"model": "package", "price": {"package_size": "10", "package_price": "1"}}, None),
        (package(min_packages="1"), None),
        (package(min_packages="2"), "packages that were not started"),
        (package(package_rounding="down"), None),
        (tiered("graduated", {"up_to": None, "unit_price": "1", "cap": "3"}), None),
        (tiered("graduated", {"up_to": None, "unit_price": "1", "flat_price": "1", "cap": "3"}), "single tiers"),
        (tiered("graduated", {"up_to": "1", "unit_price": "1"}), "beyond its last tier"),
        (tiered("volume", {"up_to": "1", "unit_price": "1"}), None),
        (tiered("volume", {"up_to": None, "unit_price": "1", "colour": "red"}), "uses “colour”"),
        (shared(["1", "2"]), None),
        (shared(["1", "2"], free_total="2"), None),
        (shared(["1", "2"], free_total="2", fixed_amount="1"), "frees single transactions"),
        (shared(["1", "2"], free_transactions=1), "frees single transactions"),
        (shared(["1", "2"], max_per_transaction="1"), "bounds single transactions"),
        ({"bucket_quantities": ["0.005", "0.005"]}, "rounded by itself"),
        ({"rounding": "half_even"}, "rounds “half_even”"),
        ({"model": "lines", "price": {}, "quantity": "1"}, "uses “quantity”"),
    ],
)
def test_what_is_set_aside_by_what_is_given(given: Mapping[str, Any], reason: str | None) -> None:
    found = pricing.set_aside(priced(**given))
    assert found is None if reason is None else found is not None and reason in found


def test_a_convention_is_set_aside_by_its_source() -> None:
    negative_is_free = "polarsource/polar:server/tests/x.py"
    assert pricing.set_aside(priced(negative_is_free, quantity="-2")) is not None
    assert pricing.set_aside(priced(negative_is_free, quantity="2")) is None


def test_lines_are_rounded_one_by_one() -> None:
    items = [{"amount": "0.005"}, {"amount": "0.004", "count": 10}, {"amount": "-0.005", "count": "2"}]
    assert pricing.figures(priced(model="lines", price={}, line_items=items).given) == {
        "amount": Decimal("-0.01"),
        "rounded": Decimal("-0.01"),
    }


def test_a_list_of_values_is_a_row_for_each_and_the_narrowest_cell_wins() -> None:
    usage: list[tuple[dict[str, Any], str]] = [
        ({"cloud": "gcp"}, "7"),
        ({"cloud": "aws"}, "10"),
        ({"cloud": "own"}, "1"),
        ({"cloud": Decimal("1.0")}, "1"),
        ({}, "4"),
    ]
    case = in_matrix(
        usage,
        ({"cloud": ["aws", "gcp"]}, "5"),
        ({"cloud": "aws"}, "3"),
        ({"cloud": [1]}, "2"),
        default_unit_price="0.1",
    )
    assert matrix.set_aside(case) is None
    assert matrix.figures(case.given) == {
        "rows": [Decimal(35), Decimal(30), Decimal("0.1"), Decimal(2), Decimal("0.4")],
        "amount": Decimal("67.5"),
        "rounded": Decimal("67.5"),
        "quantity": Decimal(23),
        "unpriced_quantity": Decimal(0),
    }


def test_a_star_matches_what_is_missing_and_what_nothing_matches_is_unpriced() -> None:
    usage: list[tuple[dict[str, Any], str]] = [({"a": "1", "b": "2"}, "1"), ({"b": "2"}, "2"), ({"b": "3"}, "4")]
    figures = matrix.figures(in_matrix(usage, ({"a": "*", "b": "2"}, "0.005")).given)
    assert figures["rows"] == [Decimal("0.005"), Decimal("0.01"), 0]
    assert (figures["rounded"], figures["quantity"], figures["unpriced_quantity"]) == (Decimal("0.02"), 7, 4)


def test_what_a_matrix_sets_aside() -> None:
    usage: list[tuple[dict[str, Any], str]] = [({"a": "1"}, "1"), ({"a": "2"}, "1")]
    assert "equal keys" in str(matrix.set_aside(in_matrix(usage, ({"a": "1"}, "1"), ({"a": "1", "b": "*"}, "2"))))
    assert "together" in str(matrix.set_aside(in_matrix(usage, ({"a": ["1", "2"]}, "0.005"))))
    assert matrix.set_aside(in_matrix(usage, ({"a": ["1", "2"]}, "0.5"))) is None
    assert "“minimum”" in str(matrix.set_aside(in_matrix(usage, ({"a": "1"}, "1"), minimum="3")))
    tiered = Case("x", "somebody", "matrix", {"model": "tiered_matrix"}, {})
    assert "“tiered_matrix” is not offered" in str(matrix.set_aside(tiered))


EVENTS = [{"at": "2024-01-01T00:00:00Z", "value": "-5"}]


@pytest.mark.parametrize(
    ("given", "source", "reason"),
    [
        ({}, "somebody", None),
        ({"initial": "1", "round": {"precision": 2, "mode": "ceil"}}, "somebody", None),
        ({"aggregation": "latest"}, "somebody", None),
        ({"aggregation": "latest"}, "getlago/lago-api:spec", "negative latest value"),
        ({"aggregation": "latest", "events": [{"value": "-5"}]}, "getlago/lago-api:spec", "negative latest value"),
        ({"aggregation": "latest", "events": [{"value": "-5"}, {"value": "5"}]}, "getlago/lago-api:spec", None),
        ({"aggregation": "latest", "events": [{"value": "many"}, {}]}, "getlago/lago-api:spec", None),
        ({"aggregation": "prorated_sum"}, "somebody", "whole calendar days"),
        ({"aggregation": "median"}, "somebody", "“median” is not offered"),
        ({"align_bounds": {}}, "somebody", "moves the bounds"),
        ({"stored_from": "2024-01-01T00:00:00Z"}, "somebody", "time of storing"),
        ({"events": [{**EVENTS[0], "op": "add"}]}, "somebody", "uses “op”"),
        ({"carry": True}, "somebody", "uses “carry”"),
        ({"round": {"precision": 2, "mode": "ceil", "step": 5}}, "somebody", "uses “step”"),
    ],
)
def test_what_an_aggregation_sets_aside(given: Mapping[str, Any], source: str, reason: str | None) -> None:
    case = Case("x", source, "aggregation", {"aggregation": "sum", "events": EVENTS, **given}, {})
    found = aggregation.set_aside(case)
    assert found is None if reason is None else found is not None and reason in found


@pytest.mark.django_db
def test_a_window_whose_events_the_filter_leaves_out_has_no_usage() -> None:
    events = [{"at": f"2024-01-0{day}T06:00:00Z", "value": "1", "properties": {"a": str(day)}} for day in (1, 2)]
    given = {"aggregation": "windowed", "window": "day", "reduce": "sum", "filter": {"a": ["2"]}, "events": events}
    check(Case("x", "somebody", "aggregation", given, {"windows": [["2024-01-02T00:00:00Z", "1"]], "quantity": "1"}))


@pytest.mark.django_db
def test_events_without_an_instant_are_in_the_period_that_is_given() -> None:
    bounds = {"from": "2025-06-01T00:00:00Z", "to": "2025-07-01T00:00:00Z"}
    check(Case("x", "somebody", "aggregation", {"aggregation": "count", **bounds, "events": [{}]}, {"quantity": "1"}))


@pytest.mark.django_db
def test_a_quantity_is_compared_at_the_places_that_are_known() -> None:
    given = {"aggregation": "average", "events": [{"value": "1"}, {"value": "2"}, {"value": "2"}]}
    precision = {"precision": {"quantity": {"places": 5}}}
    check(Case("x", "somebody", "aggregation", given, {"quantity": "1.66667", **precision}))
    for wrong in ({"quantity": "1.66668", **precision}, {"quantity": "1.66667"}):
        with pytest.raises(AssertionError):
            check(Case("x", "somebody", "aggregation", given, wrong))


@pytest.mark.parametrize(
    "expect",
    [
        {"amount": "2.01"},
        {"rounded": "2.01"},
        {"amount": "2", "rounded": "3"},
        {"amount": "2", "asserted": ["rounded"]},
    ],
)
def test_a_wrong_figure_fails(expect: dict[str, object]) -> None:
    case = priced()
    check(Case(case.id, case.source, case.group, case.given, {"amount": "2.0", "rounded": "2"}))
    with pytest.raises(AssertionError):
        check(Case(case.id, case.source, case.group, case.given, expect))


BLOCK = {"block_size": "10", "max_blocks": "2", "block_price": "3"}
RATES = ({"up_to": "10", "rate": "1", "flat_price": "2"}, {"up_to": None, "rate": "3"})
FEE = {"up_to": None, "unit_price": "1", "flat_price": "5"}


@pytest.mark.parametrize(
    ("given", "amount"),
    [
        (converted("10", "1000", "ceiling") | {"quantity": "1400"}, "20"),
        (converted("1", "100", "half_up", 1) | {"quantity": "245"}, "2.5"),
        (converted("1", "1000", "floor") | {"quantity": "-1"}, "-1"),
        (converted("2", "1.5", "none", op="multiply") | {"quantity": "4.2"}, "12.6"),
        (converted("7", "3", "ceiling") | {"quantity": "4"}, "14"),
        (package(package_rounding="down") | {"quantity": "29"}, "2"),
        (package() | {"quantity": "29"}, "3"),
        (package() | {"quantity": "29", "included_quantity": "9.5"}, "2"),
        (
            tiered("volume_block", {"block_size": "10", "max_blocks": "2", "block_price": "3"}) | {"quantity": "31"},
            "12",
        ),
        (
            tiered(
                "graduated_percentage", {"up_to": "10", "rate": "1", "flat_price": "2"}, {"up_to": None, "rate": "3"}
            )
            | {"quantity": "20"},
            "2.4",
        ),
        (tiered("volume", {"up_to": None, "unit_price": "1", "flat_price": "5"}) | {"quantity": "0"}, "5"),
        (
            tiered("volume", {"up_to": None, "unit_price": "1", "flat_price": "5"})
            | {"quantity": "0", "zero_usage": "none"},
            "0",
        ),
        (package() | {"bucket_quantities": ["1", "11"]}, "3"),
        (package() | {"quantity": "1", "quantity_before": "10"}, "1"),
        (package() | {"quantity": "1", "quantity_before": "1"}, "0"),
        ({"price": {"unit_price": "1", "cap_amount": "5"}, "quantity": "7"}, "5"),
        ({"price": {"unit_price": "1", "cap_amount": "5"}, "quantity": "4"}, "4"),
        (shared(["1", "2"], fixed_amount="0.5"), "1.3"),
        ({"model": "dynamic", "price": {"multiplier": "1.25"}, "quantity": "4"}, "5"),
    ],
)
def test_what_the_product_makes_of_a_price(given: Mapping[str, Any], amount: str) -> None:
    assert pricing.figures(priced(**given).given)["amount"] == Decimal(amount)


def test_tiers_that_begin_with_a_whole_unit_are_ours_on_whole_units() -> None:
    tiers = tiered("volume", {"up_to": "9", "unit_price": "1"}, {"up_to": None, "unit_price": "2"})
    for quantity, aside in (("9", False), ("9.5", True), ("10", False)):
        case = priced("meteroid-oss/meteroid:x", **tiers, quantity=quantity)
        assert (pricing.set_aside(case) is not None) == aside
        assert pricing.set_aside(priced("somebody", **tiers, quantity=quantity)) is None


def committed(**given: Any) -> Case:
    return Case("x", "somebody", "commitment", {"currency": "USD", **given}, {})


SPENT = {"kind": "min_max_spend", "model": "per_unit", "price": {"unit_price": "10"}, "quantity": "5"}
WINDOW = {"unit_price": "2", "commitment_amount": "10", "overage_factor": "2", "true_up": True}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (SPENT, None),
        ({**SPENT, "quantity_before": "1", "previously_billed": "10"}, None),
        ({**SPENT, "quantity_before": "1", "previously_billed": "9"}, "billed the earlier part"),
        ({**SPENT, "discount_percent": "50"}, "before any discount"),
        ({**SPENT, "model": "dearest"}, "“dearest” is not offered"),
        ({**SPENT, "rollover": "1"}, "uses “rollover”"),
        ({"kind": "pledge"}, "“pledge” is not offered"),
        ({"kind": "true_up", "commitment": "1", "fees": [], "prorated_fees": [], "factor": "1"}, "uses “factor”"),
        ({"kind": "windowed", "line": WINDOW, "windows": [{"quantity": "1"}]}, None),
        ({"kind": "windowed", "line": WINDOW, "windows": [{"quantity": "1", "day": "2"}]}, "uses “day”"),
        (
            {"kind": "windowed", "line": {**WINDOW, "unit_price": "3"}, "windows": [{"quantity": "1"}]},
            "no exact number",
        ),
        (
            {
                "kind": "windowed",
                "line": WINDOW,
                "buckets": [{"start_hour": "1", "end_hour": "2", "unit_price": "1", "cap": "1"}],
                "windows": [],
            },
            "uses “cap”",
        ),
    ],
)
def test_what_a_commitment_sets_aside(given: Mapping[str, Any], reason: str | None) -> None:
    found = commitment.set_aside(committed(**given))
    assert found is None if reason is None else found is not None and reason in found


def test_the_figures_of_a_commitment() -> None:
    capped = {**SPENT, "quantity_before": "3", "previously_billed": "30", "maximum_amount": "50"}
    assert commitment.figures(committed(**capped).given) == {
        "usage_amount": 50,
        "true_up": 0,
        "maximum_discount": 30,
        "total": 20,
    }
    assert commitment.figures(committed(**SPENT, minimum_amount="80").given)["true_up"] == 30
    part = {"used_days": "1", "period_days": "3"}
    fees = {"kind": "true_up", "commitment": "100", "fees": ["1.005"], "prorated_fees": ["10"], "prorate": part}
    assert commitment.figures(committed(**fees).given) == {"true_up": Decimal("28.99")}
    bucket = {"start_hour": "9", "end_hour": "12", "unit_price": "1", "commitment_quantity": "4", "overage_factor": "3"}
    windows = [{"hour": "9", "quantity": "5"}, {"hour": "12", "quantity": "2"}, {"hour": "13", "quantity": "6"}]
    hours = {"kind": "windowed", "line": WINDOW, "buckets": [bucket], "windows": windows}
    found = commitment.figures(committed(**hours).given)
    assert found == {"utilized": 4 + 4 + 10, "overage": 3 + 4, "true_up": 6, "total": 31}


def test_what_a_discount_sets_aside() -> None:
    def reason(**given: Any) -> str:
        return str(discount.set_aside(Case("x", "somebody", "discount", {"currency": "USD", **given}, {})))

    half = [{"percent": "50"}, {"fixed": "5"}]
    stack = {"kind": "stack", "base": "20", "coupons": half}
    assert reason(**stack, order="percent_first") == "None"
    assert "older discount" in reason(**stack | {"coupons": half[::-1]}, order="percent_first")
    assert reason(**stack | {"coupons": half[::-1]}, order="applied") == "None"
    assert "“dearest_first”" in reason(**stack, order="dearest_first")
    assert "“until”" in reason(**stack | {"coupons": [{"fixed": "1", "until": "x"}]}, order="applied")
    each = {"kind": "allocate", "items": ["1", "1"], "discount": "0", "percent": "33.33"}
    assert "line by line" in reason(**each, method="per_item_percent")
    assert reason(**each | {"percent": "50"}, method="per_item_percent") == "None"
    assert "“evenly”" in reason(**each, method="evenly")
    assert "“trade_in” is not offered" in reason(kind="trade_in")
    assert "uses “day”" in reason(
        kind="usage_discount", discount_quantity="1", quantity_before="0", quantity="1", day=1
    )


def test_the_figures_of_a_discount() -> None:
    def figures(**given: Any) -> dict[str, Any]:
        return discount.figures({"currency": "USD", **given})

    coupons = [{"fixed": "15"}, {"percent": "50"}, {"fixed": "15"}, {"fixed": "1"}]
    stacked = figures(kind="stack", base="20", coupons=coupons, order="applied")
    assert stacked == {"discount": 20, "allocation": [20], "coupons_used": 3}
    shared_out = figures(kind="allocate", items=["1", "1", "1"], discount="1", method="largest_remainder")
    assert [str(each) for each in shared_out["allocation"]] == ["0.34", "0.33", "0.33"]
    used = {"kind": "usage_discount", "discount_quantity": "5", "quantity_before": "4", "quantity": "3"}
    assert figures(**used) == {"billable_quantity": 2, "billable_before": 0}


def test_the_count_at_the_end() -> None:
    dearest = priced(model="dearest")
    cases = [priced(), priced(), priced(), dearest, dearest, priced(model="nearest"), in_matrix([], ({}, "1"))]
    ran = Counter({("pricing", "passed"): 2, ("pricing", "failed"): 1})
    assert lines(cases, ran) == [
        "cases pricing total=6 passed=2 failed=1 set_aside=3",
        "cases matrix total=1 passed=0 failed=0 set_aside=0 not_run=1",
        "cases all total=7 passed=2 failed=1 set_aside=3 not_run=1",
        "    2 pricing: the price model “dearest” is not offered",
        "    1 pricing: the price model “nearest” is not offered",
    ]


def test_files_are_read_without_floats_and_by_the_group_in_each_case(tmp_path: Path) -> None:
    case = {"id": "a", "source": "s", "group": "pricing", "given": {"quantity": 0.1}, "expect": {}, "note": "n"}
    (tmp_path / "any name.json").write_text(json.dumps([case]), encoding="utf-8")
    assert load(tmp_path) == [Case("a", "s", "pricing", {"quantity": Decimal("0.1")}, {})]
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TypeError, match="not a list"):
        load(tmp_path)
