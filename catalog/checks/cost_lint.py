"""Which rows sell below what their models cost, and which costs a charge does not tell apart, as far as known."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from billing_site.foundation.money import ZERO, grouped
from catalog.charges.checks import COST_CURRENCY
from catalog.charges.priceable import priceable
from catalog.charges.priced_in import in_credits
from catalog.charges.row_checks import DraftRow
from catalog.charges.seen_values import seen_values
from catalog.checks.margin_floor import below, breaks
from catalog.checks.row_lint import Finding, Severity
from catalog.costs import books as costs
from catalog.costs.margins import row_margins
from catalog.models import Charge
from catalog.pricing.price import Model


def below_cost(charge: Charge, currency: str, rows: Sequence[DraftRow]) -> Iterator[Finding]:
    """Rows below the margin floor of the plan, which are not published; without one, rows below cost.

    The queries of `margins.row_margins`; none for credits, and for a currency in which no costs are known.
    """
    floor = charge.version.plan.margin_floor
    if not charge.cost_model or currency != COST_CURRENCY or in_credits(charge):
        return
    unit = charge.meter.unit if charge.meter else "unit"
    for found in row_margins(charge, rows):
        if breaks(found, floor):
            said = below(found, ZERO if floor is None else floor, unit)
            severity = Severity.WARNING if floor is None else Severity.ERROR
            yield Finding(severity, "below_cost", f"{said[0].upper()}{said[1:]}", "", found.row, "price")


def sizes_together(charge: Charge, rows: Sequence[DraftRow]) -> Iterator[Finding]:
    """Models with a price by cost whose cost steps with the size of a request where no band of the charge's does.

    They are those that rows name, or, where one is for any, that usage has had. No query without a price by cost.
    """
    by_cost = [row for row in rows if row.price.model == Model.COST_PLUS]
    if not by_cost or not charge.cost_model or charge.meter is None:
        return
    named = {row.match[charge.cost_model] for row in by_cost if charge.cost_model in row.match}
    if any(charge.cost_model not in row.match for row in by_cost):
        named.update(seen_values(charge.meter, priceable(charge.meter)).get(charge.cost_model, ()))
    bands = {band.name: {int(each) for each in band.thresholds} for band in charge.meter.bands.all()}
    known = bands.get(charge.cost_context, set())
    steps = {size: models for size, models in costs.thresholds(named).items() if size not in known}
    if steps:
        yield Finding(Severity.WARNING, "sizes_together", _told(steps, bands, charge), "", None, "price")


def _told(steps: Mapping[int, Sequence[str]], bands: Mapping[str, set[int]], charge: Charge) -> str:
    assert charge.meter is not None
    listed = "; ".join(f"{', '.join(models)} above {grouped(Decimal(size))}" for size, models in steps.items())
    fitting = [name for name, sizes in bands.items() if sizes.issuperset(steps)]
    if fitting:
        mend = f"choose the band “{fitting[0]}”."
    else:
        mend = f"the meter “{charge.meter.code}” has no band of these sizes, so charge for one that has."
    return (
        f"The cost of some models is another one for requests of more input tokens ({listed}), and the charge does not"
        f" tell them apart: they are priced by the cost of smaller ones. To price them by their own, {mend}"
    )
