"""Meters see old events: what is stored when a meter is made or changed is counted by a job of its own.

Whoever makes or changes a meter holds the definitions lock, so no batch is in flight: every event that is stored has an
id up to the boundary, and every later one takes a greater id. Those up to the boundary are the job's, the later ones
are counted by ingestion, and none is counted twice or by nobody.
"""

import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Min
from django.db.models.functions import Now

from billing_site.foundation.errors import Fault, Refused
from meters.backfills import work
from meters.backfills.models import Backfill
from meters.backfills.progress import AT_WORK, Uncounted
from meters.database import fetch
from meters.models import Event, Meter, Stream

Status = Backfill.Status
FOR_EVER = timedelta(days=365)

# SHARE: those who correct do not wait for each other, a chunk of the job waits for them and they for it.
_UNCOUNTED = """
    SELECT meter_id, cursor, boundary FROM meters_backfill
    WHERE meter_id = ANY(%b::bigint[]) AND status IN ('counting', 'failed') AND counted_at IS NULL
    ORDER BY id FOR SHARE
"""


def begin(meter: Meter, by: Any = None) -> None:
    """Have what is stored counted by the meter as it is now, in place of any count that is under way.

    In the transaction that makes or changes the meter, under the exclusive definitions lock. `by`: the user who asked.
    """
    Backfill.objects.filter(meter=meter, status__in=AT_WORK).update(
        status=Status.REPLACED, finished_at=Now(), leased_until=None
    )
    # Every type that was ever sent has a stream, so a new one costs nothing.
    stored = Stream.objects.filter(type=meter.event_type).exists()
    if not stored and meter.generation == 1:
        return
    ends = Event.objects.aggregate(first=Min("id"), last=Max("id")) if stored else {}
    start, boundary = (ends.get("first") or 1) - 1, ends.get("last") or 0
    counting = start < boundary
    Backfill.objects.create(
        meter=meter,
        generation=meter.generation,
        start=start,
        cursor=start,
        boundary=boundary,
        status=Status.COUNTING if counting else Status.CLEARING,
        counted_at=None if counting else Now(),
        asked_by=by,
    )


def run(meter: Meter) -> None:
    """Count what is stored now and here, or wait until whoever is at it has done so. Raises what made it fail."""
    while (job := Backfill.objects.filter(meter=meter, status__in=AT_WORK).first()) is not None:
        if job.status == Status.FAILED:
            raise Refused(Fault("backfill_failed_conflict", f"Counting stored events failed: {job.error}"))
        if not work.work(job.pk, "", turn=FOR_EVER) and job.leased_until is not None:
            time.sleep(0.1)


@transaction.atomic
def resume(meter: Meter) -> int:
    """Let a job that failed go on where it was; its id. Raises Refused when none failed."""
    job = Backfill.objects.select_for_update(no_key=True).filter(meter=meter, status=Status.FAILED).first()
    if job is None:
        raise Refused(Fault("backfill_conflict", f"No count of stored events has failed for the meter “{meter.code}”."))
    job.status = Status.COUNTING if job.counted_at is None else Status.CLEARING
    job.failures, job.error = 0, ""
    job.save(update_fields=["status", "failures", "error"])
    return job.pk


def uncounted(meters: Collection[int]) -> dict[int, Uncounted]:
    """By meter, the events that are not counted yet, and stay so until the end of the transaction: jobs are locked.

    For whoever corrects events, in a transaction that holds the definitions lock (shared) already: what is not counted
    yet must not be taken back, the job will find the correction. Meters that have counted everything are left out. One
    query; jobs are locked in one order by everybody.
    """
    return {meter: Uncounted(cursor, boundary) for meter, cursor, boundary in fetch(_UNCOUNTED, list(meters))}
