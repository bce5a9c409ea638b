"""What the OpenAPI document says of every operation alike: the API key, its scope, its Idempotency-Key, its errors."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from billing_site.foundation import idempotency
from billing_site.foundation.authentication import HasScope, required_scope

ERRORS = "Errors"
ERRORS_SCHEMA = {
    "type": "object",
    "required": ["errors"],
    "properties": {
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["code", "message", "field"],
                "properties": {
                    "code": {
                        "type": "string",
                        "description": "For programs; stays the same.",
                    },
                    "message": {
                        "type": "string",
                        "description": "For people: what is wrong, and how to mend it.",
                    },
                    "field": {
                        "type": "string",
                        "description": "Which input; empty when it is the whole.",
                    },
                },
            },
        }
    },
}
KEY_PARAMETER = {
    "name": idempotency.HEADER,
    "in": "header",
    "required": True,
    "description": "A value of your own, new for every new request, for example a UUID.",
    "schema": {"type": "string", "minLength": 1, "maxLength": idempotency.MAX_KEY},
}
EVERYWHERE = {
    "400": "A parameter is unknown, or has the wrong form.",
    "401": "The API key is missing, unknown, expired or revoked.",
    "403": "The API key lacks the scope.",
    "503": "The database is away or busy; Retry-After says when to send the request again.",
}
WRITES = {
    "400": "The request cannot be read, or a value has the wrong form.",
    "409": "The Idempotency-Key was used for another request or is in use, or the state of things forbids it.",
    "422": "What the request asks for is refused; nothing was changed.",
}
ONE = {"404": "There is no such thing."}


class ApiSchema(AutoSchema):
    """DRF's schema class for every view of the API."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None or HasScope not in self.view.permission_classes:
            return operation
        scope = required_scope(self.view, self.method)
        operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()
        if self._is_idempotent():
            operation.setdefault("parameters", []).append(KEY_PARAMETER)
        self._add_errors(operation["responses"])
        return operation

    def _is_list_view(self, serializer: Any = None) -> bool:
        """A list is also what a view with pages answers by itself."""
        pages = getattr(self.view, "pagination_class", None) is not None and "{" not in self.path
        return (self.method == "GET" and pages) or bool(super()._is_list_view(serializer))

    def _is_idempotent(self) -> bool:
        return isinstance(self.view, idempotency.IdempotentWrites) and self.method in idempotency.WRITES

    def _add_errors(self, responses: dict[str, Any]) -> None:
        errors = dict(EVERYWHERE)
        if self.method in idempotency.WRITES:
            errors |= WRITES
        if "{" in self.path:
            errors |= ONE
        errors |= getattr(self.view, "further_errors", {})
        for status, description in errors.items():
            responses.setdefault(status, self._errors_response(description))

    def _errors_response(self, description: str) -> dict[str, Any]:
        component = ResolvedComponent(
            name=ERRORS,
            type=ResolvedComponent.SCHEMA,
            object=ERRORS,
            schema=ERRORS_SCHEMA,
        )
        self.registry.register_on_missing(component)
        return {
            "description": description,
            "content": {"application/json": {"schema": component.ref}},
        }


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How a caller says who it is."""

    target_class = "billing_site.foundation.authentication.ApiKeyAuthentication"
    name = "ApiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "tb_<prefix>_<secret>",
            "description": "An API key, made in the admin under Access. Each operation names the scope it needs.",
        }
