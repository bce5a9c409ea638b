"""What became of an uploaded file, or would, summed up and row by row."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from billing_site.foundation.spreadsheets import harmless
from meters.database import fetch
from meters.files import parts
from meters.files.parts import Reject
from meters.uploads.models import Upload, UploadResult

EXAMPLES = 20
LOADED = Upload.Step.LOAD
COLUMNS = ("line", "reference", "code", "field", "message")

_REASONS = """
    SELECT reason.key, sum(reason.value::bigint)::bigint AS rows
    FROM meters_uploadresult AS result CROSS JOIN LATERAL jsonb_each_text(result.reasons) AS reason
    WHERE result.upload_id = %b AND result.step = %b
    GROUP BY reason.key ORDER BY rows DESC, reason.key
"""


@dataclass(frozen=True)
class Summary:
    """Rows by what became of them; `repeated` of the duplicates came up in the file before. `reasons`: (code, rows)."""

    accepted: int
    duplicates: int
    repeated: int
    rejected: int
    reasons: list[tuple[str, int]]
    examples: list[Reject]

    @property
    def rows(self) -> int:
        return self.accepted + self.duplicates + self.rejected

    @property
    def known(self) -> int:
        """Duplicates of what was stored before."""
        return self.duplicates - self.repeated


def summary(upload: Upload, step: str) -> Summary:
    """What was found in one step so far. Three queries."""
    names = ("accepted", "duplicates", "repeated", "rejected")
    counts = _results(upload, step).aggregate(**{name: Sum(name, default=0) for name in names})
    reasons = [(code, rows) for code, rows in fetch(_REASONS, upload.pk, step)]
    return Summary(**counts, reasons=reasons, examples=list(islice(rejects(upload, step), EXAMPLES)))


def incomplete(since: datetime) -> QuerySet[Upload]:
    """Uploads begun since an instant that failed, or of which rows were rejected: `rejected` of them. Newest first."""
    results = UploadResult.objects.filter(upload=OuterRef("pk"), step=LOADED).order_by().values("upload")
    rejected = Coalesce(Subquery(results.annotate(all=Sum("rejected")).values("all")), 0)
    found = Upload.objects.filter(step_at__gte=since, step=LOADED).annotate(rejected=rejected)
    return found.filter(Q(status=Upload.Status.FAILED) | Q(rejected__gt=0)).order_by("-pk")


def rejects(upload: Upload, step: str) -> Iterator[Reject]:
    """Every row that was rejected, in the order of the file, read part by part."""
    found = _results(upload, step).filter(rejected__gt=0).order_by("part").values_list("rejects", flat=True)
    for packed in found.iterator(chunk_size=20):
        yield from parts.rejects(bytes(packed))


def report(upload: Upload, step: str) -> Iterator[str]:
    """The rejected rows as CSV, line by line, with a header. Nothing in it is a formula to a spreadsheet."""
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow(COLUMNS)
    for each in rejects(upload, step):
        yield writer.writerow(
            [each.place, *map(_harmless, (each.reference or "", each.code, each.field, each.message))]
        )


def same_before(upload: Upload) -> Upload | None:
    """The last upload before this one with the same content."""
    earlier = Upload.objects.filter(digest=upload.digest, pk__lt=upload.pk).select_related("uploaded_by")
    return earlier.order_by("-pk").first()


def _results(upload: Upload, step: str) -> QuerySet[UploadResult]:
    return UploadResult.objects.filter(upload=upload, step=step)


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def _harmless(text: str) -> str:
    return harmless(text.replace("\0", "\N{REPLACEMENT CHARACTER}"))
