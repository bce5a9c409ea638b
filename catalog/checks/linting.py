"""What to look at in the rows of a charge before they are published: in the rows, in last month's usage, in costs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from catalog.charges.cell_prices import price_of
from catalog.charges.priceable import Priceable, priceable
from catalog.charges.row_checks import DraftRow, row_faults
from catalog.charges.seen_values import seen_values
from catalog.checks.cost_lint import below_cost, sizes_together
from catalog.checks.last_month import LastMonth, last_month
from catalog.checks.row_lint import Finding, Severity, of_rows
from catalog.checks.unknown_costs import unknown_costs
from catalog.checks.usage_lint import Wanted, hits, of_usage, of_values, wanted
from catalog.models import Charge
from meters.models import Meter

# More of one kind help nobody: the last one says how many there are.
SHOWN_OF_A_KIND = 50


@dataclass(frozen=True)
class Linted:
    """`wanted`: combinations that were really used and have no row of their own. `month`: whose usage was looked at."""

    findings: list[Finding]
    wanted: list[Wanted]
    month: LastMonth


@dataclass(frozen=True)
class Used:
    """What rows are looked at by: the usage of a month, and all values of the latest usage by dimension."""

    month: LastMonth
    values: Mapping[str, list[str]]


def used(meter: Meter, *, so_far: bool = False) -> Used:
    """`so_far`: the usage of the month that is not over, instead of the last whole one."""
    known = priceable(meter)
    values = seen_values(meter, known, at_most=None)
    # Labels and bands are the meter's own: naming another is a fault.
    only = {name: each for name, each in values.items() if known.only(name) is None}
    return Used(last_month(meter, known, so_far=so_far), only)


def lint(charge: Charge, currency: str, rows: Sequence[DraftRow], by: Used | None = None) -> Linted:
    """Look at rows, which need not be saved. The same few queries, however many rows and customers there are.

    `currency`: in which they are priced. `by`: what was used, when that has been read.
    """
    assert charge.meter is not None
    known = priceable(charge.meter)
    by = by or used(charge.meter)
    month = by.month
    found = hits(rows, month.usage, known.dimensions)
    held = charge.unmatched == Charge.Unmatched.HOLD
    findings = [
        *_faults(known, rows),
        *below_cost(charge, currency, rows),
        *of_values(rows, by.values),
        *sizes_together(charge, rows),
        *unknown_costs(charge, currency, rows, found, month.words),
        *of_usage(rows, found, month.words, held=held),
        *of_rows(rows),
    ]
    return Linted(list(_shortened(findings)), wanted(found), month)


def _faults(known: Priceable, rows: Sequence[DraftRow]) -> Iterator[Finding]:
    """What saving would refuse, and publishing."""
    for fault in row_faults(known, rows):
        _, index, *field = fault.field.split(".")
        column = "match" if field == ["match"] else "price"
        yield Finding(Severity.ERROR, fault.code, fault.message, "", int(index), column)


def _shortened(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The first of each kind, and how many more there are."""
    for _, group in groupby(findings, key=lambda finding: finding.code):
        kind = list(group)
        yield from kind[:SHOWN_OF_A_KIND]
        more = len(kind) - SHOWN_OF_A_KIND
        if more > 0:
            yield replace(kind[0], message=f"So it is with {more:,} more.", mend="", row=None)


def warnings(charges: Iterable[Charge]) -> Iterator[str]:
    """What somebody should read before publishing, in every currency: hints are left out. Rows come prefetched."""
    for charge in charges:
        if charge.meter is None:
            continue
        by = used(charge.meter)
        lists = [
            (None, charge.version.currency),
            *((each.pk, each.currency) for each in charge.version.price_lists.all()),
        ]
        for price_list, currency in lists:
            rows = [
                DraftRow(cell.match, price_of(cell)) for cell in charge.cells.all() if cell.price_list_id == price_list
            ]
            for finding in lint(charge, currency, rows, by).findings if rows else ():
                if finding.severity == Severity.WARNING:
                    within = f" in {currency}" if len(lists) > 1 else ""
                    yield f"Charge “{charge.name}”{within}: {finding.message}"
