"""Move the subscriptions of a version to a later one, now or as their periods end. The writer of moves and their items.

    plan → items, one for each subscription → due → moved, each in a transaction of its own

An item is moved in the transaction that says so: a worker that is killed has moved it and noted it, or neither. Whose
turn it is stands in the subscription itself: `due_from`, where its open period begins. Drafts of earlier periods keep
the version that held in them, which the room of invoices sees to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from billing_site.foundation import clock
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import midnight
from catalog.models import PlanVersion
from customers.models import PlanMove, PlanMoveItem, Subscription
from customers.subscriptions import checks
from customers.subscriptions.moving import check_move, move_to_version, version_faults, warnings

Timing, Status, Item = PlanMove.Timing, PlanMove.Status, PlanMoveItem.Status
# How many subscriptions are asked beforehand whether they can be moved.
LOOKED_AT = 200


@dataclass(frozen=True)
class Preview:
    """How many subscriptions would go, and of the first `LOOKED_AT` those that would be refused, with why."""

    subscriptions: int
    refused: list[tuple[Subscription, str]]


def preview(source: PlanVersion, target: PlanVersion) -> Preview:
    """What moving everybody would come to, as things stand. Writes nothing. Raises Refused when no one could go."""
    checks.refuse_if(version_faults(source, target))
    going = _going(source)
    rows = going.select_related("customer", "version__plan").order_by("pk")[:LOOKED_AT]
    refused = [(row, faults[0].message) for row in rows if (faults := check_move(row, target))]
    return Preview(going.count(), refused)


def plan(
    *, source: PlanVersion, target: PlanVersion, timing: str, reason: str, by: str, on: date | None = None
) -> PlanMove:
    """Plan to move all that are on `source` now. Raises Refused, and then nothing was planned."""
    check(source=source, target=target, timing=timing, reason=reason, on=on)
    with transaction.atomic():
        # Two plans for one version follow each other; the second finds the first.
        PlanVersion.objects.select_for_update(no_key=True, of=("self",)).get(pk=source.pk)
        checks.refuse_if(_under_way(source))
        move = PlanMove.objects.create(
            source=source, target=target, timing=timing, on=on, reason=reason.strip(), created_by=by
        )
        _add_items(move)
        _finish(move.pk)
    move.refresh_from_db()
    return move


def check(*, source: PlanVersion, target: PlanVersion, timing: str, reason: str, on: date | None = None) -> None:
    """Raises what `plan` would refuse, at this moment. Writes nothing."""
    checks.refuse_if([*version_faults(source, target), *_timing_faults(timing, on, reason), *_under_way(source)])


def _under_way(source: PlanVersion) -> list[Fault]:
    if not PlanMove.objects.filter(source=source, status=Status.MOVING).exists():
        return []
    message = f"The subscriptions of {source} are being moved already: stop that move first."
    return [Fault("move_conflict", message, "source")]


def stop(move: PlanMove) -> PlanMove:
    """Move nobody any more; who was moved stays. Raises Refused when it is over already."""
    stopped = PlanMove.objects.filter(pk=move.pk, status=Status.MOVING)
    if not stopped.update(status=Status.STOPPED, finished_at=Now()):
        raise Refused(Fault("move_conflict", "This move is over already; there is nothing to stop.", "status"))
    move.refresh_from_db()
    return move


def due() -> "QuerySet[PlanMoveItem]":
    """The items whose subscription has come to the period with which it is to be moved, in the order of moves."""
    waiting = PlanMoveItem.objects.filter(status=Item.WAITING, move__status=Status.MOVING)
    come = Q(not_before=None) | Q(subscription__due_from__gte=F("not_before")) | Q(subscription__due_at=None)
    # One that has failed comes after those that have not been tried: it keeps nobody waiting.
    return waiting.filter(come).order_by("message", "move_id", "id")


def apply(item: int) -> bool:
    """Move one subscription, or note why it cannot be. False when somebody else has the item or had it."""
    with transaction.atomic():
        held = PlanMoveItem.objects.select_for_update(skip_locked=True, of=("self",), no_key=True)
        row = held.select_related("move__target", "subscription").filter(pk=item, status=Item.WAITING).first()
        if row is None or not _still_moving(row.move_id):
            return False
        row.status, row.message = _moved(row)
        row.done_at = clock.now()
        row.save()
        _finish(row.move_id)
    return True


def failed(item: int, error: Exception) -> None:
    """Say of one that still waits that nobody foresaw why it cannot be moved. It is tried again."""
    message = f"It could not be moved ({type(error).__name__}) and is tried again; the log says why. Its invoice waits."
    PlanMoveItem.objects.filter(pk=item, status=Item.WAITING).update(message=message)


def _moved(item: PlanMoveItem) -> tuple[str, str]:
    subscription = Subscription.objects.select_related("version").get(pk=item.subscription_id)
    if subscription.version_id != item.move.source_id:
        return Item.GONE, f"It is on {subscription.version} already."
    if subscription.due_at is None and not _has_drafts(item, subscription):
        return Item.GONE, "It has ended, and all of it is invoiced."
    try:
        with transaction.atomic():
            move_to_version(subscription, item.move.target)
    except Refused as refused:
        return Item.REFUSED, str(refused)
    return Item.MOVED, " ".join(warnings(subscription, item.move.target))


def _has_drafts(item: PlanMoveItem, subscription: Subscription) -> bool:
    """Whether one that has ended had a period since: its invoice waits for this move to be final."""
    return item.not_before is not None and subscription.ends_at is not None and item.not_before < subscription.ends_at


def _still_moving(move: int) -> bool:
    """Held until the transaction ends, so that a stop comes before this item or after it."""
    moves = PlanMove.objects.select_for_update(no_key=True)
    return moves.filter(pk=move, status=Status.MOVING).exists()


def _finish(move: int) -> None:
    waiting = PlanMoveItem.objects.filter(move=move, status=Item.WAITING)
    if not waiting.exists():
        PlanMove.objects.filter(pk=move, status=Status.MOVING).update(status=Status.DONE, finished_at=Now())


def _going(source: PlanVersion) -> "QuerySet[Subscription]":
    """Those that will be invoiced again."""
    return Subscription.objects.filter(version=source, due_at__isnull=False)


def _timing_faults(timing: str, on: date | None, reason: str) -> list[Fault]:
    faults = []
    if timing not in Timing.values:
        known = ", ".join(Timing.values)
        faults.append(Fault("timing_unknown", f"“{timing}” is no time to move: it is one of {known}.", "timing"))
    if (timing == Timing.ON_DATE) != (on is not None):
        faults.append(Fault("day_unfit", "Say a day with “on a day”, and with that alone.", "on"))
    elif on is not None:
        faults += [Fault(each.code, each.message, "on") for each in checks.date_faults(None, on)]
    if not reason.strip():
        faults.append(Fault("reason_missing", "Say why the subscriptions are moved.", "reason"))
    return faults


# A period ends at `due_at`; one that has not begun is moved before it does.
_ADD_ITEMS = """
    INSERT INTO customers_planmoveitem (move_id, subscription_id, not_before, status, message)
    SELECT %(move)s, subscription.id,
        CASE %(timing)s
            WHEN 'period_end' THEN subscription.due_at
            WHEN 'on_date' THEN (SELECT start FROM unnest(%(zones)s::text[], %(starts)s::timestamptz[])
                                 AS day (zone, start) WHERE day.zone = subscription.timezone)
        END, 'waiting', ''
    FROM customers_subscription AS subscription
    WHERE subscription.version_id = %(source)s AND subscription.due_at IS NOT NULL
    ORDER BY subscription.id
"""


def _add_items(move: PlanMove) -> None:
    zones: Sequence[str] = []
    if move.on is not None:
        zones = list(_going(move.source).order_by().values_list("timezone", flat=True).distinct())
    values: dict[str, Any] = {
        "move": move.pk,
        "source": move.source_id,
        "timing": move.timing,
        "zones": list(zones),
        "starts": [midnight(move.on, zone) for zone in zones] if move.on else [],
    }
    with connection.cursor() as cursor:
        cursor.execute(_ADD_ITEMS, values)
