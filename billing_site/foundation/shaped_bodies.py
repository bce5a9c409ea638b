"""Bodies of the API that are read by a `Shape`: as documents are, so that both are refused in the same words."""

import json
from collections.abc import Callable
from typing import Any

from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.metadata import SimpleMetadata
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.settings import api_settings

from billing_site.foundation.shapes import Shape, Unreadable


class StandsTwice(ValueError):
    """An object has a name twice: of one of the two nobody would ever hear again."""


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`: refuses a name that stands twice in one object."""
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name in read:
            raise StandsTwice(f"“{name[:100]}” stands twice in one object")
        read[name] = value
    return read


class WholeJSONParser(JSONParser):
    """JSON of which nothing is dropped without a word."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return json.loads(stream.read().decode("utf-8"), object_pairs_hook=once_each, parse_constant=_refused)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"JSON parse error - {str(error)[:200]}") from None


class WithoutForms(SimpleMetadata):
    """What OPTIONS answers: nothing of bodies, which shapes read and the OpenAPI document tells."""

    def determine_actions(self, request: Request, view: Any) -> dict[str, Any]:
        return {}


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def body(read: Callable[[Any], Any], request: Request) -> Any:
    """What the shape's `read` or `read_some` makes of the body; 400 with every fault when it cannot be read."""
    try:
        return read(request.data)
    except Unreadable as error:
        raise unreadable(error) from None


def unreadable(error: Unreadable) -> ValidationError:
    """The answer to what cannot be read, with every fault at its place."""
    faults: dict[str, list[ErrorDetail]] = {}
    for fault in error.faults:
        place = fault.field or api_settings.NON_FIELD_ERRORS_KEY
        faults.setdefault(place, []).append(ErrorDetail(fault.message, fault.code))
    return ValidationError(faults)


def json_body(shape: Shape, *, whole: bool = True) -> dict[str, Any]:
    """For `extend_schema(request=…)`."""
    return {"application/json": shape.schema(whole=whole)}
