"""Redeem a coupon on a subscription, and end it. The writer of Redemption.

Whether there is one left is decided by the database, whoever comes at the same time: `override_triggers.TAKES_ONE`.
Each verb raises Refused, and then nothing was changed.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from billing_site.foundation import clock
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import Period, Schedule, local_date, midnight
from catalog.coupons import issuing as coupons
from catalog.models import Charge, Coupon
from catalog.pricing.words import counted
from customers.deals import closed
from customers.models import Redemption, Subscription
from customers.subscriptions import checks
from customers.subscriptions.registering import lock
from customers.subscriptions.subscribing import schedule_of

FIRST = "first_invoice_on"


def redeem(subscription: Subscription, code: str, *, first_invoice_on: date | None = None) -> Redemption:
    """Let the coupon take off the first invoice that is due on `first_invoice_on` or later, and those that follow.

    The day is a local one of the subscription, and a draft of it counts; None: the invoice that comes next.
    """
    with transaction.atomic():
        lock(subscription.customer_id)
        rows = Subscription.objects.select_for_update(of=("self",), no_key=True)
        held = rows.select_related("customer", "version__plan").get(pk=subscription.pk)
        coupon = coupons.find(code)
        if coupon is None:
            raise Refused(_unknown(code))
        checks.refuse_if(_faults(held, coupon, first_invoice_on))
        first = first_boundary(held, first_invoice_on)
        assert first is not None  # _faults looked
        return _save(
            Redemption(
                coupon=coupon,
                subscription=held,
                redeemed_at=clock.now(),
                first_at=first,
                until_at=until(schedule_of(held), first, coupon),
            )
        )


def check(subscription: Subscription, code: str, first_invoice_on: date | None) -> list[Fault]:
    """What `redeem` would refuse, as things stand. Writes nothing."""
    coupon = coupons.find(code)
    return [_unknown(code)] if coupon is None else _faults(subscription, coupon, first_invoice_on)


def end_redemption(redemption: Redemption) -> Redemption:
    """Let a coupon take off nothing more: of invoices that are not finalized, drafts included."""
    with transaction.atomic():
        lock(redemption.subscription.customer_id)
        subscription = Subscription.objects.select_related("version", "customer").get(pk=redemption.subscription_id)
        row = Redemption.objects.select_related("coupon").get(pk=redemption.pk)
        boundary = closed.of(subscription.pk).boundary
        over = row.first_at
        if boundary is not None and boundary >= row.first_at:
            over = schedule_of(subscription).period_at(boundary).end
        if row.until_at is not None and row.until_at <= over:
            message = f"“{row.coupon}” takes off nothing more from “{subscription}” already."
            raise Refused(Fault("redemption_ended_conflict", message))
        return _save(row, until_at=over)


def first_boundary(subscription: Subscription, day: date | None) -> datetime | None:
    """The earliest boundary on that day or later whose invoice is not finalized; None when there will be none.

    A boundary is where a full billing period ends, or where the subscription begins with an invoice of its own.
    """
    schedule, known = schedule_of(subscription), closed.of(subscription.pk)
    drafts = [_nominal(schedule, each) for each in known.drafts]
    coming = _next(subscription, schedule)
    if day is None:
        today = midnight(local_date(clock.now(), subscription.timezone), subscription.timezone)
        return min([*(each for each in drafts if each >= today), *coming], default=None)
    lower = midnight(day, subscription.timezone)
    found = [each for each in (*drafts, *coming) if each >= lower]
    if found or not coming:
        return min(found, default=None)
    period = schedule.period_at(lower)
    first = lower if period.start == lower else period.end
    begins = schedule.period_at(first - datetime.resolution).start
    return None if subscription.ends_at is not None and begins >= subscription.ends_at else first


def until(schedule: Schedule, first: datetime, coupon: Coupon) -> datetime | None:
    """The first boundary that the coupon is not for any more; None: it is for ever."""
    if coupon.duration == Coupon.Duration.FOREVER:
        return None
    boundary = first
    for _ in range(coupon.periods or 1):
        boundary = schedule.period_at(boundary).end
    return boundary


def _next(subscription: Subscription, schedule: Schedule) -> list[datetime]:
    """The boundary of which there is no draft yet; none when all is invoiced."""
    if subscription.due_from is None or subscription.due_at is None:
        return []
    return [_nominal(schedule, Period(subscription.due_from, subscription.due_at))]


def _nominal(schedule: Schedule, period: Period) -> datetime:
    """Where a period ends by the schedule; one of no length opens the subscription."""
    return period.start if period.start == period.end else schedule.period_at(period.start).end


def _unknown(code: str) -> Fault:
    message = f"There is no coupon “{code.strip()[:50]}”: look it up in the list of coupons."
    return Fault("coupon_unknown", message, "code")


def _faults(subscription: Subscription, coupon: Coupon, day: date | None) -> list[Fault]:
    found = [*_coupon_faults(coupon), *_fit_faults(subscription, coupon), *checks.date_faults(day, None)]
    if found:
        return [fault if fault.field != "starts_on" else Fault(fault.code, fault.message, FIRST) for fault in found]
    return [*_limit_faults(subscription, coupon), *_invoice_faults(subscription, coupon, day)]


def _coupon_faults(coupon: Coupon) -> Iterator[Fault]:
    if not coupon.active:
        yield Fault("coupon_over_conflict", f"“{coupon}” is not active: activate it, or choose another one.", "code")
    if coupon.redeem_by is not None and coupon.redeem_by < clock.now().astimezone(UTC).date():
        message = f"“{coupon}” could be redeemed until {coupon.redeem_by} (UTC): choose another one, or move its day."
        yield Fault("coupon_over_conflict", message, "code")
    if coupon.max_redemptions is not None and coupon.redeemed >= coupon.max_redemptions:
        times = counted(coupon.redeemed, "time")
        message = f"“{coupon}” was redeemed {times}, which is its limit: raise it, or choose another."
        yield Fault("coupon_over_conflict", message, "code")


def _fit_faults(subscription: Subscription, coupon: Coupon) -> Iterator[Fault]:
    currency, version = subscription.customer.currency, subscription.version
    if coupon.currency not in ("", currency):
        message = f"“{coupon}” takes off {coupon.currency}, and the customer pays in {currency}: choose another one."
        yield Fault("currency_differs", message, "code")
    plans = coupons.plans_of(coupon)
    if plans and version.plan not in plans:
        names = ", ".join(f"“{each}”" for each in plans)
        yield Fault("coupon_plan_differs", f"“{coupon}” is for {names}, not for “{version.plan}”.", "code")
    products = [each.pk for each in coupons.products_of(coupon)]
    if products or coupon.charges:
        its = Charge.objects.filter(version=version).filter(Q(code__in=coupon.charges) | Q(product__in=products))
        if not its.exists():
            message = f"“{coupon}” is for charges and products that {version} does not have: it would take off nothing."
            yield Fault("coupon_for_nothing", message, "code")


def _limit_faults(subscription: Subscription, coupon: Coupon) -> Iterator[Fault]:
    mine = Redemption.objects.filter(coupon=coupon, subscription__customer=subscription.customer_id).count()
    if coupon.max_per_customer is not None and mine >= coupon.max_per_customer:
        times = counted(mine, "time")
        message = f"“{subscription.customer}” has redeemed “{coupon}” {times}, which is the limit for a customer."
        yield Fault("coupon_limit_conflict", message, "code")


def _invoice_faults(subscription: Subscription, coupon: Coupon, day: date | None) -> Iterator[Fault]:
    first = first_boundary(subscription, day)
    if first is None:
        message = f"No further invoice of “{subscription}” ({checks.span(subscription)}) is due: choose another day."
        yield Fault("closed_conflict", message, FIRST)
        return
    over = until(schedule_of(subscription), first, coupon)
    others = Redemption.objects.filter(coupon=coupon, subscription=subscription)
    others = others.filter(Q(until_at=None) | Q(until_at__gt=first)).exclude(until_at=F("first_at"))
    if (others if over is None else others.filter(first_at__lt=over)).exists():
        message = f"“{subscription}” has redeemed “{coupon}”, and it is not over yet: choose a later first invoice."
        yield Fault("coupon_conflict", message, "code")


def _save(row: Redemption, **changed: Any) -> Redemption:
    for name, value in changed.items():
        setattr(row, name, value)
    try:
        with transaction.atomic():
            row.save(update_fields=list(changed) or None)
    except IntegrityError as error:
        raise checks.refusal(error) from error
    return row
