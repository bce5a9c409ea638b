"""Rows that can match the same usage: those that looking at each pair finds, for work that grows as the rows do."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.charges.row_checks import DraftRow, counted_twice
from catalog.charges.row_meeting import Work, meeting
from catalog.checks.row_lint import of_rows
from catalog.pricing.price import per_unit
from tests.catalog.counting import lines

VALUES = st.sampled_from(["a", "b"])
MATCHES = st.lists(st.dictionaries(st.sampled_from(["m", "n", "t"]), VALUES, max_size=3), max_size=12)


@given(MATCHES, MATCHES)
def test_rows_meet_when_they_ask_for_no_two_values_of_one_dimension(
    ones: list[dict[str, str]], others: list[dict[str, str]]
) -> None:
    expected = [
        (one, other)
        for one, mine in enumerate(ones)
        for other, theirs in enumerate(others)
        if all(theirs.get(name, value) == value for name, value in mine.items())
    ]
    assert sorted(meeting(ones, others, Work())) == expected


def test_no_more_is_looked_at_than_may_be() -> None:
    many = [{"m": str(number)} for number in range(10)]
    assert list(meeting(many, [{}] * 10, Work(25))) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]
    assert list(meeting(many, [{}] * 10, Work(9))) == []


def row(price: int, **match: str) -> DraftRow:
    return DraftRow(match, per_unit(Decimal(price)))


LABELS = {"input": frozenset("i"), "output": frozenset("o"), "total": frozenset("io")}


def one_price(count: int) -> list[DraftRow]:
    """Half of them by model, half by region: each pair meets, and costs the same."""
    return [row(1, model=f"m{n}") if n % 2 else row(1, region=f"r{n}") for n in range(count)]


def all_named(count: int) -> list[DraftRow]:
    """Of each model and region, and beside them a row for each pair: as many pairs as rows."""
    side = int(count**0.5)
    pairs = [row(3, model=f"m{m}", region=f"r{r}") for m in range(side) for r in range(side)]
    return [*(row(1, model=f"m{n}") for n in range(side)), *(row(2, region=f"r{n}") for n in range(side)), *pairs]


def by_label(count: int) -> list[DraftRow]:
    """Every label has rows of its own, and * the rest."""
    return [*(row(1, t=label, m=f"m{n}") for n in range(count // 3) for label in LABELS), row(0)]


def both_lose(count: int) -> list[DraftRow]:
    """Rows of * that lose all they ask for, to rows that name the label."""
    any_label = [row(1, m=f"m{n}") if n % 2 else row(1, n=f"n{n}") for n in range(count // 2)]
    return [*any_label, *(row(1, t="total", **each.match) for each in any_label)]


def told(rows: list[DraftRow]) -> list[Any]:
    return list(counted_twice("t", LABELS, rows))


def found(rows: list[DraftRow]) -> list[Any]:
    return list(of_rows(rows))


def across(rows: list[DraftRow]) -> list[Any]:
    """Against a charge whose rows name other values."""
    theirs = [{**each.match, "region": "elsewhere", "model": "another", "m": "x"} for each in rows]
    return list(meeting([each.match for each in rows if len(each.match) > 1], theirs, Work()))


@pytest.mark.parametrize(
    ("look", "made"),
    [
        (found, one_price),
        (found, all_named),
        (found, by_label),
        (told, by_label),
        (told, both_lose),
        (across, by_label),
        (across, all_named),
    ],
)
def test_four_times_the_rows_are_about_four_times_the_work(
    look: Callable[[list[DraftRow]], list[Any]], made: Callable[[int], list[DraftRow]]
) -> None:
    few, many = made(1_250), made(5_000)
    one, other = lines(lambda: look(few)), lines(lambda: look(many))
    assert other < 5 * one, (one, other)
