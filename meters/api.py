"""POST /v1/events: usage comes in."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing_site.foundation import clock
from billing_site.foundation.api_errors import answer
from billing_site.foundation.errors import Fault
from billing_site.foundation.models import ApiKey, Scope
from meters import api_schema, refusals
from meters.bodies import Malformed
from meters.decoding import Batch, Limits, TooManyEvents, decode
from meters.ingest import Outcome, accept
from meters.limiting import wait_seconds

JSON = "application/json"


class Events(APIView):
    """Send usage events: one object, or an array of them.

    Each event is taken or rejected on its own. Sending the same again is safe: an event is known by its customer and
    reference, and counted once. What the answer calls accepted is stored and counted.
    """

    required_scopes = {"POST": Scope.INGEST.value}

    @extend_schema(
        operation_id="send_events",
        summary="Send usage events",
        tags=["events"],
        request=api_schema.BODY,
        responses=api_schema.RESPONSES,
        examples=api_schema.EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        assert isinstance(request.auth, ApiKey)
        try:
            body = _read(request._request)  # noqa: SLF001
            batch = decode(body, clock.now(), _limits(request.auth))
        except _Unreadable as refusal:
            return answer([refusal.fault], refusal.status)
        except Malformed as error:
            return answer([Fault("malformed_json", str(error))], status.HTTP_400_BAD_REQUEST)
        except TooManyEvents as error:
            return answer([Fault("too_many_events", str(error))], status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
        wait = wait_seconds(request.auth.pk, len(batch))
        if wait:
            return _too_fast(wait)
        outcome = accept(batch)
        refusals.note(request.auth.pk, body, outcome.rejected)
        return _respond(batch, outcome)


class _Unreadable(Exception):
    """A body that is not read at all."""

    def __init__(self, status_code: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.fault = status_code, Fault(code, message)


def _read(request: HttpRequest) -> bytes:
    """The body, unless it is of another kind or too long: then it is not read. Raises _Unreadable."""
    _check_kind(request.content_type or "", request.content_params or {}, request.META.get("HTTP_CONTENT_ENCODING", ""))
    if "HTTP_TRANSFER_ENCODING" in request.META:
        raise _Unreadable(411, "length_required", "The request has no Content-Length: send the body in one piece.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise _Unreadable(400, "invalid_content_length", f"Content-Length is “{length}”: send a number of bytes.")
    if int(length) > settings.INGEST_MAX_BYTES:
        size = f"The body has {int(length):,} bytes; at most {settings.INGEST_MAX_BYTES:,} are taken at once"
        raise _Unreadable(413, "body_too_large", f"{size}: send the events in parts.")
    return request.read()  # never more than Content-Length says


def _check_kind(content_type: str, parameters: Mapping[str, str], encoding: str) -> None:
    if content_type != JSON:
        message = f"The body is said to be “{content_type}”: send JSON, with “Content-Type: {JSON}”."
        raise _Unreadable(415, "unsupported_media_type", message)
    charset = parameters.get("charset", "utf-8")
    if charset.strip('"').lower() not in ("utf-8", "utf8", "us-ascii"):
        raise _Unreadable(415, "unsupported_charset", f"The body is said to be in {charset}: send UTF-8.")
    if encoding not in ("", "identity"):
        message = f"The body is encoded as “{encoding}”: send it as it is, without Content-Encoding."
        raise _Unreadable(415, "unsupported_content_encoding", message)


def _limits(key: ApiKey) -> Limits:
    past = None if Scope.BACKFILL in key.scopes else settings.INGEST_PAST
    return Limits(settings.INGEST_MAX_EVENTS, settings.INGEST_FUTURE, past)


def _too_fast(wait: int) -> Response:
    message = f"This API key may send {settings.INGEST_EVENTS_PER_SECOND:,} events a second: wait {wait} s."
    return answer([Fault("too_many_requests", message)], status.HTTP_429_TOO_MANY_REQUESTS, {"Retry-After": str(wait)})


def _respond(batch: Batch, outcome: Outcome) -> Response:
    all_bad = len(batch) > 0 and len(outcome.rejected) == len(batch)
    body: dict[str, Any] = asdict(outcome)
    return Response(body, status=status.HTTP_422_UNPROCESSABLE_ENTITY if all_bad else status.HTTP_200_OK)


urlpatterns = [path("events", Events.as_view(), name="events")]
