"""Whether a version keeps the margin floor of its plan: no row sells a unit below its cost and that much more."""

from collections.abc import Iterator
from decimal import Decimal

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import grouped
from catalog.charges.cell_prices import price_of
from catalog.charges.checks import COST_CURRENCY, in_credits
from catalog.charges.row_checks import DraftRow
from catalog.costs.margins import row_margins
from catalog.models import Charge
from catalog.pricing.margins import RowMargin

# Prices of tokens are small: people know them by the million.
MANY = Decimal(1_000_000)


def floor_faults(charge: Charge) -> Iterator[Fault]:
    """Rows in the currency of costs that earn less than the floor of the charge's plan; none without a floor."""
    floor, version = charge.version.plan.margin_floor, charge.version
    if floor is None or not charge.cost_model or in_credits(charge) or COST_CURRENCY not in version.currencies():
        return
    price_list = next((each.pk for each in version.price_lists.all() if each.currency == COST_CURRENCY), None)
    place = "" if price_list is None else f"lists.{COST_CURRENCY}."
    rows = [DraftRow(cell.match, price_of(cell)) for cell in charge.cells.all() if cell.price_list_id == price_list]
    for found in row_margins(charge, rows):
        if not found.keeps(floor):
            unit = charge.meter.unit if charge.meter else "unit"
            yield Fault("margin_below_floor", below(found, floor, unit), f"{place}rows.{found.row}.unit_price")


def unchecked(charge: Charge) -> str:
    """Why the floor says nothing of a charge, or nothing of some of its currencies; empty when it does."""
    floor = charge.version.plan.margin_floor
    if floor is None or charge.kind != Charge.Kind.USAGE:
        return ""
    if in_credits(charge):
        return f"The margin floor does not see “{charge.name}”: it is priced in credits, and costs are in USD."
    if not charge.cost_model:
        return f"The margin floor does not see “{charge.name}”: say which of its dimensions holds the model."
    others = [each for each in charge.version.currencies() if each != COST_CURRENCY]
    if others:
        return f"The margin floor does not see the prices of “{charge.name}” in {', '.join(others)}: costs are in USD."
    return ""


def below(found: RowMargin, floor: Decimal, unit: str) -> str:
    """How far below the floor a row sells, and what to ask for; the middle of a sentence about its charge."""
    price, cost, least = (grouped(each * MANY) for each in (found.unit_price, found.cost, found.least(floor)))
    return (
        f"row {found.row + 1} sells {found.at} at {price} {COST_CURRENCY} per 1,000,000 {unit}, which costs {cost}:"
        f" ask for {least} or more{f', the cost and {grouped(floor)} %' if floor else ''}."
    )
