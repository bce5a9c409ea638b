"""From one event to the quantities that a meter reads from it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from billing_site.foundation.money import EXACT
from meters.aggregation import NOT_ROUNDED, Aggregation, Keeps, Rounding
from meters.values import MAX_TEXT, Unfit, as_number, as_text, check_quantity, lookup

OWN_VALUE = "value"
ONE = Decimal(1)


class Operator(StrEnum):
    ONE_OF = "one_of"
    NONE_OF = "none_of"
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True)
class Condition:
    """A missing property is none of anything and one of nothing."""

    property: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def holds(self, properties: Mapping[str, Any]) -> bool:
        value = lookup(properties, self.property)
        if self.operator is Operator.PRESENT:
            return value is not None
        if self.operator is Operator.ABSENT:
            return value is None
        return (as_text(value) in self.values) == (self.operator is Operator.ONE_OF)


@dataclass(frozen=True)
class Value:
    """Where a quantity stands; `property` empty: the event's own value. `label` empty: the only one.

    `plus`: further properties that are added to it, so that one event gives input, output and their total.
    """

    label: str
    property: str
    plus: tuple[str, ...] = ()


_OWN = (Value("", ""),)


@dataclass(frozen=True)
class DimensionSource:
    name: str
    property: str


@dataclass(frozen=True)
class Definition:
    """A meter as values. `dimensions`: those that are recorded, in order.

    `recurring`: the level at the end of a period is the level at the start of the next. `generation`: of the series
    that hold its usage.
    """

    id: int
    code: str
    event_type: str
    aggregation: Aggregation
    conditions: tuple[Condition, ...] = ()
    values: tuple[Value, ...] = ()
    label_dimension: str = ""
    dimensions: tuple[DimensionSource, ...] = ()
    rounding: Rounding = NOT_ROUNDED
    recurring: bool = False
    generation: int = 1


class Quantity(NamedTuple):
    """What one event adds at one combination of dimension values; `dimensions` are (name, value) in order of name.

    `text`: the value as a meter of unique values tells it apart, which counts it as one; empty for other meters.
    """

    dimensions: tuple[tuple[str, str], ...]
    quantity: Decimal
    text: str = ""


def quantities(
    definition: Definition, value: Decimal | None, properties: Mapping[str, Any], *, strict: bool = False
) -> list[Quantity]:
    """What the event adds to the meter: nothing when a condition does not hold or the value is missing or no number.

    `strict` raises Unfit for a number that is too large or too precise and for a dimension value that is too long, so
    that the sender learns of it. Otherwise, for events stored before the meter read them, the number adds nothing, and
    the value is absent.
    """
    if not all(condition.holds(properties) for condition in definition.conditions):
        return []
    unique = definition.aggregation.keeps is Keeps.VALUES
    found = (_texts if unique else _numbers)(definition, value, properties, strict=strict)
    if not found:
        return []
    base = _dimensions(definition, properties, strict=strict)
    return [Quantity(_labelled(base, definition.label_dimension, label), *read) for label, *read in found]


@lru_cache(maxsize=10_000)
def _labelled(base: tuple[tuple[str, str], ...], dimension: str, label: str) -> tuple[tuple[str, str], ...]:
    """The values in order of name, the label's among them. Few combinations come again and again."""
    return tuple(sorted([*base, (dimension, label)] if label else base))


def _numbers(
    definition: Definition, value: Decimal | None, properties: Mapping[str, Any], *, strict: bool
) -> list[tuple[str, Decimal]]:
    found = []
    for source in definition.values or _OWN:
        number = as_number(lookup(properties, source.property)) if source.property else value
        if number is None and not source.property:
            number = definition.aggregation.absent
        if source.plus:
            number = _added(number, source.plus, properties)
        if number is None:
            continue
        try:
            check_quantity(number, _field(source))
        except Unfit:
            if strict:
                raise
            continue
        found.append((source.label, number))
    return found


def _added(number: Decimal | None, names: Iterable[str], properties: Mapping[str, Any]) -> Decimal | None:
    """The sum of what is there; None when nothing is."""
    for name in names:
        other = as_number(lookup(properties, name))
        if other is not None:
            number = other if number is None else EXACT.add(number, other)
    return number


def _texts(
    definition: Definition, value: Decimal | None, properties: Mapping[str, Any], *, strict: bool
) -> list[tuple[str, Decimal, str]]:
    found = []
    for source in definition.values or _OWN:
        text = as_text(lookup(properties, source.property) if source.property else value)
        if not text:
            continue
        if len(text) <= MAX_TEXT:
            found.append((source.label, ONE, text))
        elif strict:
            raise Unfit(
                "value_too_long",
                f"{_field(source)} has {len(text)} characters and is told apart by the meter “{definition.code}”: at "
                f"most {MAX_TEXT} are taken. Send a short id.",
                _field(source),
            )
    return found


def _field(source: Value) -> str:
    return f"properties.{source.property}" if source.property else OWN_VALUE


def _dimensions(definition: Definition, properties: Mapping[str, Any], *, strict: bool) -> tuple[tuple[str, str], ...]:
    found = []
    for dimension in definition.dimensions:
        text = as_text(lookup(properties, dimension.property))
        if text is None:
            continue
        if len(text) <= MAX_TEXT:
            found.append((dimension.name, text))
        elif strict:
            raise Unfit(
                "dimension_too_long",
                f"properties.{dimension.property} has {len(text)} characters and is the dimension “{dimension.name}” "
                f"of the meter “{definition.code}”: at most {MAX_TEXT} are taken. Send a short name.",
                f"properties.{dimension.property}",
            )
    return tuple(found)
