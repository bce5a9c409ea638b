"""Events that a meter takes by its filter and cannot count: the value is missing, or is no number."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from meters import registry
from meters.counting import COUNTED
from meters.database import fetch
from meters.exact_json import from_text
from meters.extraction import OWN_VALUE, Definition, quantities
from meters.values import Unfit, as_number, check_quantity, lookup

LATEST = 10_000
_NOT_NUMBERS = ("unique_count",)

# The end of the primary key, so that it costs the same however many events there are.
_LATEST = """
    SELECT id, customer, reference, type, value, properties::text
    FROM meters_event AS event
    WHERE id > (SELECT max(id) FROM meters_event) - %b AND status = %b AND type = ANY(%b::text[])
        AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = event.id)
    ORDER BY id DESC
"""


@dataclass
class Unread:
    """Events of one meter and property with one fault, and the latest of them."""

    meter: Definition
    property: str
    fault: str
    events: int
    customers: set[str]
    event: int
    reference: str


def latest() -> list[Unread]:
    """Among the latest 10,000 events, what meters could not read, most events first. One query of bounded rows."""
    by_type = registry.current().by_type
    found: dict[tuple[int, str, str], Unread] = {}
    for key, customer, reference, kind, value, properties in fetch(_LATEST, LATEST, COUNTED, list(by_type)):
        read = from_text(properties)
        for definition in by_type[kind]:
            for name, fault in faults(definition, value, read):
                row = found.setdefault(
                    (definition.id, name, fault), Unread(definition, name, fault, 0, set(), key, reference)
                )
                row.events += 1
                row.customers.add(customer)
    return sorted(found.values(), key=lambda row: (-row.events, row.meter.code, row.property))


def faults(definition: Definition, value: Decimal | None, properties: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(property, what is wrong) for what the meter wants of this event and cannot read. Pure.

    One of several labelled values may be missing: not every call has every kind of token. All of them may not.
    """
    if not all(condition.holds(properties) for condition in definition.conditions):
        return
    wanted = [source.property for source in definition.values] or [""]
    if definition.aggregation.key not in _NOT_NUMBERS:
        yield from _bad(wanted, properties)
    if quantities(definition, value, properties) or any(_found(name, value, properties) for name in wanted):
        return
    yield ", ".join(name or OWN_VALUE for name in wanted), "missing"


def _bad(wanted: Iterable[str], properties: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in wanted:
        held = lookup(properties, name) if name else None
        if held is None:
            continue
        number = as_number(held)
        if number is None:
            yield name, "not a number"
            continue
        try:
            check_quantity(number, name)
        except Unfit as fault:
            yield name, fault.code.removeprefix("value_").replace("_", " ")


def _found(name: str, value: Decimal | None, properties: dict[str, Any]) -> bool:
    return (lookup(properties, name) if name else value) is not None
