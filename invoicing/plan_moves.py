"""Subscriptions are moved to another version as soon as their time has come; each draft keeps to its own period.

Whoever was moved with a new period has one version now, and had another in the periods before it. A draft of those is
priced by what held in it, however long it stays a draft; one of a later period waits to be final until the move, which
may be a little late, was made or refused.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog
from django.db.models import Exists, F, OuterRef, Q

from customers.models import PlanMove, PlanMoveItem, Subscription
from customers.subscriptions import plan_moves
from invoicing.models import Invoice

log = structlog.get_logger(__name__)

_OF_DRAFT = PlanMoveItem.objects.filter(subscription=OuterRef("subscription"))
_MADE = _OF_DRAFT.filter(status=PlanMoveItem.Status.MOVED)

# A draft whose subscription is to be moved before it: nobody has done so yet.
AWAITED = Exists(
    _OF_DRAFT.filter(
        status=PlanMoveItem.Status.WAITING,
        move__status=PlanMove.Status.MOVING,
        move__source=OuterRef("subscription__version"),
        not_before__lte=OuterRef("period_start"),
    )
)
# A draft that was rated by another version than the one that it is to be priced by now.
OUTDATED = ~Q(version=F("subscription__version")) & ~(
    Exists(_MADE.filter(move__source=OuterRef("version"), not_before__gt=OuterRef("period_start")))
    & Exists(_MADE.filter(move__target=OuterRef("subscription__version")))
)


def apply_due(limit: int) -> int:
    """Move those whose time has come, `limit` at most; how many were. Each is a transaction of its own.

    One that cannot be done for a reason that nobody foresaw stops no other: it says so, and its invoice waits for it.
    """
    return sum(_apply(item) for item in list(plan_moves.due().values_list("pk", flat=True)[:limit]))


def _apply(item: int) -> bool:
    try:
        return plan_moves.apply(item)
    except Exception as error:
        log.exception("subscription_not_moved", item=item)
        plan_moves.failed(item, error)
        return False


def versions(drafts: Sequence[Invoice]) -> dict[int, int]:
    """By draft, the version that holds in its period: two queries.

    That of its subscription now, or, where a move came with a later period, the one that it was moved from. Who was
    moved again by hand after that was moved for all of its drafts.
    """
    subscriptions = {draft.subscription_id for draft in drafts}
    # In this order: of a move that commits in between, drafts of before it keep the version that they had.
    now = dict(Subscription.objects.filter(pk__in=subscriptions).values_list("pk", "version_id"))
    made: dict[int, list[tuple[datetime | None, int, int]]] = {}
    items = PlanMoveItem.objects.filter(subscription__in=subscriptions, status=PlanMoveItem.Status.MOVED)
    columns = "subscription_id", "not_before", "move__source_id", "move__target_id"
    for subscription, *step in items.order_by("-done_at", "-id").values_list(*columns):
        made.setdefault(subscription, []).append((step[0], step[1], step[2]))
    return {
        draft.pk: _held_in(draft.period_start, now[draft.subscription_id], made.get(draft.subscription_id, ()))
        for draft in drafts
    }


def _held_in(start: datetime, version: int, made: Iterable[tuple[datetime | None, int, int]]) -> int:
    """Back through the moves, (not before, from, to), the last first, for as long as each leads to the version."""
    for not_before, source, target in made:
        if target != version or not_before is None or not_before <= start:
            break
        version = source
    return version
