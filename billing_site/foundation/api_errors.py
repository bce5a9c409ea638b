"""Every error of the API in one shape: `{"errors": [{"code", "message", "field"}]}`.

`code` is for programs and stays the same; `message` is for people; `field` names the input at fault, with dots into
nested ones ("rows.0.unit_price"), and is "" when it is about the whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog
from django.core.exceptions import (
    NON_FIELD_ERRORS,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.exceptions import ValidationError as ModelValidationError
from django.core.signals import got_request_exception
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404
from django.http.request import RawPostDataException, UnreadablePostError
from rest_framework import exceptions, status
from rest_framework.fields import CharField, Field
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from billing_site.foundation.errors import Fault, Refused

logger = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS = 5
# SQLSTATE classes in which the database is fine but somebody else was in the way: deadlock, lock or statement timeout.
BUSY = ("40", "55P03", "57014")

_STOCK = {
    str(Field.default_error_messages["required"]): "is missing: send it.",
    str(Field.default_error_messages["null"]): "is null: send a value.",
    str(CharField.default_error_messages["blank"]): "is empty: write something.",
}

DATABASE_AWAY = Fault(
    "database_unavailable",
    "The database cannot be reached at the moment; it is safe to send the same request again.",
)
DATABASE_BUSY = Fault("busy", "Too much is going on at once; it is safe to send the same request again.")
INTERNAL = Fault(
    "internal_error",
    "Something went wrong on our side and has been logged; it is safe to send the same request again.",
)


def handle(error: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER: the answer to any exception that a view raises."""
    set_rollback()
    error = _as_api_exception(error)
    if isinstance(error, Refused):
        return answer(error.faults, refusal_status(error))
    if isinstance(error, exceptions.APIException):
        return answer(list(_faults(_told(error, context))), error.status_code, _headers(error))
    if isinstance(error, (OperationalError, InterfaceError)):
        return _database_answer(error)
    # What Django sends for an exception that nobody handled: it is logged with its traceback, and a test client raises
    # it.
    got_request_exception.send(sender=None, request=context["request"]._request)  # noqa: SLF001
    return answer([INTERNAL], status.HTTP_500_INTERNAL_SERVER_ERROR)


def answer(faults: Sequence[Fault], status_code: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body(faults), status=status_code, headers=headers)


def body(faults: Sequence[Fault]) -> dict[str, list[dict[str, str]]]:
    return {"errors": [{"code": fault.code, "message": fault.message, "field": fault.field} for fault in faults]}


def refusal_status(refused: Refused) -> int:
    """409 when a fault is about the state of something else (its code is or ends in "conflict"); otherwise 422."""
    conflict = any(fault.code == "conflict" or fault.code.endswith("_conflict") for fault in refused.faults)
    return status.HTTP_409_CONFLICT if conflict else status.HTTP_422_UNPROCESSABLE_ENTITY


class BodyTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"
    default_detail = "The body is larger than this server takes."


def _as_api_exception(error: Exception) -> Exception:
    """Django's own exceptions, as DRF's."""
    if isinstance(error, Http404):
        return exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        return exceptions.PermissionDenied()
    if isinstance(error, ModelValidationError):
        return exceptions.ValidationError(_model_detail(error))
    if isinstance(error, RequestDataTooBig):
        return BodyTooLarge()
    if isinstance(error, (SuspiciousOperation, UnreadablePostError, RawPostDataException)):
        return exceptions.ParseError("The request could not be read.")
    return error


def _told(error: exceptions.APIException, context: Mapping[str, Any]) -> exceptions.APIException:
    """DRF's own errors with what to do about them; their codes stay."""
    view, request = context.get("view"), context.get("request")
    if isinstance(error, exceptions.NotAuthenticated):
        error.detail = _detail(error, "Send an API key in the header “Authorization: Bearer <key>”.")
    elif isinstance(error, exceptions.MethodNotAllowed) and view is not None and request is not None:
        offered = ", ".join(method for method in view.allowed_methods if method not in ("HEAD", "OPTIONS"))
        error.detail = _detail(error, f"{request.method} is not offered here, but {offered}.")
    elif isinstance(error, exceptions.ParseError) and str(error.detail).startswith("JSON parse error - "):
        where = str(error.detail).removeprefix("JSON parse error - ")
        error.detail = _detail(error, f"The body is not valid JSON: {where}. Send one JSON object.")
    return error


def _detail(error: exceptions.APIException, message: str) -> exceptions.ErrorDetail:
    return exceptions.ErrorDetail(message, getattr(error.detail, "code", None) or error.default_code)


def _model_detail(error: ModelValidationError) -> dict[str, Any] | list[Any]:
    if not hasattr(error, "error_dict"):
        return [exceptions.ErrorDetail(each.messages[0], each.code or "invalid") for each in error.error_list]
    return {
        name: [exceptions.ErrorDetail(each.messages[0], each.code or "invalid") for each in errors]
        for name, errors in error.error_dict.items()
    }


def _faults(error: exceptions.APIException) -> Iterator[Fault]:
    if isinstance(error.detail, (list, dict)):
        yield from _flatten(error.detail, "")
    else:
        yield Fault(getattr(error.detail, "code", None) or error.default_code, str(error.detail))


def _flatten(detail: Any, field: str) -> Iterator[Fault]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            whole = name in (api_settings.NON_FIELD_ERRORS_KEY, NON_FIELD_ERRORS)
            yield from _flatten(inner, field if whole else f"{field}.{name}".lstrip("."))
    elif isinstance(detail, list):
        nested = any(isinstance(inner, (dict, list)) for inner in detail)
        for index, inner in enumerate(detail):
            yield from _flatten(inner, f"{field}.{index}".lstrip(".") if nested else field)
    else:
        yield Fault(getattr(detail, "code", None) or "invalid", _in_words(str(detail), field), field)


def _in_words(message: str, field: str) -> str:
    """DRF's words for a field that was left out or left empty name neither it nor what to do."""
    mend = _STOCK.get(message)
    return f"“{field.rpartition('.')[2]}” {mend}" if mend and field else message


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if auth_header := getattr(error, "auth_header", None):
        refused = isinstance(error, exceptions.AuthenticationFailed)
        headers["WWW-Authenticate"] = f'{auth_header}, error="invalid_token"' if refused else auth_header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return headers


def _database_answer(error: DatabaseError | InterfaceError) -> Response:
    sqlstate = getattr(error.__cause__, "sqlstate", None) or ""
    fault = DATABASE_BUSY if sqlstate.startswith(BUSY) else DATABASE_AWAY
    # The driver's message may name hosts and statements: it goes to the log, never to the caller.
    logger.warning(
        "database_error_answered",
        code=fault.code,
        sqlstate=sqlstate,
        error=type(error.__cause__).__name__,
    )
    return answer(
        [fault],
        status.HTTP_503_SERVICE_UNAVAILABLE,
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )
