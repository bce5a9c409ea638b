"""The runner itself: what it sets aside, what it counts, and that a wrong figure fails."""

import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cases import aggregation, matrix, pricing
from tests.cases.loading import Case, load
from tests.cases.plugin import lines
from tests.cases.test_cases import check


def priced(source: str = "somebody", **changed: Any) -> Case:
    given = {"model": "per_unit", "currency": "USD", "price": {"unit_price": "1"}, "quantity": "2", **changed}
    return Case("x", source, "pricing", given, {"amount": "2", "asserted": ["amount"]})


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
        ({"model": "volume", "price": {"tiers": []}}, "the price model “volume” is not built yet"),
        ({"price": {"unit_price": "1", "convert": {}}}, "converts units"),
        ({"price": {"unit_price": "1", "cap_amount": "5"}}, "caps the amount"),
        ({"price": {"unit_price": "1", "free_units": "5"}}, "uses “free_units”"),
        ({"minimum": "5"}, "uses “minimum”"),
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
    assert "“tiered_matrix” is not built" in str(matrix.set_aside(tiered))


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


def test_the_count_at_the_end() -> None:
    volume = priced(model="volume")
    cases = [priced(), priced(), priced(), volume, volume, priced(model="dynamic"), in_matrix([], ({}, "1"))]
    ran = Counter({("pricing", "passed"): 2, ("pricing", "failed"): 1})
    assert lines(cases, ran) == [
        "cases pricing total=6 passed=2 failed=1 set_aside=3",
        "cases matrix total=1 passed=0 failed=0 set_aside=0 not_run=1",
        "cases all total=7 passed=2 failed=1 set_aside=3 not_run=1",
        "    2 pricing: the price model “volume” is not built yet",
        "    1 pricing: the price model “dynamic” is not built yet",
    ]


def test_files_are_read_without_floats_and_by_the_group_in_each_case(tmp_path: Path) -> None:
    case = {"id": "a", "source": "s", "group": "pricing", "given": {"quantity": 0.1}, "expect": {}, "note": "n"}
    (tmp_path / "any name.json").write_text(json.dumps([case]), encoding="utf-8")
    assert load(tmp_path) == [Case("a", "s", "pricing", {"quantity": Decimal("0.1")}, {})]
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TypeError, match="not a list"):
        load(tmp_path)
