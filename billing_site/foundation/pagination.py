"""Lists in the API, a page at a time: `?after=<cursor>&limit=<n>` → `{"data": […], "next": <cursor or null>}`.

Keyset pages: the cursor holds the last row's value of a unique column, so a page costs the same at any depth, and rows
that come or go between two pages neither repeat nor hide others.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Any

from django.core.exceptions import ValidationError as ModelValidationError
from django.db.models import Field, Model
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class KeysetPagination(BasePagination):
    """Pages of a queryset in the order of one unique column.

    The column is the view's `keyset`, for example "id", "-id" or "reference"; "id" when it names none.
    """

    default_limit = 100
    max_limit = 1_000

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.ordering: str = getattr(view, "keyset", "id")
        self.column = self.ordering.removeprefix("-")
        limit = self._limit(request)
        after = request.query_params.get("after")
        if after is not None:
            beyond = "lt" if self.ordering.startswith("-") else "gt"
            queryset = queryset.filter(**{f"{self.column}__{beyond}": self._value(after, queryset.model)})
        rows = list(queryset.order_by(self.ordering)[: limit + 1])
        self.next = self._cursor(rows[limit - 1]) if len(rows) > limit else None
        return rows[:limit]

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "next": self.next})

    def _limit(self, request: Request) -> int:
        text = request.query_params.get("limit", str(self.default_limit))
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= self.max_limit):
            message = f"“{text[:50]}” is not a whole number from 1 to {self.max_limit}."
            raise ValidationError({"limit": message}, code="limit_invalid")
        return int(text)

    def _cursor(self, row: Model) -> str:
        field = row._meta.get_field(self.column)
        assert isinstance(field, Field)
        token = json.dumps([self.ordering, field.value_to_string(row)], separators=(",", ":"))
        return urlsafe_b64encode(token.encode()).decode().rstrip("=")

    def _value(self, cursor: str, model: type[Model]) -> Any:
        """What the cursor holds; a cursor of another list, or none at all, is refused."""
        field = model._meta.get_field(self.column)
        try:
            ordering, text = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            if ordering != self.ordering or not isinstance(text, str) or "\0" in text:
                raise ValueError
            assert isinstance(field, Field)
            return field.to_python(text)
        except (
            Base64Error,
            ValueError,
            TypeError,
            ModelValidationError,
            RecursionError,
        ):
            message = "This cursor is not one of this list's; use the value of “next” as it was answered."
            raise ValidationError({"after": message}, code="cursor_invalid") from None

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["data", "next"],
            "properties": {
                "data": schema,
                "next": {
                    "type": "string",
                    "nullable": True,
                    "description": "Pass it as “after” to read on; null at the end.",
                },
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [
            {
                "name": "after",
                "in": "query",
                "required": False,
                "description": "The cursor at which to read on: “next” of the page before.",
                "schema": {"type": "string"},
            },
            {
                "name": "limit",
                "in": "query",
                "required": False,
                "description": "How many rows at most.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": self.max_limit,
                    "default": self.default_limit,
                },
            },
        ]
