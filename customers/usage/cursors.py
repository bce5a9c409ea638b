"""Where a page of usage ends, as the text that a caller sends back."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from billing_site.foundation.pagination import KeysetPagination
from customers.usage.pages import Asked, Position

# What a page does not depend on; all else must stay as it was on the page before.
_FREE = ("after", "limit", "format")


class CellPagination(KeysetPagination):
    """The parameters and the answer of a page of usage; its rows do not come of a queryset."""

    def limit(self, request: Request) -> int:
        return self._limit(request)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        page = super().get_paginated_response_schema(schema)
        page["required"].append("totals")
        page["properties"]["totals"] = schema
        page["required"].append("still_counting")
        page["properties"]["still_counting"] = {
            "type": "array",
            "description": "Meters that still count events which came before they were made or changed: their usage "
            "here is not all.",
            "items": {
                "type": "object",
                "properties": {"meter": {"type": "string"}, "percent": {"type": "integer"}},
                "required": ["meter", "percent"],
            },
        }
        return page


def cursor(request: Request, position: Position) -> str:
    """The value of “next”."""
    token = [_query(request), position.customer, position.meter, position.start.isoformat(), position.key]
    return urlsafe_b64encode(json.dumps(token, separators=(",", ":")).encode()).decode().rstrip("=")


def position(request: Request, asked: Asked) -> Position | None:
    """Where `after` says to read on. A cursor of another query, or none at all, is refused."""
    text = request.query_params.get("after")
    if text is None:
        return None
    try:
        query, customer, meter, start, key = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        instant = datetime.fromisoformat(start)
        values = None if key is None else tuple((str(name), str(value)) for name, value in key)
        if query != _query(request) or meter not in [each.code for each in asked.meters]:
            raise ValueError
        if not isinstance(customer, str) or "\0" in customer or not customer.encode():
            raise ValueError
        if instant.utcoffset() != timedelta(0):
            raise ValueError
        return Position(customer, meter, instant, values)
    except (Base64Error, ValueError, TypeError, RecursionError):
        message = "This cursor is not one of this query's; use “next” as it was answered, with the same parameters."
        raise ValidationError({"after": message}, code="cursor_invalid") from None


def _query(request: Request) -> str:
    """Tells one query from another."""
    given = sorted(
        (name, value) for name, values in request.query_params.lists() for value in values if name not in _FREE
    )
    return sha256(json.dumps(given).encode()).hexdigest()[:16]
