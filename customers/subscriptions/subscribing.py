"""Subscribe a customer to a plan version, end that, step from boundary to boundary. The writer of Subscription."""

import secrets
from datetime import date

from django.db import IntegrityError, transaction

from billing_site.foundation.errors import Fault
from billing_site.foundation.periods import Alignment, Interval, Schedule, midnight
from catalog.models import Charge, PlanVersion
from customers.models import Customer, Subscription
from customers.subscriptions import boundaries, checks
from customers.subscriptions.boundaries import Boundary
from customers.subscriptions.moving import move_to_version
from customers.subscriptions.registering import add_alias, change_customer, create_customer, lock

__all__ = [
    "add_alias",
    "advance",
    "change_customer",
    "create_customer",
    "end_subscription",
    "move_to_version",
    "schedule_of",
    "subscribe",
]


def subscribe(
    *,
    customer: Customer,
    version: PlanVersion,
    starts_on: date,
    ends_on: date | None = None,
    alignment: str = Alignment.CALENDAR,
    reference: str | None = None,
    named_events_only: bool = False,
) -> Subscription:
    """Put a customer on a published version, from the start of `starts_on` to the start of `ends_on`.

    Days are local days of the customer's timezone, which the subscription keeps. Without a reference it gets one.
    Raises Refused, and then nothing was made.
    """
    reference = f"sub_{secrets.token_hex(10)}" if reference is None else reference
    with transaction.atomic():
        customer = lock(customer.pk)
        version = PlanVersion.objects.select_related("plan").get(pk=version.pk)
        faults = check_terms(
            customer=customer,
            version=version,
            starts_on=starts_on,
            ends_on=ends_on,
            alignment=alignment,
            reference=reference,
            named_events_only=named_events_only,
        )
        checks.refuse_if(faults)
        subscription = Subscription(
            reference=reference,
            customer=customer,
            version=version,
            alignment=alignment,
            anchor=starts_on,
            timezone=customer.timezone,
            starts_at=midnight(starts_on, customer.timezone),
            ends_at=None if ends_on is None else midnight(ends_on, customer.timezone),
            named_events_only=named_events_only,
        )
        subscription.due_from, subscription.due_at = boundaries.first(
            schedule_of(subscription),
            subscription.starts_at,
            subscription.ends_at,
            in_advance=_has_fees(version, Charge.Timing.ADVANCE, Charge.Timing.ONCE),
        )
        _save(subscription)
    return subscription


def check_terms(
    *,
    customer: Customer,
    version: PlanVersion,
    starts_on: date,
    ends_on: date | None,
    alignment: str,
    reference: str | None,
    named_events_only: bool,
) -> list[Fault]:
    """What `subscribe` would refuse, at this moment. Writes nothing."""
    faults = [
        *checks.version_faults(version, customer),
        *checks.date_faults(starts_on, ends_on),
        *checks.alignment_faults(alignment),
        *([] if reference is None else checks.subscription_reference_faults(reference)),
    ]
    if faults or named_events_only:
        return faults
    ends_at = None if ends_on is None else midnight(ends_on, customer.timezone)
    starts_at = midnight(starts_on, customer.timezone)
    return checks.overlap_faults(customer.pk, version.pk, starts_at, ends_at, but=None, field="starts_on")


def end_subscription(subscription: Subscription, ends_on: date | None) -> Subscription:
    """Let a subscription end at the start of `ends_on`, a local day of its timezone; None: it goes on without an end.

    Raises Refused when the end would take back what has been invoiced, and then nothing was changed.
    """
    with transaction.atomic():
        # The customer first, as everywhere: its lock lines up whoever writes claims.
        lock(subscription.customer_id)
        rows = Subscription.objects.select_for_update(of=("self",), no_key=True)
        row = rows.select_related("version__plan").get(pk=subscription.pk)
        checks.refuse_if(check_end(row, ends_on))
        row.ends_at = None if ends_on is None else midnight(ends_on, row.timezone)
        assert row.due_from is not None  # what is invoiced to its end is refused above
        if not _awaits_opening(row):
            row.due_from, row.due_at = boundaries.after(schedule_of(row), row.due_from, row.ends_at)
        _save(row)
    subscription.refresh_from_db()
    return subscription


def check_end(subscription: Subscription, ends_on: date | None) -> list[Fault]:
    """What `end_subscription` would refuse, as the subscription stands. Writes nothing."""
    faults = checks.date_faults(None, ends_on)
    if faults:
        return faults
    ends_at = None if ends_on is None else midnight(ends_on, subscription.timezone)
    opened = _has_fees(subscription.version, Charge.Timing.ADVANCE) and not _awaits_opening(subscription)
    period = schedule_of(subscription).period_at(subscription.due_from or subscription.starts_at)
    faults = checks.end_faults(subscription, ends_at, period, opened=opened)
    faults = faults or checks.date_faults(subscription.anchor, ends_on)
    if faults or subscription.named_events_only:
        return faults
    return checks.overlap_faults(
        subscription.customer_id,
        subscription.version_id,
        subscription.starts_at,
        ends_at,
        but=subscription.pk,
        field="ends_on",
    )


def schedule_of(subscription: Subscription) -> Schedule:
    """Where its periods begin and end. Reads `subscription.version`."""
    return Schedule(
        interval=Interval(subscription.version.interval),
        alignment=Alignment(subscription.alignment),
        anchor=subscription.anchor,
        timezone=subscription.timezone,
    )


def advance(subscription: Subscription) -> Boundary:
    """(due_from, due_at) after the boundary `due_at`; (None, None) when that was the last. Writes nothing."""
    if subscription.due_at is None:
        raise ValueError(f"The subscription {subscription.reference} has no boundary left.")
    return boundaries.after(schedule_of(subscription), subscription.due_at, subscription.ends_at)


def _awaits_opening(subscription: Subscription) -> bool:
    """Whether its first fees in advance are still to be invoiced."""
    return subscription.due_at is not None and subscription.due_from == subscription.due_at


def _has_fees(version: PlanVersion, *timings: str) -> bool:
    return Charge.objects.filter(version=version, timing__in=timings).exists()


def _save(subscription: Subscription) -> None:
    try:
        with transaction.atomic():
            subscription.save()
    except IntegrityError as error:
        raise checks.refusal(error) from error
