"""What meters read from events that are there, for people."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from billing_site.foundation.money import grouped
from meters.database import fetch
from meters.events.exact_json import from_text
from meters.measuring.aggregation import Keeps
from meters.measuring.counting import COUNTED
from meters.measuring.extraction import Definition, quantities

EVENTS = 10

# The latest customers of the type, and each one's latest events by the index event_customer_type_time.
_LATEST = """
    SELECT event.id, event.customer, event.reference, event.timestamp, event.value, event.status, event.properties::text
    FROM (SELECT customer, type FROM meters_stream WHERE type = %b ORDER BY id DESC LIMIT %b) AS stream
    CROSS JOIN LATERAL (
        SELECT * FROM meters_event AS latest
        WHERE latest.customer = stream.customer AND latest.type = stream.type
            AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = latest.id)
        ORDER BY latest.timestamp DESC LIMIT %b
    ) AS event
    ORDER BY event.timestamp DESC, event.id DESC
    LIMIT %b
"""

# By the indexes stream_once and event_customer_type_time, and never more than so many.
_THERE = """
    SELECT count(*), (SELECT min(first_seen_at) FROM meters_stream WHERE type = %b) FROM (
        SELECT FROM meters_stream AS stream
        CROSS JOIN LATERAL (
            SELECT FROM meters_event AS event
            WHERE event.customer = stream.customer AND event.type = stream.type
                AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = event.id)
        ) AS one
        WHERE stream.type = %b
        LIMIT %b
    ) AS found
"""
MANY = 100_000


@dataclass(frozen=True)
class Preview:
    """One event, and what a meter reads from it: quantities with their dimension values, or why there are none."""

    id: int
    customer: str
    reference: str
    timestamp: datetime
    read: list[str]
    reason: str


def latest(definition: Definition) -> list[Preview]:
    """The latest events of the meter's type, latest first. One query, of few rows."""
    found = fetch(_LATEST, definition.event_type, EVENTS, EVENTS, EVENTS)
    return [
        Preview(key, customer, reference, timestamp, *reading(definition, value, status, from_text(properties)))
        for key, customer, reference, timestamp, value, status, properties in found
    ]


@dataclass(frozen=True)
class Stored:
    """How many events of a type there are, in words, empty for none; and when the first of them came."""

    events: str
    plural: str
    since: datetime | None


def there(event_type: str) -> Stored:
    """What a meter of this type is counted over when it is made or changed. One query."""
    [(events, since)] = fetch(_THERE, event_type, event_type, MANY)
    words = f"{events:,}" if events < MANY else f"{MANY:,} or more"
    return Stored(words if events else "", "" if events == 1 else "s", since)


def reading(
    definition: Definition, value: Decimal | None, status: str, properties: dict[str, Any]
) -> tuple[list[str], str]:
    """What the meter reads, in words; or nothing, and why."""
    if status != COUNTED:
        return [], "The event failed: it is never counted."
    found = quantities(definition, value, properties)
    if found:
        return [f"{each.text or grouped(each.quantity)} {_dimensions(each.dimensions)}".strip() for each in found], ""
    if not all(condition.holds(properties) for condition in definition.conditions):
        return [], "A filter does not hold."
    wanted = ", ".join(name for source in definition.values for name in (source.property or "value", *source.plus))
    what = "value" if definition.aggregation.keeps is Keeps.VALUES else "number"
    return [], f"There is no {what} in: {wanted or 'value'}."


def _dimensions(dimensions: Iterable[tuple[str, str]]) -> str:
    named = ", ".join(f"{name} = {value}" for name, value in dimensions)
    return f"({named})" if named else ""
