"""How far stored events are counted, for whoever reads usage or looks at a meter."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from billing_site.foundation import clock
from meters.backfills.models import Backfill

Status = Backfill.Status
UNKNOWN_USAGE = (Status.COUNTING, Status.FAILED)
AT_WORK = (*UNKNOWN_USAGE, Status.CLEARING)


@dataclass(frozen=True)
class Uncounted:
    """Stored events that a meter's job has still to count: `after` < id ≤ `until`."""

    after: int
    until: int

    def holds(self, event: int) -> bool:
        return self.after < event <= self.until


@dataclass(frozen=True)
class Counting:
    """A count of stored events that is under way, or failed. `percent`: of the ids of events, rounded down.

    `rate`: ids a second since it began. `left`: about how long it will take. Both None while there is nothing to tell.
    """

    meter: str
    percent: int
    job: Backfill
    rate: int | None
    left: timedelta | None

    @property
    def left_words(self) -> str:
        """The time left as people say it: in the largest unit of which there are two, and rounded up."""
        seconds = 0 if self.left is None else int(self.left.total_seconds())
        for length, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
            if seconds >= 2 * length:
                return f"{-(-seconds // length)} {unit}"
        return f"{seconds} s"

    def __str__(self) -> str:
        if self.job.status == Status.FAILED:
            return (
                f"The meter “{self.meter}” could not count all stored events ({self.percent} %): resume it on its page."
            )
        return f"The meter “{self.meter}” is still counting stored events ({self.percent} %)."


def waiting(meter: int) -> Uncounted:
    """What of the stored events the meter has still to count: an empty span when that is nothing. One query."""
    job = _unknown().filter(meter=meter).first()
    return Uncounted(0, 0) if job is None else Uncounted(job.cursor, job.boundary)


def unfinished(meters: Collection[int]) -> dict[int, Counting]:
    """Those of the meters whose usage is not known yet, and how far it is. One query."""
    now = clock.now()
    jobs = _unknown().filter(meter__in=meters).select_related("meter")
    return {job.meter_id: progress(job, now) for job in jobs}


def progress(job: Backfill, now: datetime) -> Counting:
    """How far a job is. No query when its meter is selected with it."""
    rate = left = None
    done, all_ids = job.cursor - job.start, job.boundary - job.start
    if job.started_at is not None and done and now > job.started_at:
        ids_per_second = done / (now - job.started_at).total_seconds()
        rate, left = round(ids_per_second), timedelta(seconds=round((all_ids - done) / ids_per_second))
    return Counting(job.meter.code, 100 * done // max(all_ids, 1), job, rate, left)


def _unknown() -> QuerySet[Backfill]:
    return Backfill.objects.filter(status__in=UNKNOWN_USAGE, counted_at=None)
