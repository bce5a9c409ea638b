"""Move a subscription to a later version of its plan: the way out when a version lacks a price."""

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from billing_site.foundation import clock
from billing_site.foundation.errors import Fault, Refused
from catalog.models import Charge, PlanVersion, PriceList
from customers.models import Override, Subscription
from customers.rating.negotiated import What
from customers.subscriptions import checks
from customers.subscriptions.registering import lock
from meters.models import Meter

_USAGE, _FEE = {Charge.Kind.USAGE}, {Charge.Kind.FLAT}
_FITTING: dict[str, set[Charge.Kind]] = {
    **dict.fromkeys([What.PRICE, What.INCLUDED, What.MINIMUM, What.CAP], _USAGE),
    What.FEE: _FEE,
    What.DISCOUNT: _USAGE | _FEE,
}
_KINDS: dict[str, str] = {each.value: "fee" if each == What.FEE else "charge" for each in What}


def move_to_version(subscription: Subscription, version: PlanVersion) -> Subscription:
    """Price a subscription by a later published version of its plan, from its earliest period that is not closed.

    Drafts and the open period are priced wholly by the new version; what is finalized keeps its own, and fees in
    advance that were billed stay as they were. A fee in advance that is new begins with the next invoice.
    Raises Refused, and then nothing was changed.
    """
    with transaction.atomic():
        # The customer first, as everywhere: its lock lines up whoever writes claims.
        lock(subscription.customer_id)
        row = Subscription.objects.select_related("version__plan", "customer").get(pk=subscription.pk)
        target = PlanVersion.objects.select_related("plan").get(pk=version.pk)
        checks.refuse_if(check_move(row, target))
        if not _moved(row, target):
            raise Refused(Fault("version_conflict", f"“{row}” has just been moved by somebody else.", "version"))
    subscription.refresh_from_db()
    return subscription


def check_move(subscription: Subscription, version: PlanVersion) -> list[Fault]:
    """What `move_to_version` would refuse, as the subscription stands. Writes nothing."""
    message = unfit(subscription.version, version) or _bent(subscription, version)
    if message:
        return [Fault("version_conflict", message, "version")]
    if subscription.named_events_only:
        return []
    return checks.overlap_faults(
        subscription.customer_id,
        version.pk,
        subscription.starts_at,
        subscription.ends_at,
        but=subscription.pk,
        field="version",
    )


def version_faults(source: PlanVersion, target: PlanVersion) -> list[Fault]:
    """Why nobody could be moved from one version to another."""
    message = unfit(source, target) or _dropped(source, target)
    return [Fault("version_conflict", message, "target")] if message else []


def unfit(now: PlanVersion, version: PlanVersion) -> str:
    """Why nobody at all can go from one version to another, as far as their terms say; reads nothing."""
    if version.plan_id != now.plan_id:
        return f"{version} is of another plan than {now}; choose a later version of “{now.plan}”."
    if version.number <= now.number:
        return f"{version} is not later than {now}, which the subscription has; choose a later version."
    if version.status != PlanVersion.Status.PUBLISHED:
        return f"{version} is {version.get_status_display().lower()}; only a published version can be moved to."
    if version.interval != now.interval:
        return f"{version} has the interval {version.interval}, {now} has {now.interval}; it cannot change."
    return ""


def warnings(subscription: Subscription, version: PlanVersion) -> list[str]:
    """Which negotiated terms, of now or later, hold for nothing in this version: it lacks what they are about."""
    kinds = dict(Charge.objects.filter(version=version).values_list("code", "kind"))
    rows = Override.objects.filter(subscription=subscription).exclude(charge="").exclude(ends_at__lte=F("starts_at"))
    going_on = rows.filter(Q(ends_at=None) | Q(ends_at__gt=subscription.due_from or clock.now()))
    return [
        f"{version} has no {_KINDS[override.what]} “{override.charge}”: the negotiated term {override.pk}"
        f" (“{override.reason}”) holds for nothing there."
        for override in going_on.order_by("id")
        if kinds.get(override.charge) not in _FITTING[override.what]
    ]


def later_versions(subscription: Subscription) -> QuerySet[PlanVersion]:
    """The versions that it can be moved to, the newest first."""
    now = subscription.version
    rows = PlanVersion.objects.filter(plan=now.plan_id, number__gt=now.number, status=PlanVersion.Status.PUBLISHED)
    currency = subscription.customer.currency
    listed = PriceList.objects.filter(version=OuterRef("pk"), currency=currency)
    offered = rows.filter(Q(currency=currency) | Exists(listed), interval=now.interval)
    return offered.select_related("plan").order_by("-number")


def _bent(subscription: Subscription, version: PlanVersion) -> str:
    """What stands against the move of this one; what names a subscription may be billed already."""
    currency = subscription.customer.currency
    if currency not in (offered := version.currencies()):
        return f"{version} is offered in {' and '.join(offered)}, and the subscription is billed in {currency}."
    if dropped := _dropped(subscription.version, version):
        return dropped
    added = _meters(version) - _meters(subscription.version) if subscription.named_events_only else set()
    if added:
        return (
            f"{version} also charges {_names(added)}, and usage that names “{subscription}” may have been invoiced"
            " elsewhere; make a new subscription instead."
        )
    return ""


def _dropped(now: PlanVersion, version: PlanVersion) -> str:
    """Usage of a meter that is dropped would be billed by nobody."""
    if dropped := _meters(now) - _meters(version):
        return f"{version} does not charge {_names(dropped)}, whose usage nobody would bill; add a charge for it."
    return ""


def _meters(version: PlanVersion) -> set[int]:
    charges = Charge.objects.filter(version=version, meter__isnull=False)
    return set(charges.values_list("meter", flat=True))


def _names(meters: set[int]) -> str:
    names = Meter.objects.filter(pk__in=meters).order_by("name").values_list("name", flat=True)
    return "the meter " + ", ".join(f"“{name}”" for name in names)


def _moved(row: Subscription, target: PlanVersion) -> bool:
    try:
        with transaction.atomic():
            return bool(Subscription.objects.filter(pk=row.pk, version=row.version_id).update(version=target))
    except IntegrityError as error:
        raise checks.refusal(error) from error
