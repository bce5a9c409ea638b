"""What is wrong with the settings, found at start: each with an id that can be looked up and silenced."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connection

LOCAL = ("localhost", "127.0.0.1", "[::1]", "testserver", ".localhost")
REDIS_SCHEMES = ("redis", "rediss", "unix")
POSITIVE = (
    "INGEST_MAX_EVENTS",
    "INGEST_MAX_BYTES",
    "INGEST_AT_ONCE",
    "SERIES_LIMIT",
    "UPLOAD_MAX_BYTES",
    "UPLOAD_MAX_INFLATED_BYTES",
    "UPLOAD_MAX_ROWS",
    "UPLOAD_PART_ROWS",
    "UPLOAD_LEASE",
    "UPLOAD_BEAT_SECONDS",
    "DAY_TOTALS_BEAT_SECONDS",
    "BACKFILL_CHUNK_EVENTS",
    "BACKFILL_LEASE",
    "BACKFILL_BEAT_SECONDS",
    "MODEL_COSTS_REFRESH",
    "MODEL_COSTS_BEAT_SECONDS",
    "INVOICE_CHUNK_SIZE",
    "INVOICE_LEASE",
    "INVOICE_BEAT_SECONDS",
    "IDEMPOTENCY_WAIT_MS",
    "DATABASE_LOCK_TIMEOUT_MS",
    "DATABASE_IDLE_IN_TRANSACTION_MS",
)
LEAST_POSTGRESQL = 15
TAKEN_AGAIN = timedelta(seconds=60)


@register()
def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return [*_servers(), *_numbers(), *_safety(), *_run()]


def _servers() -> Iterator[CheckMessage]:
    engine = settings.DATABASES["default"]["ENGINE"]
    if not engine.endswith("postgresql"):
        yield Error(
            f"DATABASE_URL names {engine.rsplit('.', 1)[-1]}; Tallybook runs on PostgreSQL only.",
            hint="Use postgresql://user:password@host:5432/name.",
            id="tallybook.E001",
        )
    scheme = urlsplit(settings.REDIS_URL).scheme
    if scheme not in REDIS_SCHEMES:
        yield Error(
            f"REDIS_URL begins with “{scheme}”; it must be one of {', '.join(REDIS_SCHEMES)}.",
            hint="Use redis://host:6379/0, rediss://host:6379/0, or unix:///path/to/socket?db=0.",
            id="tallybook.E002",
        )


def _numbers() -> Iterator[CheckMessage]:
    for name in POSITIVE:
        value = getattr(settings, name)
        if not value or value < type(value)(0):
            yield Error(f"{name} is {value}; it must be more than zero.", id="tallybook.E004")
    if settings.DATA_UPLOAD_MAX_MEMORY_SIZE < settings.INGEST_MAX_BYTES:
        yield Error(
            f"DATA_UPLOAD_MAX_MEMORY_SIZE ({settings.DATA_UPLOAD_MAX_MEMORY_SIZE}) is less than INGEST_MAX_BYTES"
            f" ({settings.INGEST_MAX_BYTES}): batches of an allowed size would be refused.",
            id="tallybook.E005",
        )


def _safety() -> Iterator[CheckMessage]:
    public = [host for host in settings.ALLOWED_HOSTS if host not in LOCAL]
    if settings.DEBUG and public:
        yield Error(
            f"DJANGO_DEBUG is on and {public[0]} is served: error pages would show settings and data to anybody.",
            hint="Unset DJANGO_DEBUG, or serve localhost only.",
            id="tallybook.E003",
        )
    if public and not settings.SECURE_SSL_REDIRECT:
        yield checks.Warning(
            f"{public[0]} is served without DJANGO_HTTPS: logins and API keys could be sent in the clear.",
            hint="Put a proxy with TLS in front, let it send X-Forwarded-Proto, and set DJANGO_HTTPS=true.",
            id="tallybook.W001",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield checks.Warning(
            "DJANGO_ALLOWED_HOSTS allows every host name.",
            hint="Name yours.",
            id="tallybook.W002",
        )


def _run() -> Iterator[CheckMessage]:
    if settings.INGEST_AT_ONCE >= settings.WEB_THREADS:
        yield checks.Warning(
            f"All {settings.WEB_THREADS} threads of a web process (WEB_THREADS) may work on events at once"
            f" (INGEST_AT_ONCE is {settings.INGEST_AT_ONCE}): when the database is slow none is left to say so.",
            hint="Set WEB_THREADS to at least one more than INGEST_AT_ONCE.",
            id="tallybook.W004",
        )
    taken_again = settings.INVOICE_LEASE + timedelta(seconds=settings.INVOICE_BEAT_SECONDS)
    if taken_again > TAKEN_AGAIN:
        yield checks.Warning(
            f"Work of a worker that died is taken again after {taken_again.total_seconds():.0f} seconds"
            " (INVOICE_LEASE_SECONDS + INVOICE_BEAT_SECONDS).",
            hint="Keep the sum at 60 or less.",
            id="tallybook.W003",
        )


@register(Tags.database)
def check_database(
    app_configs: Sequence[Any] | None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[Error]:
    if not databases:
        return []
    version = connection.pg_version // 10_000  # type: ignore[attr-defined]
    if version >= LEAST_POSTGRESQL:
        return []
    return [
        Error(
            f"PostgreSQL {version} is too old; {LEAST_POSTGRESQL} or later is needed.",
            id="tallybook.E006",
        )
    ]
