"""When a negotiated term can hold: its days, what is finalized, and what holds of the same already."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from django.db.models import F, Q, QuerySet

from billing_site.foundation import clock
from billing_site.foundation.errors import Fault
from billing_site.foundation.periods import local_date, midnight
from catalog.charges.cell_prices import put
from catalog.models import Charge
from catalog.pricing.price import Price
from customers.deals import closed
from customers.models import Override, Subscription
from customers.rating.negotiated import What
from customers.subscriptions import checks


@dataclass(frozen=True)
class Wanted:
    """A term as it was asked for, nothing checked yet. Days are local ones of the subscription, `ends_on` not included.

    `charge` "": all usage charges, or all lines. A cap without an amount: none.
    """

    what: str
    reason: str
    starts_on: date
    ends_on: date | None = None
    charge: str = ""
    match: Mapping[str, str] = field(default_factory=dict)
    price: Price | None = None
    quantity: Decimal | None = None
    amount: Decimal | None = None
    percent: Decimal | None = None


def as_row(subscription: Subscription, wanted: Wanted) -> Override:
    """What would be stored. Not saved."""
    zone = subscription.timezone
    row = Override(
        subscription=subscription,
        what=wanted.what,
        charge=wanted.charge,
        match=dict(wanted.match),
        quantity=wanted.quantity,
        amount=wanted.amount,
        percent=wanted.percent,
        reason=wanted.reason.strip(),
        starts_at=midnight(wanted.starts_on, zone),
        ends_at=None if wanted.ends_on is None else midnight(wanted.ends_on, zone),
        created_at=clock.now(),
    )
    if wanted.price is not None:
        put(row, wanted.price)
    return row


def same_subject(row: Override) -> "QuerySet[Override]":
    """What is there already of the same term, but for what never held."""
    rows = Override.objects.filter(subscription=row.subscription_id, what=row.what, charge=row.charge, match=row.match)
    return rows.exclude(ends_at__lte=F("starts_at")).order_by("starts_at")


def overlapping(row: Override) -> "QuerySet[Override]":
    """Of the same term at the same time."""
    rows = same_subject(row).filter(Q(ends_at=None) | Q(ends_at__gt=row.starts_at))
    return rows if row.ends_at is None else rows.filter(starts_at__lt=row.ends_at)


def superseded(row: Override, other: Override) -> bool:
    """Whether `other`, which overlaps, simply ends where the new row begins: it began no later, and ends no later."""
    outlasts = row.ends_at is not None and (other.ends_at is None or other.ends_at > row.ends_at)
    return other.starts_at <= row.starts_at and not outlasts


def earliest(subscription: Subscription, what: str, charge: str) -> date:
    """The first day on which such a term can begin: nothing that it touches is finalized from then on."""
    known = closed.of(subscription.pk)
    until = known.advance if _in_advance(subscription, what, charge) else known.arrears
    return local_date(max(until or subscription.starts_at, subscription.starts_at), subscription.timezone)


def end_faults(override: Override, ends_on: date) -> list[Fault]:
    """Why a term cannot end on that day."""
    subscription = override.subscription
    found = checks.date_faults(None, ends_on)
    if found:
        return found
    zone = subscription.timezone
    ends_at, first = midnight(ends_on, zone), earliest(subscription, override.what, override.charge)
    begins = local_date(override.starts_at, zone)
    if override.ends_at is not None and ends_at >= override.ends_at:
        message = f"It ends on {local_date(override.ends_at, zone)} already: choose an earlier day."
        return [Fault("override_ended_conflict", message, "ends_on")]
    if ends_on < max(first, begins):
        why = "It began on" if begins > first else "What is before is invoiced: it can end on"
        message = f"{why} {max(first, begins)}; {ends_on} is earlier. Choose that day or a later one."
        return [Fault("closed_conflict", message, "ends_on")]
    return []


def day_faults(subscription: Subscription, wanted: Wanted) -> list[Fault]:
    found = checks.date_faults(wanted.starts_on, wanted.ends_on)
    if found:
        return found
    first = earliest(subscription, wanted.what, wanted.charge)
    if wanted.starts_on < first:
        begins = local_date(subscription.starts_at, subscription.timezone)
        why = "the subscription begins" if first == begins else "what is before is invoiced for good"
        message = f"{wanted.starts_on} is too early: {why}. The earliest possible day is {first}."
        return [Fault("closed_conflict", message, "starts_on")]
    if subscription.ends_at is not None and midnight(wanted.starts_on, subscription.timezone) >= subscription.ends_at:
        ends = local_date(subscription.ends_at, subscription.timezone)
        message = f"The subscription ends on {ends}; {wanted.starts_on} is not before that. Choose an earlier day."
        return [Fault("starts_too_late", message, "starts_on")]
    return []


def _in_advance(subscription: Subscription, what: str, charge: str) -> bool:
    """Whether it touches a fee that is billed before its period is over. As the trigger of `invoicing.guards`."""
    if what not in (What.FEE, What.DISCOUNT):
        return False
    fees = Charge.objects.filter(
        version=subscription.version_id, timing__in=[Charge.Timing.ADVANCE, Charge.Timing.ONCE]
    )
    return (fees.filter(code=charge) if charge else fees).exists()


def overlap_faults(subscription: Subscription, wanted: Wanted) -> Iterator[Fault]:
    row = as_row(subscription, wanted)
    for other in overlapping(row):
        if not superseded(row, other):
            message = (
                f"The same is negotiated {span(other, subscription.timezone)} already (“{other.reason}”), and would go"
                " on beside it: end that one first, or choose other days."
            )
            yield Fault("override_conflict", message, "starts_on")


def span(override: Override, timezone: str) -> str:
    first = local_date(override.starts_at, timezone)
    if override.ends_at is None:
        return f"from {first}"
    return f"from {first} to {local_date(override.ends_at, timezone)}"
