"""What the OpenAPI document says of corrections."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from meters.corrections.models import MAX_REASON
from meters.ingestion.api_schema import EVENT

VOID_DESCRIPTION = """The event stays, and is seen with what became of it; it counts no longer, from the moment of the
answer. Sent again under the same reference, it is a duplicate. Voiding it again for the same reason gives the same
answer; for another one it is refused, saying what was done, when and by whom.

The customer is named by its reference or any alias; one that is not known yet, by what its events carry. An event more
than 35 days old needs the scope `backfill` besides."""
AMEND_DESCRIPTION = """What is left out stays as it is; `properties` are given whole. What was sent stays, and is seen
beside what it was amended to; the same event may be amended again. Its place among events at the same instant is that
of what was sent. Reference, type, customer, status and subscription cannot be amended: void the event, and send
another.

The customer is named by its reference or any alias. A timestamp follows the rules of events; an event more than 35 days
old needs the scope `backfill` besides."""

_REASON: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_REASON,
    "description": "Why, for whoever asks later.",
}
VOID_BODY = {
    "application/json": {
        "type": "object",
        "additionalProperties": False,
        "required": ["reason"],
        "properties": {"reason": _REASON},
    }
}
AMEND_BODY = {
    "application/json": {
        "type": "object",
        "additionalProperties": False,
        "required": ["reason"],
        "properties": {
            "reason": _REASON,
            "properties": {**EVENT["properties"]["properties"], "description": "All properties that it is to have."},
            "timestamp": {**EVENT["properties"]["timestamp"], "description": "When it happened, with an offset."},
            "value": {**EVENT["properties"]["value"], "description": "The event's own quantity."},
        },
    }
}
_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["timestamp", "value"],
    "properties": {
        "timestamp": {"type": "string", "format": "date-time"},
        "value": {"type": "string", "nullable": True, "description": "A decimal."},
    },
}
_CORRECTION: dict[str, Any] = {
    "type": "object",
    "required": [
        "customer",
        "reference",
        "kind",
        "reason",
        "corrected_at",
        "corrected_by",
        "counted_before",
        "counts_now",
    ],
    "properties": {
        "customer": {"type": "string", "description": "The reference under which the event came."},
        "reference": {"type": "string"},
        "kind": {"type": "string", "enum": ["void", "amend"]},
        "reason": {"type": "string"},
        "corrected_at": {"type": "string", "format": "date-time"},
        "corrected_by": {
            "type": "object",
            "required": ["type", "name"],
            "properties": {"type": {"type": "string", "enum": ["api_key", "user"]}, "name": {"type": "string"}},
        },
        "counted_before": _FORM,
        "counts_now": {**_FORM, "nullable": True, "description": "Null when nothing counts any more."},
    },
}
RESPONSES = {200: OpenApiResponse(_CORRECTION, "It is done, and usage has followed; or it was so already.")}
_DONE = {
    "customer": "acme",
    "reference": "req_01HF8Z",
    "corrected_at": "2026-03-02T09:30:00Z",
    "corrected_by": {"type": "api_key", "name": "support desk"},
    "counted_before": {"timestamp": "2026-03-01T12:00:00Z", "value": None},
}
VOID_EXAMPLES = [
    OpenApiExample("A test call", value={"reason": "A test call of our own"}, request_only=True),
    OpenApiExample(
        "Voided",
        value={**_DONE, "kind": "void", "reason": "A test call of our own", "counts_now": None},
        response_only=True,
        status_codes=["200"],
    ),
]
AMEND_EXAMPLES = [
    OpenApiExample(
        "The wrong model",
        value={
            "reason": "The gateway named the wrong model",
            "properties": {"model": "model-b", "input_tokens": 374, "output_tokens": 44},
        },
        request_only=True,
    ),
    OpenApiExample(
        "Amended",
        value={
            **_DONE,
            "kind": "amend",
            "reason": "The gateway named the wrong model",
            "counts_now": {"timestamp": "2026-03-01T12:00:00Z", "value": None},
        },
        response_only=True,
        status_codes=["200"],
    ),
]
