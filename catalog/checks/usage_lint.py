"""What real usage says of the rows of a charge: gaps, the default row's part, what is unused. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import EXACT, grouped, plain, round_to
from catalog.charges.row_checks import DraftRow, words
from catalog.charges.row_meeting import matrix_of
from catalog.checks.row_lint import Finding, Severity
from catalog.pricing.combining import Combination, add_up
from meters.events.values import as_number

OFFERED = 500


@dataclass(frozen=True)
class Wanted:
    """Usage that no row prices, or only the default one: `share` of all usage in percent, in words."""

    usage: Combination
    share: str
    by_default: bool


@dataclass(frozen=True)
class Hits:
    """Which usage each row takes. `default`: the row of only *, if there is one."""

    by_row: dict[int, list[Combination]]
    unmatched: list[Combination]
    default: int | None
    total: Decimal


def hits(rows: Sequence[DraftRow], usage: Sequence[Combination], dimensions: tuple[str, ...]) -> Hits:
    """Each combination under the row that would price it, as the matrix has it."""
    matrix = matrix_of([row.match for row in rows], dimensions)
    by_row: dict[int, list[Combination]] = {}
    unmatched: list[Combination] = []
    for each in usage:
        row = matrix.row_for(each.dimensions)
        (unmatched if row is None else by_row.setdefault(row.id, [])).append(each)
    default = next((index for index, row in enumerate(rows) if not row.match), None)
    return Hits(by_row, unmatched, default, add_up(each.quantity for each in usage))


def of_usage(rows: Sequence[DraftRow], found: Hits, month: str, *, held: bool) -> Iterator[Finding]:
    """`held`: whether what no row prices holds invoices. `month` in words: “February 2026”."""
    if found.unmatched:
        what = "invoices with it are held until it is priced" if held else "it is charged nothing"
        share = percent_of(add_up(each.quantity for each in found.unmatched), found.total)
        message = f"{share} of the usage of {month} matches no row: {what}."
        yield Finding(Severity.WARNING, "usage_unpriced", message, "Add rows for it, or a default row of only *.")
    if found.default is not None and found.default in found.by_row and len(rows) > 1:
        share = percent_of(add_up(each.quantity for each in found.by_row[found.default]), found.total)
        message = f"{share} of the usage of {month} hits the default row, {found.default + 1}."
        mend = "Add rows for what should have a price of its own."
        yield Finding(Severity.WARNING, "usage_by_default", message, mend, found.default)
    if found.total:
        for index, row in enumerate(rows):
            if index not in found.by_row:
                message = f"Row {index + 1} ({words(row.match)}) priced nothing in {month}."
                mend = "Look whether its values are written as events have them."
                yield Finding(Severity.HINT, "row_unused", message, mend, index)


def of_values(rows: Sequence[DraftRow], seen: Mapping[str, Collection[str]]) -> Iterator[Finding]:
    """Values that no usage has had, where it has had one that differs in case, blanks or the form of a number alone.

    `seen`: all values of the latest usage, by dimension.
    """
    for name, values in seen.items():
        exact = set(values)
        alike = {_folded(value): value for value in reversed(list(values))}
        for index, row in enumerate(rows):
            value = row.match.get(name)
            meant = None if value is None or value in exact else alike.get(_folded(value))
            if meant is not None:
                message = (
                    f"Row {index + 1} names {name} “{value}”, which no recent usage has had: did you mean “{meant}”?"
                )
                mend = "Values match to the letter."
                yield Finding(Severity.WARNING, "value_unlike", message, mend, index, names=(name,))


def _folded(value: str) -> str:
    bare = "".join(value.split()).casefold()
    number = as_number(bare)
    return bare if number is None else plain(number)


def wanted(found: Hits) -> list[Wanted]:
    """What rows could be added for, greatest quantity first: what none prices, then what the default row does."""
    by_default = found.by_row.get(found.default, []) if found.default is not None else []
    both = [*((each, False) for each in found.unmatched), *((each, True) for each in by_default if each.dimensions)]
    return [Wanted(each, percent_of(each.quantity, found.total), default) for each, default in both[:OFFERED]]


def percent_of(part: Decimal, whole: Decimal) -> str:
    """For people: “12 %”, “1.5 %”, “less than 0.1 %”."""
    if not whole:
        return "0 %"
    percent = EXACT.multiply(EXACT.divide(part, whole), Decimal(100))
    if 0 < percent < Decimal("0.1"):
        return "less than 0.1 %"
    return f"{grouped(round_to(percent, 0 if percent >= 10 else 1))} %"
