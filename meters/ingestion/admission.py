"""How many requests with events a process works on at once: the others are told to come back, before memory grows.

A request in work holds its body, what was read of it and a database connection. When the database is slow, requests
would pile up in front of it; here they wait for a moment while others get done, and not at all while nobody does.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from billing_site.foundation import api_errors

PATIENCE_SECONDS = 1.0
"""How long a request waits for its turn, and after how long without one that got done nobody does any more."""
DISCARDED_AT_ONCE = 65_536
SMALL_BYTES = 16_384

logger = structlog.get_logger(__name__)


class Full(Exception):
    """As many are in work as may be, and none of them gets done."""


class Gate:
    """Lets `places` in at once."""

    def __init__(self, places: int) -> None:
        self._free = threading.BoundedSemaphore(places)
        self._moved_at = 0.0  # when one came in or got done

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Raises Full."""
        if not self._free.acquire(blocking=False):
            stalled = time.monotonic() - self._moved_at > PATIENCE_SECONDS
            if stalled or not self._free.acquire(timeout=PATIENCE_SECONDS):
                raise Full
        self._moved_at = time.monotonic()
        try:
            yield
        finally:
            self._moved_at = time.monotonic()
            self._free.release()


def admitted(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The view behind this process' gates. Who is not let in gets 503 before anything asks the database.

    Small bodies fill no memory, and share their transactions: they may have all threads but one.
    """
    large, every = Gate(settings.INGEST_AT_ONCE), Gate(max(settings.INGEST_AT_ONCE, settings.WEB_THREADS - 1))

    @wraps(view)
    def behind_gate(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        try:
            with nullcontext() if _is_small(request) else large(), every():
                return view(request, *args, **kwargs)
        except Full:
            _discard_body(request)
            logger.warning("ingest_refused_full", at_once=settings.INGEST_AT_ONCE)
            return JsonResponse(
                api_errors.body([api_errors.DATABASE_BUSY]),
                status=503,
                headers={"Retry-After": str(api_errors.RETRY_AFTER_SECONDS)},
            )

    return behind_gate


def _is_small(request: HttpRequest) -> bool:
    length = request.META.get("CONTENT_LENGTH") or ""
    plain = "HTTP_CONTENT_ENCODING" not in request.META  # what is packed may be large inside
    return plain and length.isdecimal() and int(length[:18]) <= SMALL_BYTES


def _discard_body(request: HttpRequest) -> None:
    """A sender that still writes when the connection ends would not see the answer: read it, keep nothing."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdecimal() and int(length) <= settings.INGEST_MAX_BYTES:
        while request.read(DISCARDED_AT_ONCE):
            pass
