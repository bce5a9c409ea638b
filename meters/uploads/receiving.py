"""A file comes in: read once, row by row, and kept in parts that a worker on any machine can load."""

from typing import IO, Any

import msgspec
from django.conf import settings
from django.db import transaction

from billing_site.foundation.errors import Fault, Refused
from meters.files import guessing, parts, reading
from meters.files.opening import Unusable
from meters.files.parts import Record
from meters.uploads.models import Upload, UploadPart

SAMPLES = 3
MAX_NAME = 255
MAX_CELL = 100


@transaction.atomic
def receive(file: IO[bytes], name: str, size: int, by: Any) -> Upload:
    """Keep a file of `size` bytes that the user `by` uploads. Raises Refused; then nothing of it is kept."""
    try:
        check_size(size)
        rows = reading.read(file, name, settings.UPLOAD_MAX_INFLATED_BYTES)
        first, records = reading.beginning(rows, SAMPLES)
        upload = Upload.objects.create(
            name=_printable(name)[:MAX_NAME],
            size=size,
            format=rows.format,
            columns=rows.columns,
            samples=[_sample(each) for each in first] if rows.columns else [],
            rows=0,
            parts=0,
            mapping=msgspec.to_builtins(guessing.guess(rows.columns)),
            uploaded_by=by,
        )
        for number, part in enumerate(parts.split(records, settings.UPLOAD_PART_ROWS)):
            _keep(upload, number, part)
    except Unusable as error:
        raise Refused(Fault(error.code, error.message, "file")) from None
    if not upload.rows:
        raise Refused(Fault("no_rows", "The file has a header and no rows, or holds no events.", "file"))
    upload.digest = rows.digest()
    upload.save()
    return upload


def check_size(size: int) -> None:
    """Raises Unusable when a file is larger than any may be."""
    if size > settings.UPLOAD_MAX_BYTES:
        most = settings.UPLOAD_MAX_BYTES
        raise Unusable(
            "file_too_large", f"The file has {size:,} bytes; at most {most:,} are taken: split it, or use gzip."
        )


def _keep(upload: Upload, number: int, records: list[Record]) -> None:
    upload.parts, upload.rows = number + 1, upload.rows + len(records)
    if upload.rows > settings.UPLOAD_MAX_ROWS:
        message = f"The file has more than {settings.UPLOAD_MAX_ROWS:,} rows: upload it in parts."
        raise Unusable("too_many_rows", message)
    UploadPart.objects.create(upload=upload, number=number, rows=len(records), content=parts.pack(records))


def _sample(record: Record) -> dict[str, str]:
    row: dict[str, str] = msgspec.json.decode(record.item) if record.item else {}
    return {column: _printable(cell)[:MAX_CELL] for column, cell in row.items()}


def _printable(text: str) -> str:
    """Anything may come in a file: what would turn, hide or break the text around it becomes a mark."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
