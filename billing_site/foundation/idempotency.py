"""Writes that may be repeated: the same Idempotency-Key gives the same answer, and the write happens once.

The key belongs to the API key and the operation (method and path), for ever, not to a time window. The answer is stored
in the transaction of the write itself: a process that dies in between leaves neither. A write that is refused changed
nothing, so its answer is not stored: the caller may send the same key again, mended or later.
"""

import json
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing_site.foundation.models import ApiKey, IdempotentRequest

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
MAX_KEY = 255
MAX_OPERATION = 600
LOCK_NOT_AVAILABLE = "55P03"

Handler = Callable[..., Response]


class KeyReused(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key was used for another request; use a new key for a new request."


class InProgress(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "in_progress"
    default_detail = "A request with this Idempotency-Key is still being worked on; ask again in a moment."


class _Failed(Exception):
    """Carries an answer of 400 or more out of the transaction, so that it rolls back."""

    def __init__(self, response: Response) -> None:
        self.response = response


class IdempotentWrites(APIView):
    """Mix into an API view: each of its writes takes an Idempotency-Key and happens once, in one transaction."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = (request.method or "").lower()
        if request.method in WRITES and hasattr(self, method):
            setattr(self, method, partial(_once, getattr(self, method)))


def _once(handler: Handler, request: Request, *args: Any, **kwargs: Any) -> Response:
    key = _key(request)
    caller = request.auth
    assert isinstance(caller, ApiKey)  # HasScope has seen to it
    operation = f"{request.method} {request.path}"
    if len(operation) > MAX_OPERATION:
        raise ValidationError(
            f"The address is longer than {MAX_OPERATION} characters.",
            code="address_too_long",
        )
    # The body as it came, before anything reads the stream.
    body = request._request.body  # noqa: SLF001
    digest = sha256(body + b"\0" + request.META.get("QUERY_STRING", "").encode()).hexdigest()
    try:
        with transaction.atomic():
            claimed = _claim(caller, operation, key, digest)
            if not claimed:
                return _replay(
                    IdempotentRequest.objects.get(api_key=caller, operation=operation, key=key),
                    digest,
                )
            response = handler(request, *args, **kwargs)
            if response.status_code >= status.HTTP_400_BAD_REQUEST:
                raise _Failed(response)
            _keep(claimed, response)
            return response
    except _Failed as failed:
        return failed.response


def _key(request: Request) -> str:
    key = request.headers.get(HEADER, "").strip()
    if not key:
        message = (
            f"Send a header “{HEADER}” with a value of your own that is new for every new request, for example a UUID."
        )
        raise ValidationError({HEADER: message}, code="idempotency_key_missing")
    if len(key) > MAX_KEY or not (key.isascii() and key.isprintable()):
        message = f"The {HEADER} may have up to {MAX_KEY} printable ASCII characters."
        raise ValidationError({HEADER: message}, code="idempotency_key_invalid")
    return key


def _claim(api_key: ApiKey, operation: str, key: str, digest: str) -> int | None:
    """Insert the key; None when it is there. Waits for a transaction that holds the same key, up to a limit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        usual = cursor.fetchone()[0]
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, true)",
            [f"{settings.IDEMPOTENCY_WAIT_MS}ms"],
        )
        try:
            cursor.execute(
                "INSERT INTO foundation_idempotentrequest (api_key_id, operation, key, request_digest)"
                " VALUES (%s, %s, %s, %s) ON CONFLICT (api_key_id, operation, key) DO NOTHING RETURNING id",
                [api_key.pk, operation, key, digest],
            )
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) == LOCK_NOT_AVAILABLE:
                raise InProgress from error
            raise
        row = cursor.fetchone()
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [usual])
    return row[0] if row else None


def _keep(claimed: int, response: Response) -> None:
    body = "" if response.data is None else JSONRenderer().render(response.data).decode()
    IdempotentRequest.objects.filter(pk=claimed).update(status=response.status_code, response=body)


def _replay(stored: IdempotentRequest, digest: str) -> Response:
    if stored.request_digest != digest:
        raise KeyReused
    data = json.loads(stored.response) if stored.response else None
    return Response(data, status=stored.status, headers={REPLAYED: "true"})
