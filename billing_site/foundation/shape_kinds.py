"""What stands in a field of a shape: texts, numbers, choices, lists, objects by name. Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from billing_site.foundation.errors import Fault
from billing_site.foundation.shapes import Gathering, Kind, Simple, Unreadable, at, shown

# Longer texts are no number, nor is one of so many digits when it is written out: reading them would cost for nothing.
MAX_DIGITS = 80


def storable(text: str) -> bool:
    """PostgreSQL stores neither a zero character nor half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def text(given: Any, place: str) -> str:
    """A text as it is, blanks included. Raises Unreadable."""
    if not isinstance(given, str):
        raise Unreadable([Fault("text_invalid", f"{shown(given)} is not a text: put it in quotes.", place)])
    if not storable(given):
        message = "It holds a zero character, or half of a character, which cannot be stored: leave it out."
        raise Unreadable([Fault("text_invalid", message, place)])
    return given


def number(given: Any, place: str) -> Decimal:
    """A decimal that was sent as text, or as a whole number. Raises Unreadable."""
    written = str(given).strip() if isinstance(given, (str, int, Decimal)) and not isinstance(given, bool) else ""
    try:
        if written and len(written) <= MAX_DIGITS and "_" not in written and written.isascii():
            read = Decimal(written)
            if read.is_finite() and abs(read.adjusted()) <= MAX_DIGITS:
                return read
    except InvalidOperation:
        pass
    message = f"{shown(given)} is not a number: send one as text, for example “0.00001”."
    raise Unreadable([Fault("number_invalid", message, place)])


def yes_or_no(given: Any, place: str) -> bool:
    if not isinstance(given, bool):
        raise Unreadable([Fault("boolean_invalid", f"{shown(given)} is neither true nor false.", place)])
    return given


TEXT = Simple(text, {"type": "string"})
NUMBER = Simple(number, {"oneOf": [{"type": "string"}, {"type": "integer"}]})
YES_OR_NO = Simple(yes_or_no, {"type": "boolean"})


def whole_number(least: int, most: int) -> Simple:
    def read(given: Any, place: str) -> int:
        if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
            message = f"{shown(given)} is not a whole number from {least:,} to {most:,}."
            raise Unreadable([Fault("number_invalid", message, place)])
        return given

    return Simple(read, {"type": "integer", "minimum": least, "maximum": most})


def choice(known: Iterable[str]) -> Simple:
    """One of some texts."""
    values = [str(each) for each in known]

    def read(given: Any, place: str) -> str:
        if given not in values:
            close = get_close_matches(str(given)[:100], values, n=1)
            mend = f"did you mean “{close[0]}”?" if close else f"use one of {', '.join(filter(None, values))}."
            raise Unreadable([Fault("choice_unknown", f"{shown(given)} is not possible here: {mend}", place)])
        return str(given)

    return Simple(read, {"type": "string", "enum": values})


def list_of(kind: Kind) -> Simple:
    """A list, read into a tuple."""

    def read(given: Any, place: str) -> tuple[Any, ...]:
        if not isinstance(given, list):
            message = f"{shown(given)} is not a list: put it in square brackets."
            raise Unreadable([Fault("list_invalid", message, place)])
        gathering = Gathering()
        values = tuple(gathering.read(kind.read, each, at(place, index)) for index, each in enumerate(given))
        gathering.done()
        return values

    return Simple(read, {"type": "array", "items": kind.schema()})


def by_name(kind: Kind, what: str) -> Simple:
    """An object whose names are up to who writes it: codes, currencies. `what`: what stands under each of them."""

    def read(given: Any, place: str) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            message = f"{shown(given)} is not an object of {what}: put it in braces."
            raise Unreadable([Fault("object_invalid", message, place)])
        gathering = Gathering()
        for name in given:
            gathering.read(text, name, at(place, name))
        values = {str(name): gathering.read(kind.read, each, at(place, name)) for name, each in given.items()}
        gathering.done()
        return values

    return Simple(read, {"type": "object", "additionalProperties": kind.schema()})
