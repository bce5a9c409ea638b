"""The shape of JSON that people and programs write: what it may hold, read with every fault at once. Pure.

A `Shape` is an object of known fields. It reads JSON into Python values or raises Unreadable with all that is wrong,
each fault at its place, such as “charges.tokens.rows.3.unit_price”; and it tells itself as a schema of OpenAPI 3.0,
so that what is documented is what is read.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, Protocol

from billing_site.foundation.errors import Fault

# Longer texts are no number, nor is one of so many digits when it is written out: reading them would cost for nothing.
MAX_DIGITS = 80


class Unreadable(Exception):
    """What was sent cannot be read; `faults` say why, each at its place. Never empty."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


class Gathering:
    """Reads one value after the other, and keeps what is wrong with any until `done`."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def read(self, read: Callable[[Any, str], Any], given: Any, place: str) -> Any:
        """What was read; None when it could not be."""
        try:
            return read(given, place)
        except Unreadable as error:
            self.faults += error.faults
            return None

    def done(self) -> None:
        if self.faults:
            raise Unreadable(self.faults)


class Kind(Protocol):
    """How one value is read, and what it is in a schema."""

    def read(self, given: Any, place: str) -> Any:
        """The value. Raises Unreadable."""

    def schema(self) -> dict[str, Any]:
        """As OpenAPI 3.0 says it."""


@dataclass(frozen=True)
class Simple:
    """A kind made of a function, and of what it is in a schema."""

    function: Callable[[Any, str], Any]
    said: Mapping[str, Any]

    def read(self, given: Any, place: str) -> Any:
        return self.function(given, place)

    def schema(self) -> dict[str, Any]:
        return dict(self.said)


REQUIRED: Any = object()


@dataclass(frozen=True)
class Field:
    """`default`: the value of a field that is left out; REQUIRED: it cannot be. `nullable`: null is a value."""

    kind: Kind
    help: str = ""
    default: Any = REQUIRED
    nullable: bool = False

    def schema(self) -> dict[str, Any]:
        said = self.kind.schema()
        if self.nullable and "oneOf" in said:
            first, *others = said["oneOf"]
            said["oneOf"] = [{**first, "nullable": True}, *others]
        elif self.nullable:
            said["nullable"] = True
            if "enum" in said:
                said["enum"] = [*said["enum"], None]
        return {**said, "description": self.help} if self.help else said


@dataclass(frozen=True)
class Shape:
    """An object. `what`: how people call it, “A charge”. `only_read`: names that answers have and nobody writes."""

    what: str
    fields: Mapping[str, Field]
    only_read: Mapping[str, str] = field(default_factory=dict)

    def read(self, given: Any, place: str = "") -> dict[str, Any]:
        """Every field, those that are left out by their default. Raises Unreadable."""
        return self._read(given, place, whole=True)

    def read_some(self, given: Any, place: str = "") -> dict[str, Any]:
        """The fields that are given, to change those alone. Raises Unreadable."""
        return self._read(given, place, whole=False)

    def _read(self, given: Any, place: str, *, whole: bool) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            message = f"{self.what} is a JSON object, in braces; {shown(given)} is none."
            raise Unreadable([Fault("object_invalid", message, place)])
        gathering, values = Gathering(), {}
        gathering.faults += [self._misplaced(name, place) for name in given if name not in self.fields]
        for name, each in self.fields.items():
            if name in given:
                values[name] = gathering.read(_nullable(each), given[name], at(place, name))
            elif whole and each.default is REQUIRED:
                message = f"{self.what} needs “{name}”. {each.help}".strip()
                gathering.faults.append(Fault("required", message, at(place, name)))
            elif whole:
                values[name] = each.default
        gathering.done()
        return values

    def _misplaced(self, name: str, place: str) -> Fault:
        if name in self.only_read:
            return Fault("field_read_only", f"“{name}” {self.only_read[name]}: leave it out.", at(place, name))
        close = get_close_matches(name[:100], self.fields, n=1)
        mend = f"did you mean “{close[0]}”?" if close else f"it has {', '.join(self.fields)}."
        return Fault("field_unknown", f"{self.what} has no “{name[:100]}”: {mend}", at(place, name))

    def schema(self, *, whole: bool = True) -> dict[str, Any]:
        said: dict[str, Any] = {"type": "object", "additionalProperties": False}
        required = [name for name, each in self.fields.items() if each.default is REQUIRED]
        if whole and required:
            said["required"] = required
        return {**said, "properties": {name: each.schema() for name, each in self.fields.items()}}

    def without(self, *names: str, only_read: Mapping[str, str] | None = None) -> "Shape":
        """The same but for some fields, of which `only_read` says why they cannot be written."""
        fields = {name: each for name, each in self.fields.items() if name not in names}
        return Shape(self.what, fields, {**self.only_read, **(only_read or {})})

    def with_kinds(self, **kinds: Kind) -> "Shape":
        """The same, but that some fields are read otherwise."""
        fields = {name: replace(each, kind=kinds.get(name, each.kind)) for name, each in self.fields.items()}
        return Shape(self.what, fields, self.only_read)


def _nullable(each: Field) -> Callable[[Any, str], Any]:
    def read(given: Any, place: str) -> Any:
        if given is not None:
            return each.kind.read(given, place)
        if each.nullable:
            return None
        name = place.rpartition(".")[2]
        raise Unreadable([Fault("null", f"“{name}” cannot be null: give it a value, or leave it out.", place)])

    return read


def at(place: str, name: object) -> str:
    """The place of a name, or of an index, within another place."""
    return f"{place}.{name}" if place else str(name)


def shown(given: Any) -> str:
    """What was given, for a message."""
    return f"“{str(given)[:60]}”"


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
