"""From one event to the quantities that a meter reads from it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from billing_site.foundation.money import EXACT
from meters.events.values import MAX_TEXT, MAX_WHOLE_DIGITS, Unfit, as_number, as_text, check_quantity, lookup
from meters.measuring.aggregation import NOT_ROUNDED, Aggregation, Keeps, Rounding
from meters.measuring.bands import Band

OWN_VALUE = "value"
# Whole numbers below it are always a quantity: see `check_quantity`.
MOST = 10**MAX_WHOLE_DIGITS


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


OWN = (Value("", ""),)


@dataclass(frozen=True)
class DimensionSource:
    name: str
    property: str


@dataclass(frozen=True)
class Definition:
    """A meter as values. `dimensions`: those that are recorded, in order; `bands`: those that are derived.

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
    bands: tuple[Band, ...] = ()


class Quantity(NamedTuple):
    """What one event adds at one combination of dimension values; `dimensions` are (name, value) in order of name.

    `text`: the value as a meter of unique values tells it apart, which counts it as one; empty for other meters.
    """

    dimensions: tuple[tuple[str, str], ...]
    quantity: Decimal
    text: str = ""


Dimensions = tuple[tuple[str, str], ...]
"""(name, value), as the meter has them in order, the label not among them."""
Found = tuple[str, int | Decimal, str]
"""Label, number, text. Whole numbers stay as they are: adding them up is exact, and much faster."""


def quantities(
    definition: Definition, value: Decimal | None, properties: Mapping[str, Any], *, strict: bool = False
) -> list[Quantity]:
    """What the event adds to the meter: nothing when a condition does not hold or the value is missing or no number.

    `strict` raises Unfit for a number that is too large or too precise and for a dimension value that is too long, so
    that the sender learns of it. Otherwise, for events stored before the meter read them, the number adds nothing, and
    the value is absent.
    """
    base, found = read(definition, value, properties, strict=strict)
    name = definition.label_dimension
    return [Quantity(labelled(base, name, label), Decimal(number), text) for label, number, text in found]


def read(
    definition: Definition, value: Decimal | None, properties: Mapping[str, Any], *, strict: bool
) -> tuple[Dimensions, list[Found]]:
    """What `quantities` tells, with the dimensions that all labels share told once: what ingestion counts by."""
    for condition in definition.conditions:
        if not condition.holds(properties):
            return (), []
    unique = definition.aggregation.keeps is Keeps.VALUES
    found = (_texts if unique else _numbers)(definition, value, properties, strict=strict)
    return (_dimensions(definition, properties, strict=strict) if found else ()), found


@lru_cache(maxsize=10_000)
def labelled(base: Dimensions, dimension: str, label: str) -> Dimensions:
    """The values in order of name, the label's among them. Few combinations come again and again."""
    return tuple(sorted([*base, (dimension, label)] if label else base))


def _numbers(
    definition: Definition, value: Decimal | None, properties: Mapping[str, Any], *, strict: bool
) -> list[Found]:
    found: list[Found] = []
    for source in definition.values or OWN:
        name = source.property
        sent: Any = properties.get(name) if name else value  # nearly always there, which spares a call
        if sent is None and name:
            sent = lookup(properties, name)
        if type(sent) is int and -MOST < sent < MOST and not source.plus:
            found.append((source.label, sent, ""))
            continue
        try:
            number = _number(definition, source, sent, properties)
        except Unfit:
            if strict:
                raise
            continue
        if number is not None:
            found.append((source.label, number, ""))
    return found


def _number(definition: Definition, source: Value, sent: Any, properties: Mapping[str, Any]) -> Decimal | None:
    """The sum of what is there; None when nothing is. Each is checked before it is added, so that the sum is exact."""
    number = as_number(sent)
    if number is None and not source.property:
        number = definition.aggregation.absent
    if number is not None:
        check_quantity(number, _field(source))
    for name in source.plus:
        other = as_number(lookup(properties, name))
        if other is not None:
            check_quantity(other, f"properties.{name}")
            number = other if number is None else EXACT.add(number, other)
    if number is not None and source.plus:
        check_quantity(number, _field(source))
    return number


def _texts(
    definition: Definition, value: Decimal | None, properties: Mapping[str, Any], *, strict: bool
) -> list[Found]:
    found: list[Found] = []
    for source in definition.values or OWN:
        text = as_text(lookup(properties, source.property) if source.property else value)
        if not text:
            continue
        if len(text) <= MAX_TEXT:
            found.append((source.label, 1, text))
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


def _dimensions(definition: Definition, properties: Mapping[str, Any], *, strict: bool) -> Dimensions:
    found = []
    for dimension in definition.dimensions:
        sent = properties.get(dimension.property)
        if sent is None:
            sent = lookup(properties, dimension.property)
        text = sent if type(sent) is str else as_text(sent)
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
    for band in definition.bands:
        name = band.value(properties)
        if name is not None:
            found.append((band.name, name))
    return tuple(found)
