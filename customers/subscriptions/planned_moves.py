"""The moves that concern somebody, in words for people: what waits for a subscription, who waits for a version."""

from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject

from billing_site.foundation.periods import local_date
from catalog.models import PlanVersion
from catalog.plans.earlier import Earlier
from customers.models import PlanMove, PlanMoveItem, Subscription
from customers.subscriptions.moving import unfit
from customers.subscriptions.subscribing import schedule_of

Item = PlanMoveItem.Status
_WAITING = Q(status=Item.WAITING, move__status=PlanMove.Status.MOVING)
_REFUSED = Q(status=Item.REFUSED) | _WAITING & ~Q(message="")
# A subscription that was moved more often than that shows its last moves.
SHOWN = 20


@dataclass(frozen=True)
class Planned:
    """One move of a subscription. `begins`: for which period; `why`: what is to be known of it, often nothing.

    `open`: it waits to be moved, or could not be, is still where it was, and nothing else was planned since. `failed`:
    it was tried in vain.
    """

    item: PlanMoveItem
    begins: str
    state: str
    why: str
    open: bool
    failed: bool


def of(subscription: Subscription) -> list[Planned]:
    """The last moves of a subscription, the newest first: one query."""
    rows = PlanMoveItem.objects.filter(subscription=subscription).select_related("move__target__plan")
    items = list(rows.order_by("-id")[:SHOWN])
    return [_planned(item, subscription, last=item is items[0]) for item in items]


def waiting() -> Q:
    """Subscriptions that wait to be moved."""
    return Q(Exists(_of_outer().filter(_WAITING)))


def refused() -> Q:
    """Subscriptions that could not be moved, or not yet, and are still where they were."""
    untried = _of_outer().filter(_WAITING, message="")
    return Q(Exists(_of_outer().filter(_REFUSED))) & ~Q(Exists(untried))


def with_next_move(subscriptions: "QuerySet[Subscription]") -> "QuerySet[Subscription]":
    """Each with `next_move`, which `in_short` reads: of what waits or was refused, the last. One index scan a row."""
    item = JSONObject(number="move__target__number", not_before="not_before", status="status", message="message")
    items = _of_outer().filter(_WAITING | _REFUSED).order_by("-id").values(found=item)
    return subscriptions.annotate(next_move=Subquery(items[:1]))


def in_short(subscription: Subscription) -> str:
    """For example “v2 from 2024-02-01”, or “v2: could not be moved”; empty when nothing waits."""
    found = getattr(subscription, "next_move", None)
    if not found:
        return ""
    to = f"v{found['number']}"
    if found["status"] == Item.REFUSED:
        return f"{to}: could not be moved"
    late = ", tried again" if found["message"] else ""
    if found["not_before"] is None:
        return f"{to} now{late}"
    day = begins(datetime.fromisoformat(found["not_before"]), subscription)
    return f"{to}: it ends before{late}" if day is None else f"{to} from {day}{late}"


def begins(not_before: datetime, subscription: Subscription) -> date | None:
    """The local day on which the first period begins that it is moved for; None: it ends before. Reads `version`."""
    start = max(not_before, subscription.starts_at)
    if start > subscription.starts_at:
        period = schedule_of(subscription).period_at(start)
        start = period.start if period.start == start else period.end
    if subscription.ends_at is not None and subscription.ends_at <= start:
        return None
    return local_date(start, subscription.timezone)


def earlier(version: PlanVersion) -> list[Earlier]:
    """Running subscriptions of earlier versions of its plan, and whether they are on their way already: 3 queries."""
    on_earlier = Q(version__plan=version.plan_id, version__number__lt=version.number, due_at__isnull=False)
    counted = Subscription.objects.filter(on_earlier).order_by().values_list("version")
    running = dict(counted.annotate(Count("pk")))
    moves = PlanMove.objects.filter(source__in=running, status=PlanMove.Status.MOVING).select_related("target__plan")
    under_way = {move.source_id: move for move in moves}
    sources = PlanVersion.objects.filter(pk__in=running).select_related("plan").order_by("-number")
    return [_earlier(each, running[each.pk], version, under_way.get(each.pk)) for each in sources]


def _earlier(source: PlanVersion, running: int, target: PlanVersion, move: PlanMove | None) -> Earlier:
    if move is not None:
        return Earlier(source, running, move.pk, str(move.target))
    return Earlier(source, running, unfit=unfit(source, target))


def _of_outer() -> "QuerySet[PlanMoveItem]":
    """Items of the subscription of an outer query that start where it is."""
    return PlanMoveItem.objects.filter(subscription=OuterRef("pk"), move__source=OuterRef("version"))


def _planned(item: PlanMoveItem, subscription: Subscription, *, last: bool) -> Planned:
    there = item.move.source_id == subscription.version_id
    moving = item.move.status == PlanMove.Status.MOVING
    state, why, is_open = item.get_status_display(), item.message, False
    if item.status == Item.WAITING and not moving:
        state = "Stopped before it was moved"
    elif item.status == Item.WAITING:
        is_open = True
        why = why if there else f"It is on {subscription.version} already: nothing is left to do."
    elif item.status == Item.REFUSED:
        state, is_open = "Could not be moved", there and last
    failed = is_open and there and bool(item.message)
    return Planned(item, _which_period(item.not_before, subscription), state, why, is_open, failed)


def _which_period(not_before: datetime | None, subscription: Subscription) -> str:
    if not_before is None:
        return "the open one, and drafts"
    day = begins(not_before, subscription)
    return "none: it ends before" if day is None else f"from {day}"
