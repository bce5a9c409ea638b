"""What an operator does with an upload: say what it means, check it, load it, stop it, go on, throw it away."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from billing_site.foundation.errors import Fault, Refused
from meters.files.mapping import Mapping, faults
from meters.uploads.leases import IN_WORK
from meters.uploads.models import Upload, UploadKey, UploadResult

Status, Step = Upload.Status, Upload.Step
UNLOADED = (Status.RECEIVED, Status.CHECKED)
HALTED = (Status.STOPPED, Status.FAILED)


@transaction.atomic
def check(upload: int, mapping: Mapping, now: datetime, *, backfill: bool) -> None:
    """Begin to find out what would become of every row. Raises Refused when the mapping is wrong, or it is loaded."""
    row = _locked(upload, (*UNLOADED, *HALTED), "checked")
    if row.step == Step.LOAD:
        raise _conflict("has been loaded in part: go on with it, or upload the file again")
    if row.columns and (wrong := faults(mapping, row.columns)):
        raise Refused(*wrong)
    UploadResult.objects.filter(upload=row, step=Step.CHECK).delete()
    UploadKey.objects.filter(upload=row).delete()
    row.mapping = msgspec.to_builtins(mapping)
    _begin(row, Step.CHECK, now, backfill=backfill)


@transaction.atomic
def load(upload: int, by: Any, now: datetime, *, backfill: bool) -> None:
    """Begin to store its events, as it was checked. Raises Refused when it was not."""
    row = _locked(upload, (Status.CHECKED,), "loaded")
    UploadKey.objects.filter(upload=row).delete()
    row.started_by = by
    _begin(row, Step.LOAD, now, backfill=backfill)


@transaction.atomic
def stop(upload: int) -> None:
    """Let no worker go on with it; what is loaded stays. Raises Refused when nothing is going on."""
    row = _locked(upload, IN_WORK.values(), "stopped")
    row.status, row.leased_until = Status.STOPPED, None
    row.takes += 1
    row.save(update_fields=["status", "leased_until", "takes"])


@transaction.atomic
def go_on(upload: int) -> None:
    """Take up what was stopped, or failed, at the part where it was."""
    row = _locked(upload, HALTED, "gone on with")
    row.status, row.failures, row.error, row.finished_at = IN_WORK[Step(row.step)], 0, "", None
    row.save(update_fields=["status", "failures", "error", "finished_at"])


@transaction.atomic
def discard(upload: int) -> None:
    """Forget a file of which nothing was loaded. Raises Refused for any other: it tells where events came from."""
    row = _locked(upload, (*UNLOADED, *HALTED), "discarded")
    if row.step == Step.LOAD:
        raise _conflict("has been loaded in part, and is kept to tell where events came from")
    row.delete()


def _begin(row: Upload, step: Upload.Step, now: datetime, *, backfill: bool) -> None:
    row.status, row.step, row.step_at, row.backfill = IN_WORK[step], step, now, backfill
    row.next_part = row.failures = 0
    row.takes += 1  # a worker that is still at a part of before no longer holds it
    row.error, row.leased_until, row.finished_at = "", None, None
    row.save()


def _locked(upload: int, statuses: Collection[Any], done: str) -> Upload:
    row = Upload.objects.select_for_update(no_key=True).filter(pk=upload).first()
    if row is None:
        raise Refused(Fault("not_found", "This upload is not there any more."))
    if row.status not in statuses:
        raise _conflict(f"is {row.get_status_display().lower()} and cannot be {done} now")
    return row


def _conflict(what: str) -> Refused:
    return Refused(Fault("conflict", f"The upload {what}."))
