"""The counting of events that were there before a meter was made, or changed."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Backfill(models.Model):
    """How far the stored events are counted by a meter's definition of one generation.

    Events up to `boundary` are its own, later ones are counted as they come in. Of its own those up to `cursor` are
    counted; the cursor moves in the transaction that counts them. Then what an earlier generation counted is cleared
    away, series by series. Nothing is known of a meter's usage until `counted_at` is set.
    """

    class Status(models.TextChoices):
        COUNTING = "counting", "Counting"
        CLEARING = "clearing", "Clearing"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        REPLACED = "replaced", "Replaced"

    meter = models.ForeignKey("meters.Meter", on_delete=models.CASCADE, related_name="backfills", db_index=False)
    generation = models.PositiveIntegerField()
    boundary = models.BigIntegerField(help_text="The greatest id of an event when the meter was made or changed.")
    start = models.BigIntegerField(help_text="Below the id of the first event that there is.")
    cursor = models.BigIntegerField(help_text="Events up to this id are counted.")
    events = models.BigIntegerField(default=0, help_text="How many of the meter's type were read.")
    cleared = models.BigIntegerField(default=0, help_text="Series of earlier generations up to this id are empty.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.COUNTING)
    takes = models.PositiveIntegerField(default=0, help_text="How often a worker took it: the proof of holding it.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="How often, since some events were counted.")
    leased_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=255, blank=True)
    error = models.TextField(blank=True)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, related_name="+", null=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, help_text="When a worker first took it.")
    counted_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["meter", "generation"], name="backfill_once"),
            models.UniqueConstraint(
                fields=["meter"],
                condition=Q(status__in=["counting", "clearing", "failed"]),
                name="backfill_at_work_once",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["counting", "clearing", "done", "failed", "replaced"]),
                name="backfill_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(cursor__gte=F("start"), cursor__lte=F("boundary")), name="backfill_cursor_within_boundary"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["failed", "replaced"])
                | Q(status="counting", counted_at=None)
                | Q(status__in=["clearing", "done"], counted_at__isnull=False, cursor=F("boundary")),
                name="backfill_counted_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.meter_id} · {self.generation}"
