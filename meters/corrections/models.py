"""What was corrected: which event was taken out, what stands in its place, why, by whom and when."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from billing_site.foundation.models import ApiKey
from meters import triggers

MAX_REASON = 500


class Correction(models.Model):
    """One form of an event that no longer counts, and the one that counts instead, or none. Append-only.

    An event survives as the one of its forms (as it was sent, and as it was amended to) that no correction names as
    `event`; a voided one has none.
    """

    class Kind(models.TextChoices):
        VOID = "void", "Voided"
        AMEND = "amend", "Amended"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    event = models.OneToOneField("meters.Event", on_delete=models.PROTECT, related_name="correction")
    replacement = models.OneToOneField("meters.Event", on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=MAX_REASON)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        triggers = [triggers.CORRECTION_FITS, triggers.CORRECTIONS_APPEND_ONLY, triggers.NO_TRUNCATE]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="void", replacement=None) | Q(kind="amend", replacement__isnull=False),
                name="correction_kind_fits_replacement",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="correction_has_reason"),
            models.CheckConstraint(
                condition=Q(api_key=None, user__isnull=False) | Q(api_key__isnull=False, user=None),
                name="correction_has_one_author",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.reason}"

    @property
    def author(self) -> str:
        """Who corrected, in words."""
        return f"the API key “{self.api_key.name}”" if self.api_key else str(self.user)
