"""`/healthz`: this process answers. `/readyz`: the database, Redis and a worker are there too.

A middleware before all others, since a load balancer asks by address, not by a host name that `ALLOWED_HOSTS` knows,
over plain HTTP, every second, and must not fill the log. The answers name what is away and nothing else: they are open
to everybody.
"""

from collections.abc import Callable

import redis
import structlog
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from billing_site import heartbeats

logger = structlog.get_logger(__name__)

OK = "ok"


class HealthMiddleware:
    """Answers the two addresses by itself; passes everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.answers = {"/healthz": healthz, "/readyz": readyz}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.answers.get(request.path_info, self.get_response)
        return answer(request)


def healthz(request: HttpRequest) -> HttpResponse:
    return _uncached(JsonResponse({"status": OK}))


def readyz(request: HttpRequest) -> HttpResponse:
    """200 when database, Redis and a worker are there, else 503. Beat is told, but decides nothing."""
    parts = {"database": _database(), **_redis()}
    ready = all(parts[part] == OK for part in ("database", "redis", "worker"))
    return _uncached(
        JsonResponse(
            {"status": OK if ready else "unavailable", "parts": parts},
            status=200 if ready else 503,
        )
    )


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        logger.warning("not_ready", part="database", error=type(error).__name__)
        return "cannot be reached"
    return OK


def _redis() -> dict[str, str]:
    try:
        with heartbeats.connect() as client:
            signs = heartbeats.signs(client)
    except redis.RedisError as error:
        logger.warning("not_ready", part="redis", error=type(error).__name__)
        return {"redis": "cannot be reached", "worker": "unknown", "beat": "unknown"}
    return {
        "redis": OK,
        "worker": OK if signs["worker"] else f"no sign of life in the last {heartbeats.WORKER_SECONDS} seconds",
        "beat": OK if signs["beat"] else f"no sign of life in the last {heartbeats.beat_seconds()} seconds",
    }


def _uncached(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response
