"""Events into their table: all at once by COPY, or, with care, those that are not there."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from meters.database import columns, copy, pipeline, rows, send
from meters.events.exact_json import to_text
from meters.ingestion import event_rows
from meters.measuring import registry
from meters.measuring.preparing import Prepared

_COPY_EVENTS = f"COPY meters_event ({event_rows.COLUMNS}) FROM STDIN (FORMAT BINARY)"
_COPY_EVENTS_IN_ORDER = f"COPY meters_event (id, {event_rows.COLUMNS}) FROM STDIN (FORMAT BINARY)"
# The name is looked up once: in the list of columns it would be again for each row, which costs five times the number.
_NEXT_ID = "nextval((SELECT pg_get_serial_sequence('meters_event', 'id')::regclass))"
_IDS = f"SELECT array_agg(id) FROM (SELECT {_NEXT_ID} AS id FROM generate_series(1, %b)) AS given"  # noqa: S608 - likewise

# Uses the unique index event_once.
_INSERT_EVENTS = """
    INSERT INTO meters_event (customer, reference, type, timestamp, value, status, subscription, properties)
    SELECT customer, reference, type, timestamp, value, status, subscription, properties::jsonb
    FROM unnest(
        %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::numeric[], %b::text[], %b::text[], %b::text[]
    ) AS new (customer, reference, type, timestamp, value, status, subscription, properties)
    ON CONFLICT (customer, reference) WHERE replaces IS NULL DO NOTHING
    RETURNING customer, reference, id
"""
# Likewise, when events at one instant must be told apart: ids are given in the order of the body, which is the order in
# which events were received, and rows are locked in the order of references.
_INSERT_EVENTS_IN_ORDER = f"""
    INSERT INTO meters_event (id, customer, reference, type, timestamp, value, status, subscription, properties)
    SELECT id, customer, reference, type, timestamp, value, status, subscription, properties::jsonb
    FROM (
        SELECT {_NEXT_ID} AS id, sent.*
        FROM (
            SELECT * FROM unnest(
                %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::numeric[], %b::text[], %b::text[],
                %b::text[], %b::int[]
            ) AS sent (customer, reference, type, timestamp, value, status, subscription, properties, place)
            ORDER BY place
        ) AS sent
    ) AS new
    ORDER BY customer COLLATE "C", reference COLLATE "C"
    ON CONFLICT (customer, reference) WHERE replaces IS NULL DO NOTHING
    RETURNING customer, reference, id
"""  # noqa: S608 - made of the constant above

Stored = Mapping[tuple[str, str], int] | None
"""The (customer, reference) of events that were not there, with their ids; None: all, whose ids do not matter."""


def store_all(prepared: Prepared, laid_out: bytes | None, revision: UUID | None) -> tuple[Stored, datetime | None]:
    """Store all events, or raise IntegrityError when one is there already; and until when days are closed.

    `laid_out`: their rows; None where their ids matter. Raises DefinitionsChanged when `revision`, by which the events
    were read, is no longer in force.
    """
    with pipeline():
        in_force = registry.send_shared_lock()
        given = send(_IDS, len(prepared.events), prepare=True) if laid_out is None else None
    closed_until = registry.check(in_force, revision)
    if given is None:
        assert laid_out is not None
        copy(_COPY_EVENTS, laid_out)
        return None, closed_until
    # Ids tell events at one instant apart: they are given in the order of the body, in which events were received.
    [(numbers,)] = rows(given)
    received = ((event.customer, event.reference) for event in prepared.received)
    ids = dict(zip(received, sorted(numbers), strict=True))
    copy(_COPY_EVENTS_IN_ORDER, event_rows.rows(prepared.events, ids))
    return ids, closed_until


def store_new(prepared: Prepared, revision: UUID | None) -> tuple[Stored, datetime | None]:
    """Store the events that are not there; and until when days are closed. Raises as `_store_all` does."""
    table = [
        (
            event.customer,
            event.reference,
            event.type,
            event.timestamp,
            event.value,
            event.status,
            event.subscription,
            to_text(event.properties),
        )
        for event in prepared.events
    ]
    with pipeline():
        in_force = registry.send_shared_lock()
        in_order = prepared.needs_order()
        places = [prepared.places()] if in_order else []
        stored = send(
            _INSERT_EVENTS_IN_ORDER if in_order else _INSERT_EVENTS, *columns(table, 8), *places, prepare=True
        )
    closed_until = registry.check(in_force, revision)
    return {(customer, reference): key for customer, reference, key in rows(stored)}, closed_until
