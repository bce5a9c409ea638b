"""Files of events that operators upload, in parts, and what became of every part."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Upload(models.Model):
    """A file of events and how far it is. Its rows are in `UploadPart`, numbered from 0.

    A worker goes through the parts in order, once to check and once to load, and holds the upload by a lease meanwhile;
    `next_part` moves in the transaction that stores a part's events, so a part counts once.
    """

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        JSON_LINES = "jsonl", "JSON Lines"
        JSON = "json", "JSON"

    class Status(models.TextChoices):
        RECEIVED = "received", "Received"
        CHECKING = "checking", "Checking"
        CHECKED = "checked", "Checked"
        LOADING = "loading", "Loading"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    class Step(models.TextChoices):
        CHECK = "check", "Check"
        LOAD = "load", "Load"

    name = models.CharField(max_length=255, help_text="As the file was called.")
    size = models.BigIntegerField(help_text="Bytes, as it came.")
    digest = models.CharField(max_length=64, db_index=True, help_text="SHA-256 of what is in it, inflated.")
    format = models.CharField(max_length=10, choices=Format.choices)
    columns = models.JSONField(default=list, help_text="The header of a CSV.")
    samples = models.JSONField(default=list, help_text="The first rows, as cells, for choosing what columns mean.")
    rows = models.PositiveIntegerField()
    parts = models.PositiveIntegerField()
    mapping = models.JSONField(null=True, help_text="What the columns mean; see meters.files.mapping.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RECEIVED)
    step = models.CharField(max_length=10, choices=Step.choices, blank=True, help_text="What was begun last.")
    step_at = models.DateTimeField(null=True, help_text="When it was begun: the now by which events are judged.")
    backfill = models.BooleanField(default=False, help_text="Whoever began it may send old events.")
    next_part = models.PositiveIntegerField(default=0)
    takes = models.PositiveIntegerField(default=0, help_text="How often a worker took it: the proof of holding it.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="How often, since a part was done.")
    leased_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=255, blank=True)
    error = models.TextField(blank=True)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        permissions = [("backfill_events", "Can upload events that are older than the usual limit")]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    status__in=["received", "checking", "checked", "loading", "done", "stopped", "failed"],
                    format__in=["csv", "jsonl", "json"],
                    step__in=["", "check", "load"],
                ),
                name="upload_choices_are_known",
            ),
            models.CheckConstraint(condition=Q(next_part__lte=F("parts")), name="upload_parts_are_there"),
            models.CheckConstraint(
                condition=Q(status="received") | Q(mapping__isnull=False, step_at__isnull=False) & ~Q(step=""),
                name="upload_begun_is_mapped",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["checked", "done"]) | Q(next_part=F("parts")), name="upload_done_is_whole"
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(status__in=["checking", "loading"]), name="upload_in_work"),
        ]

    def __str__(self) -> str:
        return self.name


class UploadPart(models.Model):
    """Some rows of a file, in order, compressed; see meters.files.parts."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="contents", db_index=False)
    number = models.PositiveIntegerField()
    rows = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["upload", "number"], name="upload_part_once")]

    def __str__(self) -> str:
        return f"{self.upload_id} · {self.number}"


class UploadResult(models.Model):
    """What became of a part, or would: accepted + duplicates + rejected = its rows."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="results", db_index=False)
    step = models.CharField(max_length=10, choices=Upload.Step.choices)
    part = models.PositiveIntegerField()
    accepted = models.PositiveIntegerField()
    duplicates = models.PositiveIntegerField()
    repeated = models.PositiveIntegerField(
        help_text="Duplicates of an earlier row of the file; told by the check only."
    )
    rejected = models.PositiveIntegerField()
    reasons = models.JSONField(default=dict, help_text="How many were rejected by code.")
    rejects = models.BinaryField(help_text="Each that was rejected, compressed; see meters.files.parts.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["upload", "step", "part"], name="upload_result_once"),
            models.CheckConstraint(condition=Q(repeated__lte=F("duplicates")), name="upload_repeated_are_duplicates"),
        ]

    def __str__(self) -> str:
        return f"{self.upload_id} · {self.step} · {self.part}"


class UploadKey(models.Model):
    """While a file is checked: which (customer, reference) came up in it, so that repetitions are seen."""

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="+", db_index=False)
    customer = models.CharField(max_length=255, db_collation="C")
    reference = models.CharField(max_length=255, db_collation="C")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["upload", "customer", "reference"], name="upload_key_once")]

    def __str__(self) -> str:
        return f"{self.upload_id} · {self.customer} · {self.reference}"
