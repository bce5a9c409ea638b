"""POST /v1/customers/{customer}/events/{reference}/void and /amend: what was sent wrongly is put right."""

from collections import defaultdict
from datetime import datetime
from typing import IO, Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation import clock
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.idempotency import IdempotentWrites
from billing_site.foundation.models import ApiKey, Scope
from billing_site.foundation.money import plain
from customers.accounts import api_corrections_schema as schema
from customers.models import Alias
from meters.corrections import correcting as corrections
from meters.corrections.amending import CHANGES, Amendment
from meters.corrections.correcting import By
from meters.events.bodies import Malformed
from meters.events.decoding import Limits
from meters.models import Correction, Event

BETWEEN = "/events/"


class AsItCame(BaseParser):
    """The bytes themselves: the rules of events read them, to the last digit."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream.read()


class _Correction(IdempotentWrites):
    required_scopes = {"POST": Scope.CORRECT.value}
    parser_classes = (AsItCame,)


class VoidEvent(_Correction):
    """Take an event out of usage, for good."""

    @extend_schema(
        operation_id="void_event",
        summary="Void an event",
        description=schema.VOID_DESCRIPTION,
        tags=["events"],
        request=schema.VOID_BODY,
        responses=schema.RESPONSES,
        examples=schema.VOID_EXAMPLES,
    )
    def post(self, request: Request, reference: str, event: str) -> Response:
        asked = _read(request, ())
        return _answer(corrections.void(_find(reference, event), asked.reason, *_by(request)))


class AmendEvent(_Correction):
    """Let an event count with other properties, another timestamp or another value."""

    @extend_schema(
        operation_id="amend_event",
        summary="Amend an event",
        description=schema.AMEND_DESCRIPTION,
        tags=["events"],
        request=schema.AMEND_BODY,
        responses=schema.RESPONSES,
        examples=schema.AMEND_EXAMPLES,
    )
    def post(self, request: Request, reference: str, event: str) -> Response:
        asked = _read(request, CHANGES)
        return _answer(corrections.amend(_find(reference, event), asked, *_by(request)))


def _limits(request: Request) -> Limits:
    assert isinstance(request.auth, ApiKey)
    past = None if Scope.BACKFILL in request.auth.scopes else settings.INGEST_PAST
    return Limits(1, settings.INGEST_FUTURE, past)


def _by(request: Request) -> tuple[By, datetime, Limits]:
    assert isinstance(request.auth, ApiKey)
    return By(api_key=request.auth), clock.now(), _limits(request)


def _read(request: Request, changes: tuple[str, ...]) -> Amendment:
    read: Any = request.data  # an empty body is not parsed at all
    body = read if isinstance(read, bytes) else b""
    try:
        return corrections.read_amendment(body, clock.now(), _limits(request), changes)
    except Malformed as error:
        raise ParseError(str(error), code="malformed_json") from None


def _find(customer: str, event: str) -> int:
    """The event that the address names, under whichever reference of the customer it came.

    A reference may hold the word between the two itself, so every place at which the address can be cut is looked at.
    """
    named = _cuts(f"{customer}{BETWEEN}{event}")
    found = corrections.find((each, reference) for name, reference in named for each in _references(named)[name])
    exact = [pair for pair in named if pair in found]
    pairs = exact or sorted(found)
    if not pairs:
        message = f"No event “{event}” has come in for the customer “{customer}”."
        raise NotFound(message, code="event_unknown")
    if len(pairs) > 1:
        several = "; ".join(f"“{reference}” of “{name}”" for name, reference in pairs)
        message = f"The address may mean several events: {several}. Name the customer by the reference it came under."
        raise Refused(Fault("event_ambiguous_conflict", message))
    return found[pairs[0]]


def _cuts(address: str) -> list[tuple[str, str]]:
    parts = address.split(BETWEEN)
    cuts = [(BETWEEN.join(parts[:place]), BETWEEN.join(parts[place:])) for place in range(1, len(parts))]
    return [(name, reference) for name, reference in cuts if name and reference]


def _references(named: list[tuple[str, str]]) -> dict[str, list[str]]:
    """All references of each customer that is named; one whom nobody knows has that one. Two queries."""
    owners = dict(Alias.objects.filter(reference__in={name for name, _ in named}).values_list("reference", "customer"))
    aliases: dict[int, list[str]] = defaultdict(list)
    for owner, reference in Alias.objects.filter(customer__in=owners.values()).values_list("customer", "reference"):
        aliases[owner].append(reference)
    return {name: aliases[owners[name]] if name in owners else [name] for name, _ in named}


def _answer(done: Correction) -> Response:
    author = {"type": "api_key", "name": done.api_key.name} if done.api_key else {"type": "user", "name": done.author}
    return Response(
        {
            "customer": done.event.customer,
            "reference": done.event.reference,
            "kind": done.kind,
            "reason": done.reason,
            "corrected_at": done.created_at,
            "corrected_by": author,
            "counted_before": _shown(done.event),
            "counts_now": _shown(done.replacement) if done.replacement else None,
        }
    )


def _shown(form: Event) -> dict[str, Any]:
    return {"timestamp": form.timestamp, "value": None if form.value is None else plain(form.value)}
