"""What a charge is priced in, and by which rows: whoever shows a price, or looks for one, asks here.

Usage of a plan in credits is priced in credits, the same in every currency; a fee is always money. No queries when the
version's plan, the rows and the amounts are there.
"""

from decimal import Decimal

from billing_site.foundation.money import grouped, show
from catalog.charges.cell_prices import price_of
from catalog.models import Cell, Charge, ChargeAmount, Plan, PriceList
from catalog.pricing.words import shown_per

CREDITS = "credits"


def in_credits(charge: Charge) -> bool:
    """Usage that is priced in credits, whatever the currency."""
    return charge.kind == Charge.Kind.USAGE and charge.version.plan.consumption == Plan.Consumption.CREDITS


def unit_of(charge: Charge, price_list: PriceList | None = None) -> str:
    """“USD”, “EUR” or “credits”, for who is billed by a price list, or in the version's own currency."""
    if in_credits(charge):
        return CREDITS
    return charge.version.currency if price_list is None else price_list.currency


def rows_of(charge: Charge, price_list: PriceList | None = None) -> list[Cell]:
    """The rows that price the usage of who is billed by a price list, or in the version's own currency."""
    wanted = None if price_list is None or in_credits(charge) else price_list.pk
    return [cell for cell in charge.cells.all() if cell.price_list_id == wanted]


def per_of(charge: Charge) -> int:
    """For how many units people are told the prices of a charge: one number for all of its rows, in every currency."""
    return shown_per(price_of(cell) for cell in charge.cells.all())


def amounts_of(charge: Charge, price_list: PriceList | None = None) -> Charge | ChargeAmount:
    """What has the fee, minimum and cap; a list that says nothing of the charge has none of them."""
    if price_list is None or in_credits(charge):
        return charge
    return next((each for each in charge.amounts.all() if each.price_list_id == price_list.pk), ChargeAmount())


def sum_in(amount: Decimal | None, unit: str, nothing: str = "") -> str:
    """A sum of what a charge is priced in: “$5.00”, “500 credits”."""
    if amount is None:
        return nothing
    return f"{grouped(amount)} {CREDITS}" if unit == CREDITS else show(amount, unit)
