"""Uploads, day totals and the counting of stored events, as tasks.

The tables say what is to be done; a message is only a hint: a lost or a late one does no harm.
"""

from celery import Task, shared_task

from meters.backfills import leases as backfill_leases
from meters.backfills import work as backfill_work
from meters.models import Backfill, Meter
from meters.uploads import leases as upload_leases
from meters.uploads import work as upload_work
from meters.usage import day_totals

# A hint that nobody took in a minute is dropped: beat has long given another.
HINT_EXPIRES_SECONDS = 60


@shared_task(name="meters.find_uploads")
def find_uploads() -> None:
    """By beat: hand out every upload that nobody works on, those of dead workers included."""
    for upload in upload_leases.takeable():
        work_upload.apply_async((upload,), expires=HINT_EXPIRES_SECONDS)


@shared_task(name="meters.work_upload", bind=True)
def work_upload(self: Task, upload: int) -> None:
    """One turn; whoever has time next goes on."""
    if upload_work.work(upload, worker=self.request.hostname or ""):
        work_upload.apply_async((upload,), expires=HINT_EXPIRES_SECONDS)


@shared_task(name="meters.total_days")
def total_days() -> None:
    """By beat: close what days are due and add them up; what a turn leaves is gone on with by whoever has time."""
    if day_totals.work():
        total_days.apply_async(expires=HINT_EXPIRES_SECONDS)


@shared_task(name="meters.find_backfills")
def find_backfills() -> None:
    """By beat: hand out every count of stored events that nobody works on, those of dead workers included."""
    for job in backfill_leases.takeable():
        work_backfill.apply_async((job,), expires=HINT_EXPIRES_SECONDS)


@shared_task(name="meters.work_backfill", bind=True)
def work_backfill(self: Task, job: int) -> None:
    """One turn; whoever has time next goes on."""
    if backfill_work.work(job, worker=self.request.hostname or ""):
        work_backfill.apply_async((job,), expires=HINT_EXPIRES_SECONDS)


def ask_for(meter: Meter) -> None:
    """Hand out the count of a meter's stored events, if there is one to do. Raises when the broker is away."""
    for job in Backfill.objects.filter(meter=meter, status__in=backfill_leases.IN_WORK).values_list("pk", flat=True):
        work_backfill.apply_async((job,), expires=HINT_EXPIRES_SECONDS)
