"""What the OpenAPI document says of events."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from meters.events.cloudevents import BATCH, STRUCTURED
from meters.events.values import MAX_TEXT


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "description": description}


EVENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reference", "type", "customer"],
    "properties": {
        "reference": _text("Your own id of this event. The same customer and reference are counted once, for ever."),
        "type": _text("What happened, for example llm.request. Meters read events by type."),
        "customer": _text("Your own id of the customer. It need not be known yet."),
        "timestamp": {
            "type": "string",
            "format": "date-time",
            "nullable": True,
            "description": "When it happened, with an offset; now when left out. At most 5 minutes in the future, and "
            "35 days back without the scope `backfill`. Cut to the microsecond.",
        },
        "properties": {
            "type": "object",
            "nullable": True,
            "additionalProperties": True,
            "description": "What meters filter, add up and tell apart: model, region, input_tokens … Numbers of up to "
            "38 digits are kept exactly; what a meter adds up has at most 18 digits before the point and 12 after.",
        },
        "value": {
            "oneOf": [{"type": "number", "nullable": True}, {"type": "string"}],
            "description": "The event's own quantity, at most 18 digits before and 12 after the decimal point, as a "
            "number or as text. A meter that counts takes it as that many events; 1 when left out.",
        },
        "status": {
            "type": "string",
            "enum": ["succeeded", "failed", None],
            "nullable": True,
            "description": "Failed ones are kept and never billed. Succeeded when left out.",
        },
        "subscription": {
            "type": "string",
            "maxLength": MAX_TEXT,
            "nullable": True,
            "description": "Your own id of the subscription that pays, for a customer with several.",
        },
    },
}
CLOUDEVENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {"oneOf": [{"type": "string", "nullable": True}, {"type": "number"}, {"type": "boolean"}]},
    "required": ["specversion", "id", "source", "type", "subject"],
    "description": "A CloudEvent 1.0. All its other attributes are kept in the property `cloudevent`.",
    "properties": {
        "specversion": {"type": "string", "enum": ["1.0"]},
        "id": {
            "type": "string",
            "minLength": 1,
            "description": "Your own id of this event, unique within its source. The event's reference is “source id”: "
            f"both together have at most {MAX_TEXT - 1} characters, unless `reference` is given.",
        },
        "source": {"type": "string", "minLength": 1, "description": "Where it comes from: a URI, without spaces."},
        "type": _text("What happened. Meters read events by type."),
        "subject": _text("Your own id of the customer."),
        "time": {**EVENT["properties"]["timestamp"]},
        "datacontenttype": {"type": "string", "nullable": True, "description": "JSON; so it is when left out."},
        "data": {**EVENT["properties"]["properties"]},
        "reference": {**_text("Extension attribute: a reference instead of “source id”."), "nullable": True},
        "value": {**EVENT["properties"]["value"]},
        "status": {**EVENT["properties"]["status"]},
        "subscription": {**EVENT["properties"]["subscription"]},
    },
}
BODY = {
    "application/json": {"oneOf": [EVENT, {"type": "array", "items": EVENT}]},
    STRUCTURED: CLOUDEVENT,
    BATCH: {"type": "array", "items": CLOUDEVENT},
}
PARAMETERS = [
    OpenApiParameter(
        "Content-Encoding",
        str,
        OpenApiParameter.HEADER,
        enum=["gzip", "identity"],
        description="The body may be compressed. What it inflates to counts as its size.",
    )
]
OUTCOME = {
    "type": "object",
    "required": ["accepted", "duplicates", "rejected"],
    "properties": {
        "accepted": {"type": "integer", "description": "Stored and counted now."},
        "duplicates": {"type": "integer", "description": "Stored and counted before, or twice in this body."},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "reference", "code", "message", "field"],
                "properties": {
                    "index": {"type": "integer", "description": "Place in the body, from 0."},
                    "reference": {"type": "string", "nullable": True},
                    "code": {"type": "string", "description": "For programs; stays the same."},
                    "message": {"type": "string", "description": "What is wrong, and how to mend it."},
                    "field": {"type": "string", "description": "Which field; empty when it is the whole event."},
                },
            },
        },
    },
}
RESPONSES = {
    200: OpenApiResponse(OUTCOME, "Something was accepted, or all was known already. Look at `rejected`."),
    400: OpenApiResponse(
        {"$ref": "#/components/schemas/Errors"}, "The body is not valid JSON, or not gzip; the message says where."
    ),
    411: OpenApiResponse({"$ref": "#/components/schemas/Errors"}, "The request has no Content-Length."),
    413: OpenApiResponse({"$ref": "#/components/schemas/Errors"}, "Too many events or bytes: send them in parts."),
    415: OpenApiResponse(
        {"$ref": "#/components/schemas/Errors"},
        "The body is said to be of another kind than these, or in another encoding than gzip.",
    ),
    422: OpenApiResponse(OUTCOME, "Every event of the body was rejected."),
    429: OpenApiResponse({"$ref": "#/components/schemas/Errors"}, "Too many events: wait as long as Retry-After says."),
}
EXAMPLES = [
    OpenApiExample(
        "One request of a language model",
        value=[
            {
                "reference": "req_01HF8Z",
                "type": "llm.request",
                "customer": "acme",
                "timestamp": "2026-03-01T12:00:00Z",
                "properties": {"model": "model-a", "input_tokens": 374, "output_tokens": 44},
            }
        ],
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "The same as a CloudEvent",
        value={
            "specversion": "1.0",
            "id": "req_01HF8Z",
            "source": "/gateways/eu-1",
            "type": "llm.request",
            "subject": "acme",
            "time": "2026-03-01T12:00:00Z",
            "data": {"model": "model-a", "input_tokens": 374, "output_tokens": 44},
        },
        request_only=True,
        media_type=STRUCTURED,
    ),
    OpenApiExample(
        "Accepted",
        value={"accepted": 1, "duplicates": 0, "rejected": []},
        response_only=True,
        status_codes=["200"],
    ),
]
