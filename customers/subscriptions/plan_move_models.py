"""Moves of a version's subscriptions to a later one: who goes when, and what became of each."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from billing_site.foundation.history import tracked
from catalog.models import PlanVersion
from customers import triggers


@tracked()
class PlanMove(models.Model):
    """A plan to move all subscriptions of a version to a later version of its plan.

    Those that were on `source` when it was made are its items; whoever subscribes later is not.
    """

    class Timing(models.TextChoices):
        NOW = "now", "Now: the open period and drafts are priced by the new version, too"
        PERIOD_END = "period_end", "At the end of each one's open period"
        ON_DATE = "on_date", "With the first period that begins on a day, or after it"

    class Status(models.TextChoices):
        MOVING = "moving", "Moving"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped"

    source = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="+", verbose_name="from")
    target = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="+", verbose_name="to")
    timing = models.CharField("when", max_length=10, choices=Timing.choices, default=Timing.PERIOD_END)
    on = models.DateField("day", null=True, blank=True, help_text="A day of each subscription's own timezone.")
    reason = models.CharField(max_length=500, help_text="Why, for whoever looks at it later.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.MOVING, editable=False)
    created_by = models.CharField(max_length=150, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = "move of subscriptions"
        verbose_name_plural = "moves of subscriptions"
        triggers = [triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(
                fields=["source"],
                condition=Q(status="moving"),
                name="plan_move_once",
                violation_error_message="Its subscriptions are being moved already: stop that move first.",
            ),
            models.CheckConstraint(condition=~Q(source=F("target")), name="plan_move_goes_elsewhere"),
            models.CheckConstraint(
                condition=Q(timing__in=["now", "period_end"], on=None) | Q(timing="on_date", on__isnull=False),
                name="plan_move_day_fits_timing",
                violation_error_message="A day goes with “on a day”, and with that alone.",
            ),
            models.CheckConstraint(
                condition=Q(status="moving", finished_at=None)
                | Q(status__in=["done", "stopped"], finished_at__isnull=False),
                name="plan_move_ends_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


class PlanMoveItem(models.Model):
    """One subscription of a move. `not_before`: its open period begins then, or later, before it is moved."""

    class Status(models.TextChoices):
        WAITING = "waiting", "Waiting"
        MOVED = "moved", "Moved"
        REFUSED = "refused", "Refused"
        GONE = "gone", "Moved or ended before"

    move = models.ForeignKey(PlanMove, on_delete=models.CASCADE, related_name="items", db_index=False)
    subscription = models.ForeignKey("customers.Subscription", on_delete=models.PROTECT, related_name="+")
    not_before = models.DateTimeField(null=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    message = models.TextField(blank=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        triggers = [triggers.NO_TRUNCATE]
        indexes = [models.Index(fields=["move", "id"], condition=Q(status="waiting"), name="plan_move_item_waiting")]
        constraints = [
            models.UniqueConstraint(fields=["move", "subscription"], name="plan_move_item_once"),
            models.CheckConstraint(
                condition=Q(status="waiting", done_at=None) | ~Q(status="waiting") & Q(done_at__isnull=False),
                name="plan_move_item_ends_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscription}: {self.get_status_display()}"
