"""What is due becomes drafts; drafts become chunks of work.

Two steps, each in short transactions of INVOICE_CHUNK_SIZE rows, each safe to be killed. Whoever begins such a
transaction while another planner is in one leaves the rest to that one:

1. `_draft_some`: due subscriptions → draft invoices, and every subscription moves on to its next boundary.
2. `_assign_some`: drafts that nobody holds and whose time has come → a chunk.

Drafts are committed before any usage of theirs is read. That is what the search for late usage stands on, see `late`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from customers.models import Subscription
from customers.subscriptions import subscribing
from customers.subscriptions.boundaries import Boundary
from invoicing import chunks, locks, plan_moves
from invoicing.models import Chunk, Invoice, Run

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Planned:
    """What one pass made: drafts, and the chunks (by id) that now hold drafts."""

    drafts: int
    chunks: tuple[int, ...]


def find_due(now: datetime) -> list[int]:
    """Plan; then the ids of all chunks that can be taken, dead workers' included."""
    plan(now)
    return chunks.takeable()


def plan(now: datetime) -> Planned:
    """Make drafts of all that is due at `now`, boundary by boundary, and put what has to be done into chunks.

    A machine whose clock is fast bills nothing early: no later than the database's own clock says it is.
    """
    now = min(now, _database_now())
    drafts = 0
    stuck: set[int] = set()
    while found := _draft_some(now, stuck):
        drafts += found
    return Planned(drafts, tuple(_assign(now)))


def _database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        instant: datetime = cursor.fetchone()[0]
        return instant


def _may_plan() -> bool:
    """In the transaction that begins here."""
    locks.notice_a_dead_client()
    return locks.is_planner()


@transaction.atomic
def _draft_some(now: datetime, stuck: set[int]) -> int:
    """One chunk of due subscriptions; returns how many were looked at, 0 when none is left for this planner.

    A subscription appears once for each boundary that it is behind. Rows that another planner holds are skipped: it
    moves them on. A row that it has just moved is read again by PostgreSQL when the lock is had, and falls out when
    it is no longer due.
    """
    if not _may_plan():
        return 0
    due = list(
        Subscription.objects.filter(due_at__lte=now)
        .exclude(pk__in=stuck)
        .select_related("version")
        .order_by("due_at", "id")
        .select_for_update(of=("self",), skip_locked=True, no_key=True)[: settings.INVOICE_CHUNK_SIZE]
    )
    steps = []
    for subscription in due:
        try:
            steps.append((subscription, subscribing.advance(subscription)))
        except Exception:
            # One that cannot tell its next boundary must not stop the others.
            log.exception("subscription_cannot_advance", subscription=subscription.pk)
            stuck.add(subscription.pk)
    if steps:
        _write(steps)
    return len(due)


def _write(steps: Sequence[tuple[Subscription, Boundary]]) -> None:
    """A draft for each boundary, and each subscription on its way to the next. The rows are locked."""
    ids, boundaries, starts, ends = zip(*((s.pk, s.due_at, *following) for s, following in steps), strict=True)
    values = {"ids": list(ids), "due": list(boundaries), "next_from": list(starts), "next_at": list(ends)}
    with connection.cursor() as cursor:
        cursor.execute(_DRAFT, values)
        cursor.execute(_MOVE_ON, values)
        if cursor.rowcount != len(steps):
            raise RuntimeError(f"{len(steps)} subscriptions were locked, but {cursor.rowcount} moved on.")


_STEPS = """
  unnest(%(ids)s::bigint[], %(due)s::timestamptz[], %(next_from)s::timestamptz[], %(next_at)s::timestamptz[])
    AS step(id, due_at, next_from, next_at)
"""
# A step of no length opens the subscription. What is billed ahead ends where the next step does: null after the last.
# invoice_once is the guard: what has its invoice gets no second one, however often its boundary comes up.
_DRAFT = f"""
INSERT INTO invoicing_invoice (
  customer_id, subscription_id, version_id, kind, sequence, period_start, period_end, advance_end,
  timezone, currency, finalize_after, status, hold_reason, number, total, bill_to, seller)
SELECT subscription.customer_id, subscription.id, subscription.version_id,
       CASE WHEN subscription.due_from = subscription.due_at THEN 'opening' ELSE 'period' END, 0,
       subscription.due_from, subscription.due_at, step.next_at,
       subscription.timezone, customer.currency, subscription.due_at + version.grace, 'draft', '', '', 0, '{{}}', '{{}}'
  FROM {_STEPS}
  JOIN customers_subscription subscription ON subscription.id = step.id
  JOIN catalog_planversion version ON version.id = subscription.version_id
  JOIN customers_customer customer ON customer.id = subscription.customer_id
 ORDER BY subscription.due_at, subscription.id
ON CONFLICT DO NOTHING
"""  # noqa: S608 - made of the constant above
_MOVE_ON = f"""
UPDATE customers_subscription subscription
   SET due_from = step.next_from, due_at = step.next_at
  FROM {_STEPS}
 WHERE subscription.id = step.id AND subscription.due_at = step.due_at
"""  # noqa: S608 - likewise


def _assign(now: datetime) -> list[int]:
    made: list[int] = []
    run: Run | None = None
    for step in (Chunk.Step.FINALIZE, Chunk.Step.RATE):
        while True:
            with transaction.atomic():
                ids = _take_free(step, now) if _may_plan() else []
                if not ids:
                    break
                # Only now, so that a pass that finds nothing leaves no run behind.
                run = run or Run.objects.create(due_until=now)
                chunk = Chunk.objects.create(run=run, step=step, invoices=len(ids))
                Invoice.objects.filter(pk__in=ids).update(chunk=chunk)
                made.append(chunk.pk)
    return made


def _take_free(step: Chunk.Step, now: datetime) -> list[int]:
    """Ids of drafts that this transaction now holds, oldest first.

    That a draft is free stands in its own row (`chunk` is null), so that when two planners meet, PostgreSQL's second
    look at a row that the other has just changed is enough to leave it out.
    """
    rows = _free(step, now).order_by("id").select_for_update(of=("self",), skip_locked=True, no_key=True)
    return list(rows.values_list("pk", flat=True)[: settings.INVOICE_CHUNK_SIZE])


def _free(step: Chunk.Step, now: datetime) -> QuerySet[Invoice]:
    """In grace: preview what is new or was rated a while ago. After it: finalize, held ones every now and then."""
    # It was moved to a version that may well price what was held.
    stale = Q(rated_at=None) | Q(rated_at__lte=now - settings.INVOICE_REFRESH) | plan_moves.OUTDATED
    ready = Q(finalize_after__lte=now) & (Q(hold_reason="") | stale) & ~plan_moves.AWAITED
    preview = Q(finalize_after__gt=now) & stale
    free = Invoice.objects.filter(status=Invoice.Status.DRAFT, chunk=None)
    return free.filter(ready if step == Chunk.Step.FINALIZE else preview)
