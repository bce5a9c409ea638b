"""From one event to the quantities that a meter reads from it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from meters.aggregation import Aggregation
from meters.values import MAX_TEXT, Unfit, as_number, as_text, check_quantity, lookup

OWN_VALUE = "value"


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
    """Where a quantity stands; `property` empty: the event's own value. `label` empty: the only one."""

    label: str
    property: str


@dataclass(frozen=True)
class DimensionSource:
    name: str
    property: str


@dataclass(frozen=True)
class Definition:
    """A meter as values. `dimensions`: those that are recorded, in order."""

    id: int
    code: str
    event_type: str
    aggregation: Aggregation
    conditions: tuple[Condition, ...] = ()
    values: tuple[Value, ...] = ()
    label_dimension: str = ""
    dimensions: tuple[DimensionSource, ...] = ()


class Quantity(NamedTuple):
    """What one event adds at one combination of dimension values; `dimensions` are (name, value) in order of name."""

    dimensions: tuple[tuple[str, str], ...]
    quantity: Decimal


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
    found = _numbers(definition, value, properties, strict=strict)
    if not found:
        return []
    base = _dimensions(definition, properties, strict=strict)
    return [Quantity(_labelled(base, definition.label_dimension, label), number) for label, number in found]


@lru_cache(maxsize=10_000)
def _labelled(base: tuple[tuple[str, str], ...], dimension: str, label: str) -> tuple[tuple[str, str], ...]:
    """The values in order of name, the label's among them. Few combinations come again and again."""
    return tuple(sorted([*base, (dimension, label)] if label else base))


def _numbers(
    definition: Definition, value: Decimal | None, properties: Mapping[str, Any], *, strict: bool
) -> list[tuple[str, Decimal]]:
    found = []
    for source in definition.values or (Value("", ""),):
        number = as_number(lookup(properties, source.property)) if source.property else value
        if number is None and not source.property:
            number = definition.aggregation.absent
        if number is None:
            continue
        try:
            check_quantity(number, f"properties.{source.property}" if source.property else OWN_VALUE)
        except Unfit:
            if strict:
                raise
            continue
        found.append((source.label, number))
    return found


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
