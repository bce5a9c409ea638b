"""Grant a customer what its plans do not give, and end that. The writer of EntitlementOverride."""

from datetime import date

from django.db import IntegrityError, transaction
from django.db.models import Q

from billing_site.foundation import clock
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import local_date
from catalog.features import values as feature_values
from catalog.features.values import Kind
from catalog.models import Feature
from customers.entitlements.models import EntitlementOverride
from customers.models import Customer
from customers.subscriptions import checks
from customers.subscriptions.registering import lock

LONGEST_REASON = 2_000


def grant(
    customer: Customer,
    feature: Feature,
    value: object,
    *,
    reason: str,
    starts_on: date | None = None,
    ends_on: date | None = None,
) -> EntitlementOverride:
    """Give a customer this value of a feature, whatever its plans say, from the start of one day to that of another.

    Days are those of the customer's calendar: `starts_on` is today or later, today when left out; without `ends_on` it
    holds until it is ended. `value` as `feature_values.read` takes it. Raises Refused, and then nothing was changed.
    """
    with transaction.atomic():
        customer = lock(customer.pk)
        starts_on = starts_on or today(customer)
        checks.refuse_if(grant_faults(customer, feature, value, reason=reason, starts_on=starts_on, ends_on=ends_on))
        override = EntitlementOverride(
            customer=customer, feature=feature, starts_on=starts_on, ends_on=ends_on, reason=reason.strip()
        )
        override.value = feature_values.read(Kind(feature.kind), value, feature.allowed)
        _save(override)
    return override


def grant_faults(
    customer: Customer, feature: Feature, value: object, *, reason: str, starts_on: date, ends_on: date | None
) -> list[Fault]:
    """What `grant` would refuse, at this moment. Writes nothing."""
    faults = checks.date_faults(starts_on, ends_on)
    if not faults and starts_on < today(customer):
        message = (
            f"{starts_on} is over: what a customer was allowed then does not change. Begin today,"
            f" {today(customer)}, or later."
        )
        faults.append(Fault("starts_in_the_past", message, "starts_on"))
    try:
        feature_values.read(Kind(feature.kind), value, feature.allowed)
    except Refused as refused:
        faults += refused.faults
    return [*faults, *_reason_faults(reason), *([] if faults else _overlaps(customer, feature, starts_on, ends_on))]


def end_override(override: EntitlementOverride, ends_on: date | None = None) -> EntitlementOverride:
    """Let it end at the start of a day, as soon as it can when left out; never later than it would.

    One that ends on the day on which it begins never counts, today neither. Raises Refused.
    """
    with transaction.atomic():
        customer = lock(override.customer_id)
        row = EntitlementOverride.objects.select_for_update(no_key=True).get(pk=override.pk)
        checks.refuse_if(end_faults(row, customer, ends_on))
        row.ends_on = ends_on or max(today(customer), row.starts_on)
        _save(row)
    override.refresh_from_db()
    return override


def end_faults(override: EntitlementOverride, customer: Customer, ends_on: date | None) -> list[Fault]:
    """What `end_override` would refuse, at this moment. Writes nothing."""
    now = today(customer)
    if override.state_on(now) == "ended":
        message = f"It has ended on {override.ends_on} already."
        return [Fault("override_conflict", message, "ends_on")]
    if ends_on is None:
        return []
    if ends_on < now:
        message = f"{ends_on} is over: what the customer was allowed then does not change. End it on {now} or later."
        return [Fault("ends_in_the_past", message, "ends_on")]
    if ends_on < override.starts_on:
        message = f"It begins on {override.starts_on}: end it on that day, and it never counts."
        return [Fault("ends_too_early", message, "ends_on")]
    if override.ends_on is not None and ends_on > override.ends_on:
        message = f"It ends on {override.ends_on}; grant another one from that day on to make it last."
        return [Fault("ends_later", message, "ends_on")]
    return []


def today(customer: Customer) -> date:
    """The day that it is at the customer's."""
    return local_date(clock.now(), customer.timezone)


def _reason_faults(reason: str) -> list[Fault]:
    if not reason.strip():
        message = "Say why, for whoever asks later: the contract, the ticket, the promise."
        return [Fault("reason_missing", message, "reason")]
    if len(reason) > LONGEST_REASON:
        message = f"The reason has {len(reason):,} characters; at most {LONGEST_REASON:,} are kept."
        return [Fault("reason_too_long", message, "reason")]
    return checks.text_faults("Reason", "reason", reason)


def _overlaps(customer: Customer, feature: Feature, starts_on: date, ends_on: date | None) -> list[Fault]:
    others = EntitlementOverride.objects.filter(customer=customer, feature=feature)
    others = others.filter(Q(ends_on=None) | Q(ends_on__gt=starts_on))
    if ends_on is not None:
        others = others.filter(starts_on__lt=ends_on)
    return [Fault("override_conflict", _overlap(other), "starts_on") for other in others if _counts(other)]


def _counts(override: EntitlementOverride) -> bool:
    """One that ended as it began counts on no day."""
    return override.ends_on is None or override.ends_on > override.starts_on


def _overlap(other: EntitlementOverride) -> str:
    days = f"from {other.starts_on}" + (f" to {other.ends_on}" if other.ends_on else " on, without an end")
    return f"“{other}” is granted {days} already: end that first, or choose days on which it does not hold."


def _save(override: EntitlementOverride) -> None:
    try:
        with transaction.atomic():
            override.save()
    except IntegrityError as error:
        raise checks.refusal(error) from error
