"""What is wrong with a negotiated term, as faults that a person can act on. Verbs and forms ask here, and only here."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import plain
from billing_site.foundation.periods import Period, local_date, midnight
from catalog.charges import books as price_books
from catalog.charges.checks import cost_plus_faults, fee_faults, included_faults
from catalog.charges.priceable import priceable
from catalog.charges.row_checks import DraftRow, choose, row_faults
from catalog.models import Charge
from catalog.pricing.book import UsageCharge
from catalog.pricing.price import Model, Price, number_faults
from customers.deals import days
from customers.deals.days import Wanted
from customers.models import Subscription
from customers.rating import deals, negotiated
from customers.rating.negotiated import Negotiated, What
from customers.subscriptions import checks

FIELDS: Mapping[What, tuple[str, ...]] = {
    What.PRICE: ("match", "price"),
    What.INCLUDED: ("quantity",),
    What.MINIMUM: ("amount",),
    What.CAP: ("amount",),
    What.FEE: ("amount",),
    What.DISCOUNT: ("percent", "amount"),
}
FOR_ALL = frozenset({What.MINIMUM, What.CAP, What.DISCOUNT})
OF_FEES_ALONE = frozenset({What.FEE})
OF_ANY = frozenset({What.DISCOUNT})
FAR = midnight(checks.LAST_DAY, "UTC")
MAX_REASON = 500


def faults(subscription: Subscription, wanted: Wanted) -> list[Fault]:
    """Everything that `overriding.override` would refuse, as the subscription stands. Writes nothing."""
    found = [*_shape_faults(wanted), *_reason_faults(wanted.reason)]
    if any(each.field in ("what", "charge") for each in found):
        return found
    charge = charge_of(subscription, wanted.charge) if wanted.charge else None
    found += _charge_faults(subscription, What(wanted.what), wanted.charge, charge)
    if not any(each.field == "charge" for each in found):
        found += _value_faults(subscription, wanted, charge)
    found += days.day_faults(subscription, wanted)
    return found or [*days.overlap_faults(subscription, wanted), *_commitment_faults(subscription, wanted)]


def charge_of(subscription: Subscription, code: str) -> Charge | None:
    rows = Charge.objects.select_related("meter", "version__plan")
    return None if "\0" in code else rows.filter(version=subscription.version_id, code=code).first()


def _shape_faults(wanted: Wanted) -> Iterator[Fault]:
    if wanted.what not in list(What):
        known = ", ".join(What)
        yield Fault("what_unknown", f"“{wanted.what}” cannot be negotiated: choose {known}.", "what")
        return
    what = What(wanted.what)
    if not wanted.charge and what not in FOR_ALL:
        message = f"Which charge? A negotiated {what.label.lower()} is of one: give its code."
        yield Fault("charge_missing", message, "charge")
    for name in ("match", "price", "quantity", "amount", "percent"):
        if name not in FIELDS[what] and getattr(wanted, name) not in (None, {}):
            yield Fault("field_unused", f"A negotiated {what.label.lower()} has no {name}: leave it out.", name)
    yield from _missing_faults(what, wanted)


def _missing_faults(what: What, wanted: Wanted) -> Iterator[Fault]:
    if what == What.DISCOUNT:
        if (wanted.percent is None) == (wanted.amount is None):
            message = "A discount takes off either a percentage or an amount: give one of the two."
            yield Fault("discount_percent_or_amount", message, "percent")
        elif wanted.amount is not None and not wanted.charge:
            message = (
                "An amount is taken off one charge: give its code, or a percentage. For an amount off whole invoices,"
                " make a coupon."
            )
            yield Fault("charge_missing", message, "charge")
        return
    (name,) = [each for each in FIELDS[what] if each != "match"]
    if getattr(wanted, name) is None and what != What.CAP:
        yield Fault(f"{name}_missing", f"The {name} is missing: say what was negotiated.", name)


def _reason_faults(reason: str) -> Iterator[Fault]:
    if not reason.strip():
        yield Fault("reason_missing", "The reason is empty: say why, for whoever asks later.", "reason")
    elif len(reason.strip()) > MAX_REASON:
        message = f"The reason has {len(reason.strip())} characters; at most {MAX_REASON} can be stored."
        yield Fault("reason_too_long", message, "reason")
    elif not checks.storable(reason):
        yield Fault("text_invalid", "The reason holds a character that cannot be stored; leave it out.", "reason")


def _charge_faults(subscription: Subscription, what: What, code: str, charge: Charge | None) -> Iterator[Fault]:
    if not code:
        return
    if charge is None:
        known = list(Charge.objects.filter(version=subscription.version_id).values_list("code", flat=True))
        message = f"{subscription.version} has no charge “{code[:100]}”: {choose(code, known)}."
        yield Fault("charge_unknown", message, "charge")
    elif what not in OF_ANY and (charge.kind == Charge.Kind.FLAT) != (what in OF_FEES_ALONE):
        kind = "is a flat fee" if charge.kind == Charge.Kind.FLAT else "is usage of a meter"
        message = f"“{charge.name}” {kind}: it has no {what.label.lower()}."
        yield Fault("charge_unfit", message, "charge")


def _value_faults(subscription: Subscription, wanted: Wanted, charge: Charge | None) -> Iterator[Fault]:
    currency = subscription.customer.currency
    if wanted.price is not None and charge is not None:
        yield from _price_faults(charge, wanted.match, wanted.price, currency)
    if wanted.quantity is not None and charge is not None:
        for fault in included_faults(wanted.quantity, charge.meter):
            yield replace(fault, field="quantity")
    if wanted.amount is not None:
        yield from _amount_faults(wanted.what, wanted.amount, currency)
    if wanted.percent is not None:
        yield from _percent_faults(wanted.percent)


def _amount_faults(what: str, amount: Decimal, currency: str) -> Iterator[Fault]:
    for fault in fee_faults(amount, currency, "amount"):
        yield replace(fault, message=fault.message.replace("The fee", "The amount"))
    if what == What.DISCOUNT and amount == 0:
        yield Fault("amount_invalid", "An amount of 0 takes off nothing: write more.", "amount")


def _percent_faults(percent: Decimal) -> Iterator[Fault]:
    yield from number_faults(percent, "percentage", "percent")
    if percent.is_finite() and not 0 < percent <= 100:
        message = f"{plain(percent)} % cannot be taken off: write more than 0 and at most 100."
        yield Fault("percent_invalid", message, "percent")


def _price_faults(charge: Charge, match: Mapping[str, str], price: Price, currency: str) -> Iterator[Fault]:
    assert charge.meter is not None  # a price is of usage: charge_unfit
    for fault in row_faults(priceable(charge.meter), [DraftRow(match, price)]):
        inner = fault.field.removeprefix("rows.0").removeprefix(".")
        yield replace(fault, field="match" if inner == "match" else f"price.{inner}".rstrip("."))
    if price.model == Model.COST_PLUS:
        yield from cost_plus_faults(charge, currency, "price.model")


def _commitment_faults(subscription: Subscription, wanted: Wanted) -> Iterator[Fault]:
    """A minimum above the cap at any time that it holds, whichever of the two is the plan's."""
    if wanted.what not in (What.MINIMUM, What.CAP):
        return
    key = (subscription.version_id, subscription.customer.currency)
    book = price_books.load({key})[key]
    mine = deals.as_negotiated(days.as_row(subscription, wanted), subscription.timezone)
    agreed = [each for each in _agreed(subscription) if each.what != mine.what]
    usage = [each for each in book.charges if isinstance(each, UsageCharge)]
    plan = next((each for each in usage if each.code == wanted.charge), book)
    for part in negotiated.parts(Period(mine.starts_at, mine.ends_at or FAR), agreed):
        held = negotiated.about([mine, *agreed], wanted.charge, What.MINIMUM, What.CAP)
        minimum = negotiated.number(What.MINIMUM, plan.minimum, part, held)
        cap = negotiated.number(What.CAP, plan.cap, part, held)
        if minimum is not None and cap is not None and minimum > cap:
            message = (
                f"From {local_date(part.start, subscription.timezone)} on the minimum would be {plain(minimum)},"
                f" above the cap of {plain(cap)}: choose another amount, or negotiate the other one first."
            )
            yield Fault("minimum_above_cap", message, "amount")
            return


def _agreed(subscription: Subscription) -> list[Negotiated]:
    found = deals.load([subscription]).get(subscription.pk)
    return [] if found is None else list(found.negotiated)
