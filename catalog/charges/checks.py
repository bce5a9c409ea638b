"""What is wrong with one charge of a plan version: its sums, its terms, its rows in every currency."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import EXACT, minor_unit, plain
from catalog.charges.cell_prices import price_of
from catalog.charges.priceable import priceable
from catalog.charges.priced_in import in_credits
from catalog.charges.row_checks import DraftRow, row_faults
from catalog.models import Charge, ChargeAmount, Plan, PlanVersion, PriceList
from catalog.pricing.commitment import bound_faults
from catalog.pricing.price import MAX_WHOLE_DIGITS, Model, quantity_faults
from meters.definitions import drafts
from meters.definitions.metering import adds_up, draft_of
from meters.models import Meter

SUMS = {"amount": "fee", "minimum": "minimum", "cap": "cap"}
# Allowances are taken off a total, so there must be one.
WITH_TOTALS = ("count", "sum", "weighted_sum")
COST_CURRENCY = "USD"


def charge_code_faults(version: PlanVersion, code: str, but: int | None = None) -> Iterator[Fault]:
    """A version has each charge code once; `but`: the charge that is being changed."""
    others = Charge.objects.filter(version=version, code=code)
    if (others if but is None else others.exclude(pk=but)).exists():
        message = f"{version} has a charge “{code}” already: choose another code."
        yield Fault("code_taken", message, "code")


def charge_faults(charge: Charge) -> Iterator[Fault]:
    """Everything, whether its parts are saved yet or prefetched. Reads its version, plan and price lists."""
    yield from term_faults(charge, charge.version.currency)
    if charge.kind == Charge.Kind.FLAT:
        if charge.cells.all():
            message = "A flat fee has no rows: remove them, or charge for the usage of a meter."
            yield Fault("rows_of_fee", message, "rows")
    else:
        assert charge.meter is not None
        for fault in drafts.faults(draft_of(charge.meter)):
            message = f"its meter “{charge.meter.code}” is not ready: {fault.message}"
            yield replace(fault, message=message, field=f"meter.{fault.field}")
        yield from _rows_faults(charge, None)
        yield from _money_faults(charge, charge)
    for price_list in charge.version.price_lists.all():
        yield from _list_faults(charge, price_list)


def term_faults(charge: Charge, currency: str) -> Iterator[Fault]:
    """What is wrong with its sums, allowance and dimensions of cost, rows aside."""
    for name in SUMS:
        amount = getattr(charge, name)
        if amount is not None:
            yield from fee_faults(amount, currency, name)
    yield from bound_faults(charge.minimum, charge.cap)
    if charge.included is not None:
        yield from included_faults(charge.included, charge.meter)
    if charge.meter is not None:
        yield from _cost_faults(charge, charge.meter)


def fee_faults(amount: Decimal, currency: str, field: str = "amount") -> Iterator[Fault]:
    """A sum that can be paid: no finer than the currency's minor unit."""
    places, what = minor_unit(currency), SUMS.get(field, field)
    if not amount.is_finite() or amount < 0:
        yield Fault("amount_invalid", f"The {what} “{amount}” is not a sum: write 0 or more.", field)
    elif amount and amount.adjusted() >= MAX_WHOLE_DIGITS:
        message = f"The {what} has {amount.adjusted() + 1} digits before the point: {MAX_WHOLE_DIGITS} are possible."
        yield Fault("amount_too_large", message, field)
    elif amount and -int(amount.normalize(EXACT).as_tuple().exponent) > places:
        decimals = f"at most {places} decimals" if places else "no decimals"
        message = f"The {what} {plain(amount)} is finer than {currency} can be paid: write it with {decimals}."
        yield Fault("amount_too_precise", message, field)


def included_faults(included: Decimal, meter: Meter | None) -> Iterator[Fault]:
    yield from quantity_faults(included, "included quantity", "included")
    if meter is not None and meter.aggregation not in WITH_TOTALS:
        message = (
            f"The meter “{meter.code}” takes the {meter.get_aggregation_display().lower()}, from which nothing can be"
            " taken off: leave the included quantity empty."
        )
        yield Fault("included_not_offered", message, "included")


