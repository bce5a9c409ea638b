"""What a negotiated price is held against: costs, the margin floor, the plan's price. It is told, and never refused."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO, grouped, round_to
from catalog.charges.cell_prices import price_of
from catalog.charges.checks import COST_CURRENCY
from catalog.charges.priced_in import in_credits, per_of, rows_of, unit_of
from catalog.charges.row_checks import DraftRow
from catalog.charges.row_meeting import matrix_of
from catalog.checks.margin_floor import below, breaks
from catalog.costs.margins import row_margins
from catalog.models import Charge
from catalog.pricing.margins import comparable
from catalog.pricing.words import in_words
from customers.deals.checks import charge_of
from customers.deals.days import Wanted
from customers.models import Subscription
from customers.rating.negotiated import What

# A zero too many or too few.
FAR = Decimal(10)
TOLD = 5


def warnings(subscription: Subscription, wanted: Wanted) -> list[str]:
    """Of a price that `checks.faults` finds nothing wrong with; of any other term none. As few queries for any plan."""
    charge = charge_of(subscription, wanted.charge) if wanted.what == What.PRICE else None
    if charge is None or charge.meter is None or wanted.price is None:
        return []
    currency = subscription.customer.currency
    price_list = None if in_credits(charge) else subscription.version.price_lists.filter(currency=currency).first()
    rows = [DraftRow(cell.match, price_of(cell)) for cell in rows_of(charge, price_list)]
    mine = DraftRow(dict(wanted.match), wanted.price)
    found = [*_far(rows, mine, unit_of(charge, price_list), charge.meter.unit, per_of(charge))]
    if charge.cost_model and currency == COST_CURRENCY and not in_credits(charge):
        found += _too_low(charge, [mine, *(row for row in rows if row.match != mine.match)])
    return found


def _far(rows: Sequence[DraftRow], mine: DraftRow, priced_in: str, unit: str, per: int) -> Iterator[str]:
    """Ten times the price of the plan, or a tenth of it: that of the same row, or of the one that would price it."""
    standard = matrix_of([row.match for row in rows], tuple(mine.match)).row_for(mine.match)
    both = None if standard is None else comparable(rows[standard.id].price, mine.price)
    if standard is None or both is None or both[0] == ZERO:
        return
    before, after = both
    plans = f"the plan's, {in_words(rows[standard.id].price, priced_in, unit, per)}"
    if after == ZERO:
        yield f"The negotiated price is nothing; {plans}."
    elif after >= EXACT.multiply(FAR, before):
        yield f"The negotiated price is {_times(after, before)} times {plans}: look whether a zero is missing."
    elif EXACT.multiply(FAR, after) <= before:
        mend = "look whether there is a zero too many"
        yield f"The negotiated price is {_times(before, after)} times less than {plans}: {mend}."


def _times(greater: Decimal, less: Decimal) -> str:
    return grouped(round_to(EXACT.divide(greater, less), 1))


def _too_low(charge: Charge, rows: Sequence[DraftRow]) -> Iterator[str]:
    """The first row is the negotiated one."""
    assert charge.meter is not None
    floor = charge.version.plan.margin_floor
    found = [each for each in row_margins(charge, rows) if each.row == 0 and breaks(each, floor)]
    for each in found[:TOLD]:
        said = below(each, floor or ZERO, charge.meter.unit, "the negotiated price")
        yield f"{said[0].upper()}{said[1:]}"
    if len(found) > TOLD:
        yield f"So it is with {len(found) - TOLD:,} more."
