"""Which rows sell below what their models cost, as far as costs are known."""

from collections.abc import Iterator, Sequence

from billing_site.foundation.money import ZERO
from catalog.charges.checks import COST_CURRENCY
from catalog.charges.priced_in import in_credits
from catalog.charges.row_checks import DraftRow
from catalog.checks.margin_floor import below
from catalog.checks.row_lint import Finding, Severity
from catalog.costs.margins import row_margins
from catalog.models import Charge


def below_cost(charge: Charge, currency: str, rows: Sequence[DraftRow]) -> Iterator[Finding]:
    """Rows below the margin floor of the plan, which are not published; without one, rows below cost.

    The queries of `margins.row_margins`; none for credits, and for a currency in which no costs are known.
    """
    floor = charge.version.plan.margin_floor
    if not charge.cost_model or currency != COST_CURRENCY or in_credits(charge):
        return
    unit = charge.meter.unit if charge.meter else "unit"
    for found in row_margins(charge, rows):
        least = ZERO if floor is None else floor
        if not found.keeps(least):
            said = below(found, least, unit)
            severity = Severity.WARNING if floor is None else Severity.ERROR
            yield Finding(severity, "below_cost", f"{said[0].upper()}{said[1:]}", "", found.row, "price")
