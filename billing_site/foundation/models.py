"""API keys and the answers to writes that may be repeated."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from billing_site.foundation.history import HISTORY_KEPT, tracked


class Scope(models.TextChoices):
    INGEST = "ingest", "Ingest: send usage events"
    READ = "read", "Read: customers, plans, usage, invoices"
    WRITE = "write", "Write: create and change customers, subscriptions, and drafts of the catalogue"
    PUBLISH = "publish", "Publish: what sets prices: plan versions, negotiated terms, coupons, costs of models"
    BACKFILL = "backfill", "Backfill: send events older than the usual limit"
    CORRECT = "correct", "Correct: void and amend events"


@tracked(exclude=["last_used_at", "digest"])
class ApiKey(models.Model):
    """A caller of the API. The key itself is shown once; its SHA-256 is stored."""

    name = models.CharField(max_length=100, help_text="Who uses this key, for example “production gateway”.")
    prefix = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices))
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: the key does not expire.")
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
    )

    class Meta:
        verbose_name = "API key"
        ordering = ["-id"]
        triggers = [HISTORY_KEPT]
        constraints = [
            models.CheckConstraint(
                condition=Q(digest__regex=r"^[0-9a-f]{64}$"),
                name="api_key_digest_is_sha256",
            ),
            models.CheckConstraint(
                condition=Q(scopes__contained_by=Scope.values, scopes__len__gte=1),
                name="api_key_scopes_are_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class IdempotentRequest(models.Model):
    """The answer to a write, kept under the caller's Idempotency-Key, so that a repeat gets the same answer."""

    # The unique constraint begins with it: no index of its own.
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, db_index=False)
    operation = models.CharField(max_length=600, db_collation="C", help_text="Method and path.")
    key = models.CharField(max_length=255, db_collation="C")
    request_digest = models.CharField(max_length=64, help_text="SHA-256 of the body and the query string.")
    status = models.PositiveSmallIntegerField(null=True, help_text="Null only inside the transaction that writes it.")
    response = models.TextField(
        null=True,
        help_text="The body as it was answered; text, to keep every byte of it.",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["api_key", "operation", "key"], name="idempotent_request_once"),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.key}"
