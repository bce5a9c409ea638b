"""A worker's turn at an upload: part after part, each checked or loaded in a transaction of its own."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from meters.database import columns, fetch
from meters.events.decoding import Batch, Form, Limits, Rejected, decode, in_the_words_of
from meters.files import parts
from meters.files.mapping import Mapping, form_of, form_of_json
from meters.files.parts import Record, Reject
from meters.ingestion import dry_run, ingest
from meters.ingestion.ingest import Outcome
from meters.uploads import leases
from meters.uploads.models import Upload, UploadKey, UploadPart, UploadResult

# A long file lets others have the worker in between.
TURN = timedelta(seconds=15)
OLDER = "somebody who may “upload events that are older than the usual limit” has to begin the upload"
MAX_MESSAGE, MAX_FIELD = 500, 100

# Uses the unique index upload_key_once.
_NOTE_KEYS = """
    INSERT INTO meters_uploadkey (upload_id, customer, reference)
    SELECT %b, * FROM unnest(%b::text[], %b::text[]) ON CONFLICT DO NOTHING
    RETURNING customer, reference
"""

log = structlog.get_logger(__name__)


def work(upload_id: int, worker: str) -> bool:
    """Take the upload and go on with it until it is done or the turn is over. Whether something is left to do now."""
    upload = leases.take(upload_id, worker)
    if upload is None:
        return False
    ends = time.monotonic() + TURN.total_seconds()
    try:
        while upload.next_part < upload.parts:
            if time.monotonic() > ends:
                leases.release(upload)
                return True
            (_check if upload.step == Upload.Step.CHECK else _load)(_Part.of(upload))
            upload.next_part += 1
            upload.failures = 0
    except leases.LostLease:
        log.info("upload_lost", upload=upload_id, part=upload.next_part)
    except (OperationalError, InterfaceError):
        raise  # the database may be away, and the lease runs out by itself
    except Exception as error:
        leases.fail(upload, f"{type(error).__name__}: {error}".replace("\0", ""))
        raise
    return False


@dataclass(frozen=True)
class _Part:
    """A part as a batch: `read[index]` is the record of the item at that index, `spoilt` are those that were none."""

    upload: Upload
    form: Form
    batch: Batch
    read: Sequence[Record]
    spoilt: Sequence[Record]

    @classmethod
    def of(cls, upload: Upload) -> "_Part":
        content = UploadPart.objects.values_list("content", flat=True).get(upload=upload, number=upload.next_part)
        records = parts.records(bytes(content))
        read = [each for each in records if each.item is not None]
        form = _form(upload, read)
        body = b"[%s]" % b",".join(each.item for each in read if each.item is not None)
        assert upload.step_at is not None
        batch = decode(body, upload.step_at, _limits(upload, len(read)), form)
        return cls(upload, form, batch, read, [each for each in records if each.item is None])

    def note(self, accepted: int, duplicates: int, repeated: int, rejected: Sequence[Rejected]) -> None:
        """Write down what became of the part, and that the next one is to be done. Raises LostLease."""
        leases.move_on(self.upload)
        rejects = self._rejects(rejected)
        UploadResult.objects.create(
            upload=self.upload,
            step=self.upload.step,
            part=self.upload.next_part,
            accepted=accepted,
            duplicates=duplicates,
            repeated=repeated,
            rejected=len(rejects),
            reasons=Counter(each.code for each in rejects),
            rejects=parts.pack(rejects),
        )

    def _rejects(self, rejected: Sequence[Rejected]) -> list[Reject]:
        named = in_the_words_of(self.form, self.batch, rejected)
        found = [
            Reject(self.read[each.index].place, each.reference, each.code, each.message, each.field) for each in named
        ]
        for each in self.spoilt:
            assert each.fault is not None
            found.append(Reject(each.place, None, each.fault.code, each.fault.message, each.fault.field))
        return [_brief(each) for each in sorted(found, key=lambda each: each.place)]


def _load(part: _Part) -> None:
    def note(outcome: Outcome) -> None:
        part.note(outcome.accepted, outcome.duplicates, 0, outcome.rejected)

    ingest.accept(part.batch, note)


def _check(part: _Part) -> None:
    foreseen = dry_run.foresee(part.batch)
    with transaction.atomic():
        fresh = set(fetch(_NOTE_KEYS, part.upload.pk, *columns(sorted(foreseen.keys), 2)))
        known = dry_run.stored(sorted(fresh))
        repeated = len(foreseen.keys) - len(fresh) + foreseen.repeated
        part.note(len(fresh) - len(known), len(known) + repeated, repeated, foreseen.rejected)
        if part.upload.next_part + 1 == part.upload.parts:
            UploadKey.objects.filter(upload=part.upload).delete()


def _form(upload: Upload, read: Sequence[Record]) -> Form:
    """A row without a reference gets the same one in every upload of the same file: its digest and the row's place."""

    def reference(index: int) -> str:
        return f"{upload.digest[:32]}:{read[index].place}"

    if upload.format != Upload.Format.CSV:
        return form_of_json(reference)
    return form_of(msgspec.convert(upload.mapping, Mapping), reference)


def _limits(upload: Upload, events: int) -> Limits:
    return Limits(events, settings.INGEST_FUTURE, None if upload.backfill else settings.INGEST_PAST, OLDER)


def _brief(reject: Reject) -> Reject:
    message = reject.message if len(reject.message) <= MAX_MESSAGE else f"{reject.message[:MAX_MESSAGE]}…"
    return Reject(reject.place, reject.reference, reject.code, message, reject.field[:MAX_FIELD])