def _cost_faults(charge: Charge, meter: Meter) -> Iterator[Fault]:
    known = priceable(meter)
    for field in ("cost_model", "cost_token_type", "cost_context"):
        name = getattr(charge, field)
        if name and name not in known.dimensions:
            names = ", ".join(f"“{each}”" for each in known.dimensions) or "none"
            message = f"The meter “{meter.code}” has no dimension “{name}” that can be priced; it has {names}."
            yield Fault("dimension_unknown", message, field)
        elif name and field == "cost_context" and name not in known.bands:
            yield Fault("band_unknown", f"“{name}” is no band of the meter “{meter.code}”: choose one, or none.", field)


def _rows_faults(charge: Charge, price_list: PriceList | None) -> Iterator[Fault]:
    """Of one price list. The rows of a further one are counted within it."""
    assert charge.meter is not None
    wanted = None if price_list is None else price_list.pk
    rows = [DraftRow(cell.match, price_of(cell)) for cell in charge.cells.all() if cell.price_list_id == wanted]
    if not rows:
        message = "it has no price: add a row, for example one of only * for every use."
        yield Fault("rows_missing", message, "rows")
    yield from row_faults(priceable(charge.meter), rows)
    currency = charge.version.currency if price_list is None else price_list.currency
    for index, row in enumerate(rows):
        if row.price.model == Model.COST_PLUS:
            yield from cost_plus_faults(charge, currency, f"rows.{index}.model")


def cost_plus_faults(charge: Charge, currency: str, field: str) -> Iterator[Fault]:
    if not charge.cost_model:
        message = "A price by cost needs to know the model: say which dimension holds it."
        yield Fault("cost_model_missing", message, field)
    if charge.meter is not None and not adds_up(charge.meter):
        message = (
            f"The quantities of the meter “{charge.meter.code}” do not add up, so a cost that changes cannot cut them."
        )
        yield Fault("cost_of_no_sum", message, field)
    if charge.version.plan.consumption == Plan.Consumption.CREDITS:
        yield Fault("cost_in_credits", "A plan in credits cannot price by cost, which is money.", field)
    elif currency != COST_CURRENCY:
        message = f"Costs are known in {COST_CURRENCY}; a price by cost cannot be in {currency}."
        yield Fault("cost_currency_differs", message, field)


def _list_faults(charge: Charge, price_list: PriceList) -> Iterator[Fault]:
    """What a further currency lacks, or has that is not right."""
    listed = next((each for each in charge.amounts.all() if each.price_list_id == price_list.pk), ChargeAmount())
    found: list[Fault] = []
    for name, what in SUMS.items():
        amount = getattr(listed, name)
        if amount is not None:
            found += fee_faults(amount, price_list.currency, name)
        elif getattr(charge, name) is not None and not in_credits(charge):
            found.append(Fault("amount_missing", f"the {what} is missing: say what it is.", name))
    found += _money_faults(charge, listed)
    in_list = [cell for cell in charge.cells.all() if cell.price_list_id == price_list.pk]
    if charge.kind == Charge.Kind.USAGE and not in_credits(charge):
        found += _rows_faults(charge, price_list)
    elif in_list:
        found.append(
            Fault("rows_of_list", "credits cost the same in every currency: it needs no rows of its own.", "rows")
        )
    for fault in found:
        yield replace(
            fault,
            message=f"in {price_list.currency}, {fault.message}",
            field=f"lists.{price_list.currency}.{fault.field}",
        )


def _money_faults(charge: Charge, terms: Charge | ChargeAmount) -> Iterator[Fault]:
    """What is compared with money has nothing to be compared with where usage is priced in credits."""
    for name in ("minimum", "cap") if in_credits(charge) else ():
        if getattr(terms, name) is not None:
            message = f"the plan is paid for by {paid_by(charge.version)}, where there is no {name}: leave it empty."
            yield Fault(f"{name}_unused", message, name)


def paid_by(version: PlanVersion) -> str:
    """The way in which usage is paid for, in a word."""
    return version.plan.get_consumption_display().partition(":")[0].lower()
