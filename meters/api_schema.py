"""What the OpenAPI document says of events."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from meters.values import MAX_TEXT


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "description": description}


EVENT = {
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
            "oneOf": [{"type": "number"}, {"type": "string"}],
            "nullable": True,
            "description": "The event's own quantity, at most 18 digits before and 12 after the decimal point, as a "
            "number or as text. A meter that counts takes it as that many events; 1 when left out.",
        },
        "status": {
            "type": "string",
            "enum": ["succeeded", "failed"],
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
BODY = {"application/json": {"oneOf": [EVENT, {"type": "array", "items": EVENT}]}}
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
        {"$ref": "#/components/schemas/Errors"}, "The body is not valid JSON; the message says where."
    ),
    411: OpenApiResponse({"$ref": "#/components/schemas/Errors"}, "The request has no Content-Length."),
    413: OpenApiResponse({"$ref": "#/components/schemas/Errors"}, "Too many events or bytes: send them in parts."),
    415: OpenApiResponse({"$ref": "#/components/schemas/Errors"}, "The body is not said to be application/json."),
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
    ),
    OpenApiExample(
        "Accepted",
        value={"accepted": 1, "duplicates": 0, "rejected": []},
        response_only=True,
        status_codes=["200"],
    ),
]
