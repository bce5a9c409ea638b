"""Who counts stored events: a job is taken by a conditional UPDATE that sets a lease, as uploads are.

The lease is reckoned by the database's clock and prolonged by every chunk. A worker that lost its lease, or whose job
was replaced by a later change of the meter, changes nothing any more: its job is no longer at its take.
"""

from django.conf import settings
from django.db import connection
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from meters.backfills.models import Backfill

Status = Backfill.Status
IN_WORK = (Status.COUNTING, Status.CLEARING)
MAX_FAILURES = 5
ERROR_LENGTH = 1_000
SILENT = "The last worker ended without a word: killed, out of memory, or cut off."


class LostLease(Exception):
    """Another worker has the job, or the meter was changed again or deleted: what this one did of it is undone."""


def takeable() -> list[int]:
    """Ids of the jobs that wait for a worker, oldest first. Those that failed too often are given up."""
    waiting = Backfill.objects.filter(status__in=IN_WORK).filter(Q(leased_until=None) | Q(leased_until__lte=Now()))
    waiting.filter(failures__gte=MAX_FAILURES).update(status=Status.FAILED, leased_until=None, error=SILENT)
    return list(waiting.order_by("id").values_list("pk", flat=True))


def take(job: int, worker: str) -> Backfill | None:
    """Lease a job to a worker; None when it is not free. Every take is a failure until a chunk is done."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE meters_backfill
               SET leased_until = statement_timestamp() + make_interval(secs => %s),
                   started_at = coalesce(started_at, statement_timestamp()),
                   takes = takes + 1, failures = failures + 1, worker = %s
             WHERE id = %s AND status IN ('counting', 'clearing') AND failures < %s
               AND (leased_until IS NULL OR leased_until <= statement_timestamp())
            """,
            [settings.BACKFILL_LEASE.total_seconds(), worker[:255], job, MAX_FAILURES],
        )
        if not cursor.rowcount:
            return None
    return Backfill.objects.filter(pk=job).first()


def lock(job: Backfill) -> Backfill:
    """The job as it is now, locked until the transaction ends. Raises LostLease."""
    held = _held(job).select_for_update(no_key=True).first()
    if held is None:
        raise LostLease
    return held


def counted(held: Backfill, cursor: int, events: int) -> None:
    """In the transaction of the counting itself, the job being locked: so many events more, up to this id."""
    whole = cursor == held.boundary
    later = Status.CLEARING if held.generation > 1 else Status.DONE
    _moved(
        held,
        cursor=cursor,
        events=F("events") + events,
        status=later if whole else Status.COUNTING,
        counted_at=Now() if whole else None,
        finished_at=Now() if whole and later == Status.DONE else None,
    )


def cleared(held: Backfill, series: int | None) -> None:
    """Likewise: series of earlier generations are empty up to this id, or, with None, all of them are."""
    if series is None:
        _moved(held, status=Status.DONE, finished_at=Now())
    else:
        _moved(held, cleared=series)


def release(job: Backfill) -> None:
    """Let another worker take it at once."""
    _held(job).update(leased_until=None)


def fail(job: Backfill, message: str) -> None:
    """Note why a chunk could not be done. It is tried again when the lease is over, `MAX_FAILURES` times in all."""
    held = _held(job)
    held.update(error=message[:ERROR_LENGTH])
    held.filter(failures__gte=MAX_FAILURES).update(status=Status.FAILED, leased_until=None)


def _moved(held: Backfill, **changes: object) -> None:
    lease = Now() + settings.BACKFILL_LEASE if changes.get("finished_at") is None else None
    _held(held).update(failures=0, error="", leased_until=lease, **changes)


def _held(job: Backfill) -> QuerySet[Backfill]:
    return Backfill.objects.filter(pk=job.pk, takes=job.takes, status__in=IN_WORK)
