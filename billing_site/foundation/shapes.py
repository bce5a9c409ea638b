"""The shape of JSON that people and programs write: what it may hold, read with every fault at once. Pure.

A `Shape` is an object of known fields. It reads JSON into Python values or raises Unreadable with all that is wrong,
each fault at its place, such as “charges.tokens.rows.3.unit_price”; and it tells itself as a schema of OpenAPI 3.0,
so that what is documented is what is read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from difflib import get_close_matches
from math import isfinite
from typing import Any, Protocol

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import plain


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
    return f"“{written(given)[:60]}”"


def written(given: Any) -> str:
    """As text; a number as people write it, not “1e-05”."""
    if isinstance(given, float) and isfinite(given):
        return plain(Decimal(repr(given)))
    return str(given)
