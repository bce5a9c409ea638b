"""POST /v1/events: usage comes in."""

from dataclasses import asdict, replace
from typing import Any

from django.conf import settings
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
from meters.definitions import api as meter_api
from meters.events.bodies import Malformed
from meters.events.decoding import Batch, Limits, TooManyEvents, decode, in_the_words_of
from meters.ingestion import api_schema, refusals
from meters.ingestion.admission import admitted
from meters.ingestion.api_body import Unreadable, read
from meters.ingestion.ingest import Outcome, accept
from meters.ingestion.limiting import wait_seconds


class Events(APIView):
    """Send usage events: one object, or an array of them; or CloudEvents 1.0, one or a batch. gzip is taken.

    Each event is taken or rejected on its own. Sending the same again is safe: an event is known by its customer and
    reference, and counted once. What the answer calls accepted is stored and counted.
    """

    required_scopes = {"POST": Scope.INGEST.value}

    @extend_schema(
        operation_id="send_events",
        summary="Send usage events",
        tags=["events"],
        parameters=api_schema.PARAMETERS,
        request=api_schema.BODY,
        responses=api_schema.RESPONSES,
        examples=api_schema.EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        assert isinstance(request.auth, ApiKey)
        try:
            body, form = read(request._request)  # noqa: SLF001
            batch = decode(body, clock.now(), _limits(request.auth), form)
        except Unreadable as refusal:
            return answer([refusal.fault], refusal.status)
        except Malformed as error:
            return answer([Fault("malformed_json", str(error))], status.HTTP_400_BAD_REQUEST)
        except TooManyEvents as error:
            return answer([Fault("too_many_events", str(error))], status.HTTP_413_REQUEST_ENTITY_TOO_LARGE)
        wait = wait_seconds(request.auth.pk, len(batch))
        if wait:
            return _too_fast(wait)
        outcome = accept(batch)
        outcome = replace(outcome, rejected=in_the_words_of(form, batch, outcome.rejected))
        refusals.note(request.auth.pk, body, outcome.rejected)
        return _respond(batch, outcome)


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


urlpatterns = [path("events", admitted(Events.as_view()), name="events"), *meter_api.urlpatterns]
