"""Whether a plan version can be published: every fault at once, and what is allowed but worth a second look."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import combinations

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import is_currency, minor_unit, plain
from catalog.models import Charge, PlanVersion
from catalog.priceable import priceable
from catalog.row_checks import MAX_WHOLE_DIGITS, DraftRow, leaves_gap, overlap, row_faults
from meters import drafts
from meters.metering import draft_of


def faults(version: PlanVersion) -> list[Fault]:
    """What must be mended first. `field` leads to the place: “currency”, “charges.tokens.rows.2.match”."""
    found = list(currency_faults(version.currency))
    charges = _charges(version)
    if not charges:
        found.append(Fault("charges_missing", "The version charges nothing: add a charge.", "charges"))
    for charge in charges:
        for fault in charge_faults(charge):
            message = f"Charge “{charge.name}”: {fault.message}"
            found.append(replace(fault, message=message, field=f"charges.{charge.code}.{fault.field}"))
    return found


def warnings(version: PlanVersion) -> list[str]:
    """What may be meant, and may be not."""
    found, charges = [], _charges(version)
    for charge in charges:
        if charge.meter is not None and leaves_gap(priceable(charge.meter), [c.match for c in charge.cells.all()]):
            happens = (
                "its invoice is held until somebody prices it"
                if charge.unmatched == Charge.Unmatched.HOLD
                else "it is charged nothing and stands on the invoice at 0, “not priced”"
            )
            found.append(
                f"Charge “{charge.name}” has no row of only *: when usage comes that no row matches, {happens}."
            )
    return found + [_charged_twice(one, other) for one, other in combinations(charges, 2) if _price_alike(one, other)]


def _price_alike(one: Charge, other: Charge) -> bool:
    """Whether there can be usage that both charges price. It may be meant: a price, and a surcharge on the same."""
    return one.meter_id == other.meter_id is not None and any(
        overlap(mine.match, theirs.match) for mine in one.cells.all() for theirs in other.cells.all()
    )


def _charged_twice(one: Charge, other: Charge) -> str:
    assert one.meter is not None
    return (
        f"Charges “{one.name}” and “{other.name}” both price usage of the meter “{one.meter.code}”:"
        " what a row of each matches is charged twice."
    )


def currency_faults(currency: str) -> Iterator[Fault]:
    if not is_currency(currency):
        message = f"“{currency}” is not a currency in use: write its three letters, for example USD, EUR or JPY."
        yield Fault("currency_unknown", message, "currency")


def charge_code_faults(version: PlanVersion, code: str, but: int | None = None) -> Iterator[Fault]:
    """A version has each charge code once; `but`: the charge that is being changed."""
    others = Charge.objects.filter(version=version, code=code)
    if (others if but is None else others.exclude(pk=but)).exists():
        message = f"{version} has a charge “{code}” already: choose another code."
        yield Fault("code_taken", message, "code")


def charge_faults(charge: Charge) -> Iterator[Fault]:
    """What is wrong with one charge and its rows, whether they are saved yet or prefetched."""
    rows = [DraftRow(cell.match, cell.unit_price) for cell in charge.cells.all()]
    if charge.kind == Charge.Kind.FLAT:
        assert charge.amount is not None
        yield from fee_faults(charge.amount, charge.version.currency)
        if rows:
            yield Fault(
                "rows_of_fee", "A flat fee has no rows: remove them, or charge for the usage of a meter.", "rows"
            )
        return
    assert charge.meter is not None
    for fault in drafts.faults(draft_of(charge.meter)):
        message = f"its meter “{charge.meter.code}” is not ready: {fault.message}"
        yield replace(fault, message=message, field=f"meter.{fault.field}")
    if not rows:
        yield Fault("rows_missing", "it has no price: add a row, for example one of only * for every use.", "rows")
    yield from row_faults(priceable(charge.meter), rows)


def fee_faults(amount: Decimal, currency: str) -> Iterator[Fault]:
    """A fee is a sum that can be paid: no finer than the currency's minor unit."""
    places = minor_unit(currency)
    if not amount.is_finite() or amount < 0:
        yield Fault("amount_invalid", f"The fee “{amount}” is not a sum: write 0 or more.", "amount")
    elif amount and amount.adjusted() >= MAX_WHOLE_DIGITS:
        message = f"The fee has {amount.adjusted() + 1} digits before the point: {MAX_WHOLE_DIGITS} are possible."
        yield Fault("amount_too_large", message, "amount")
    elif amount and -int(amount.normalize().as_tuple().exponent) > places:
        decimals = f"at most {places} decimals" if places else "no decimals"
        message = f"The fee {plain(amount)} is finer than {currency} can be paid: write it with {decimals}."
        yield Fault("amount_too_precise", message, "amount")


def _charges(version: PlanVersion) -> list[Charge]:
    """The charges in order, with all that the checks read."""
    parts = ("cells", "meter__dimensions", "meter__bands", "meter__values", "meter__filters")
    charges = list(version.charges.select_related("meter", "version").prefetch_related(*parts))
    for charge in charges:
        charge.version = version
    return charges
