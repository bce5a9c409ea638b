"""Events that a meter takes by its filter and cannot count whole: a value is missing, or is none that it can read."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from meters.database import fetch
from meters.events.exact_json import from_text
from meters.events.values import MAX_TEXT, Unfit, as_number, as_text, check_quantity, lookup
from meters.measuring import registry
from meters.measuring.aggregation import Keeps
from meters.measuring.counting import COUNTED
from meters.measuring.extraction import OWN_VALUE, Definition, quantities

LATEST = 10_000

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
    sources = [(source.property, *source.plus) for source in definition.values] or [("",)]
    wanted = list(dict.fromkeys(name for names in sources for name in names))
    fault_of = _fault_of_text if definition.aggregation.keeps is Keeps.VALUES else _fault_of_number
    held = {name: lookup(properties, name) if name else value for name in wanted}
    bad = [(name, fault) for name in wanted if held[name] is not None and (fault := fault_of(held[name]))]
    yield from bad
    if not bad and not quantities(definition, value, properties):
        missing = all(each is None for each in held.values())
        yield ", ".join(name or OWN_VALUE for name in wanted), "missing" if missing else "together too large"


def _fault_of_number(held: object) -> str:
    number = as_number(held)
    if number is None:
        return "not a number"
    try:
        check_quantity(number, "")
    except Unfit as fault:
        return fault.code.removeprefix("value_").replace("_", " ")
    return ""


def _fault_of_text(held: object) -> str:
    text = as_text(held)
    if text is None:
        return "not a single value"
    return ("too long" if len(text) > MAX_TEXT else "") if text else "empty"
