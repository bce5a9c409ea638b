"""Whether a key opens anything: as a word, and as a filter of the list."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from billing_site.foundation import clock
from billing_site.foundation.models import ApiKey

ACTIVE, EXPIRED, REVOKED = "Active", "Expired", "Revoked"


def status(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return REVOKED
    if key.expires_at is not None and key.expires_at <= clock.now():
        return EXPIRED
    return ACTIVE


class KeyStatusFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name.lower(), name) for name in (ACTIVE, EXPIRED, REVOKED)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        now = clock.now()
        wanted = {
            "active": Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now)),
            "expired": Q(revoked_at=None, expires_at__lte=now),
            "revoked": Q(revoked_at__isnull=False),
        }
        return queryset.filter(wanted.get(self.value() or "", Q()))
