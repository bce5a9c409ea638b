"""Uploads for tests: files of bytes, received, checked and loaded in this process."""

import csv
import gzip
import io
from datetime import datetime

from django.contrib.auth.models import User

from billing_site.foundation import clock
from billing_site.foundation.errors import Refused
from meters.files import parts
from meters.files.mapping import Mapping
from meters.files.parts import Reject
from meters.models import Upload, UploadResult
from meters.uploads import uploading
from meters.uploads import work as upload_work
from meters.uploads.receiving import receive

HEADER = "reference,type,customer,timestamp,model,input_tokens,output_tokens"
PLAIN = Mapping(
    {
        **{name: name for name in ("reference", "type", "customer", "timestamp")},
        **{name: f"properties.{name}" for name in ("model", "input_tokens", "output_tokens")},
    }
)


def somebody(name: str = "dana") -> User:
    return User.objects.get_or_create(username=name, defaults={"is_staff": True})[0]


def row(reference: str = "r1", at: str = "", **changes: str) -> str:
    """One row under HEADER: 100 tokens in, 10 out, on model-a, just now."""
    cells = {
        "reference": reference,
        "type": "llm.request",
        "customer": "acme",
        "timestamp": at or clock.now().strftime("%Y-%m-%d %H:%M:%S"),
        "model": "model-a",
        "input_tokens": "100",
        "output_tokens": "10",
        **changes,
    }
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells.values())
    return text.getvalue()


def table(*rows: str, end: str = "\n") -> bytes:
    return "".join(f"{each}{end}" for each in (HEADER, *rows)).encode()


def upload(data: bytes, name: str = "usage.csv", by: User | None = None) -> Upload:
    return receive(io.BytesIO(data), name, len(data), by or somebody())


def refusal(data: bytes, name: str = "usage.csv") -> tuple[str, str]:
    """(code, message) with which a file is refused; nothing of it is kept."""
    try:
        upload(data, name)
    except Refused as refused:
        assert not Upload.objects.exists()
        (fault,) = refused.faults
        assert fault.field == "file"
        return fault.code, fault.message
    raise AssertionError("It was not refused.")


def checked(
    row: Upload, mapping: Mapping = PLAIN, now: datetime | None = None, *, backfill: bool = False
) -> dict[str, int]:
    uploading.check(row.pk, mapping, now or clock.now(), backfill=backfill)
    assert not upload_work.work(row.pk, "here")
    row.refresh_from_db()
    assert row.status == "checked", row.error
    return totals(row, "check")


def loaded(row: Upload, now: datetime | None = None, *, backfill: bool = False) -> dict[str, int]:
    uploading.load(row.pk, somebody(), now or clock.now(), backfill=backfill)
    assert not upload_work.work(row.pk, "here")
    row.refresh_from_db()
    assert row.status == "done", row.error
    return totals(row, "load")


def totals(row: Upload, step: str) -> dict[str, int]:
    """All that is not 0, summed over parts."""
    found: dict[str, int] = {}
    for result in UploadResult.objects.filter(upload=row, step=step):
        for name in ("accepted", "duplicates", "repeated", "rejected"):
            found[name] = found.get(name, 0) + getattr(result, name)
    return {name: count for name, count in found.items() if count}


def rejects(row: Upload, step: str = "check") -> list[Reject]:
    results = UploadResult.objects.filter(upload=row, step=step).order_by("part")
    return [each for result in results for each in parts.rejects(bytes(result.rejects))]


def zipped(data: bytes) -> bytes:
    return gzip.compress(data)
