"""Who works on an upload: taken by a conditional UPDATE that sets a lease, moved on part by part, or given up.

The lease is reckoned by the database's clock, the only one that all workers share, and prolonged by every part. A
worker that lost its lease to another changes nothing any more: what it would move is no longer at its take.
"""

from django.conf import settings
from django.db import connection
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from meters.uploads.models import Upload

MAX_FAILURES = 5
ERROR_LENGTH = 1_000
IN_WORK = {Upload.Step.CHECK: Upload.Status.CHECKING, Upload.Step.LOAD: Upload.Status.LOADING}
COME_TO = {Upload.Step.CHECK: Upload.Status.CHECKED, Upload.Step.LOAD: Upload.Status.DONE}
SILENT = "The last worker ended without a word: killed, out of memory, or cut off."


class LostLease(Exception):
    """Another worker has the upload, or an operator stopped it: what this one did of the part is undone."""


def takeable() -> list[int]:
    """Ids of the uploads that wait for a worker, oldest first. Those that failed too often are given up."""
    waiting = Upload.objects.filter(status__in=IN_WORK.values()).filter(
        Q(leased_until=None) | Q(leased_until__lte=Now())
    )
    waiting.filter(failures__gte=MAX_FAILURES).update(
        status=Upload.Status.FAILED, finished_at=Now(), leased_until=None, error=SILENT
    )
    return list(waiting.order_by("id").values_list("pk", flat=True))


def take(upload: int, worker: str) -> Upload | None:
    """Lease an upload to a worker; None when it is not free. Every take is a failure until a part is done."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE meters_upload
               SET leased_until = statement_timestamp() + make_interval(secs => %s),
                   takes = takes + 1, failures = failures + 1, worker = %s
             WHERE id = %s AND status IN ('checking', 'loading') AND failures < %s
               AND (leased_until IS NULL OR leased_until <= statement_timestamp())
            """,
            [settings.UPLOAD_LEASE.total_seconds(), worker[:255], upload, MAX_FAILURES],
        )
        if not cursor.rowcount:
            return None
    return Upload.objects.get(pk=upload)


def move_on(upload: Upload) -> None:
    """In the transaction of the part itself: the next one is to be done, or all is. Raises LostLease."""
    last = upload.next_part + 1 == upload.parts
    step = Upload.Step(upload.step)
    moved = _held(upload).update(
        next_part=F("next_part") + 1,
        failures=0,
        error="",
        status=COME_TO[step] if last else IN_WORK[step],
        finished_at=Now() if last else None,
        leased_until=None if last else Now() + settings.UPLOAD_LEASE,
    )
    if not moved:
        raise LostLease


def release(upload: Upload) -> None:
    """Let another worker take it at once."""
    _held(upload).update(leased_until=None)


def fail(upload: Upload, message: str) -> None:
    """Note why a part could not be done. It is tried again when the lease is over, `MAX_FAILURES` times in all."""
    held = _held(upload)
    if upload.failures < MAX_FAILURES:
        held.update(error=message[:ERROR_LENGTH])
    else:
        held.update(status=Upload.Status.FAILED, finished_at=Now(), leased_until=None, error=message[:ERROR_LENGTH])


def _held(upload: Upload) -> QuerySet[Upload]:
    return Upload.objects.filter(
        pk=upload.pk, takes=upload.takes, status=IN_WORK[Upload.Step(upload.step)], next_part=upload.next_part
    )
