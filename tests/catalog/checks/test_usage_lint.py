"""What real usage says of rows: worked by hand over 1,000 tokens."""

from decimal import Decimal

import pytest

from catalog.charges.row_checks import DraftRow
from catalog.checks.usage_lint import hits, of_usage, of_values, percent_of, wanted
from catalog.pricing.combining import Combination
from catalog.pricing.price import per_unit

D = Decimal
NAMES = ("model", "type")
USAGE = [
    Combination({"model": "a", "type": "in"}, D(600), 6),
    Combination({"model": "b", "type": "in"}, D(280), 3),
    Combination({"model": "c"}, D(119), 1),
    Combination({}, D(1), 1),
]


def rows(*matches: dict[str, str]) -> list[DraftRow]:
    return [DraftRow(match, per_unit(D(1))) for match in matches]


def told(given: list[DraftRow], usage: list[Combination] = USAGE, *, held: bool = True) -> list[tuple[str, str]]:
    found = hits(given, usage, NAMES)
    return [(each.code, each.message) for each in of_usage(given, found, "March 2026", held=held)]


def test_what_no_row_matches_and_what_becomes_of_it() -> None:
    given = rows({"model": "a"}, {"type": "in"})
    assert told(given) == [
        (
            "usage_unpriced",
            "12 % of the usage of March 2026 matches no row: invoices with it are held until it is priced.",
        )
    ]
    assert told(given, held=False)[0][1].endswith("matches no row: it is charged nothing.")


def test_how_much_hits_the_default_row() -> None:
    given = rows({"model": "a"}, {}, {"model": "b", "type": "out"})
    assert told(given) == [
        ("usage_by_default", "40 % of the usage of March 2026 hits the default row, 2."),
        ("row_unused", "Row 3 (model = b, type = out) priced nothing in March 2026."),
    ]
    assert told(rows({})) == []  # one price for every use is meant


def test_a_value_that_differs_from_one_of_usage_in_how_it_is_written_alone() -> None:
    given = [rows_of(value) for value in ("TRUE ", "1.0", "+1", "b", "B", "n e w", "10")]
    told = list(of_values(given, {"model": ["true", "1", "b", "B", "new"], "region": ["eu"]}))
    assert [(each.code, each.row, each.names) for each in told] == [
        ("value_unlike", 0, ("model",)),
        ("value_unlike", 1, ("model",)),
        ("value_unlike", 5, ("model",)),
    ]
    assert told[0].message == "Row 1 names model “TRUE ”, which no recent usage has had: did you mean “true”?"


def rows_of(value: str) -> DraftRow:
    return DraftRow({"model": value}, per_unit(Decimal(1)))


def test_without_usage_nothing_is_said() -> None:
    assert told(rows({"model": "a"}), []) == []


def test_rows_are_wanted_for_what_has_none_most_first() -> None:
    found = wanted(hits(rows({"model": "a"}), USAGE, NAMES))
    assert [(each.usage.dimensions, each.share, each.by_default) for each in found] == [
        ({"model": "b", "type": "in"}, "28 %", False),
        ({"model": "c"}, "12 %", False),
        ({}, "0.1 %", False),
    ]
    # What has no values at all can have no row but the default one.
    found = wanted(hits(rows({"model": "a"}, {}), USAGE, NAMES))
    assert [(each.share, each.by_default) for each in found] == [("28 %", True), ("12 %", True)]


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        ("0", "0", "0 %"),
        ("1", "1", "100 %"),
        ("1", "3", "33 %"),
        ("1", "40", "2.5 %"),
        ("1", "5000", "less than 0.1 %"),
    ],
)
def test_shares_are_said_as_exactly_as_they_need_be(part: str, whole: str, words: str) -> None:
    assert percent_of(D(part), D(whole)) == words
