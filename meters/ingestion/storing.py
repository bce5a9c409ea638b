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
_COPY_EVENTS_WITH_IDS = f"COPY meters_event (id, {event_rows.COLUMNS}) FROM STDIN (FORMAT BINARY)"
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
# Likewise, when events were received in another order than that of their references, in which rows are locked: ids are
# given as they were received.
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

    Their ids follow the order in which they were received, which tells apart events at one instant. Two batches that
    share events in another order, and come at the same time, are a deadlock: the database ends one of them.

    `laid_out`: their rows; None where it must be known which id is whose. Raises DefinitionsChanged when `revision`, by
    which the events were read, is no longer in force.
    """
    with pipeline():
        in_force = registry.send_shared_lock()
        given = send(_IDS, len(prepared.events), prepare=True) if laid_out is None else None
    closed_until = registry.check(in_force, revision)
    if given is None:
        assert laid_out is not None
        copy(_COPY_EVENTS, laid_out)
        return None, closed_until
    [(numbers,)] = rows(given)
    ids = sorted(numbers)
    copy(_COPY_EVENTS_WITH_IDS, event_rows.rows(prepared.events, ids))
    keys = ((event.customer, event.reference) for event in prepared.events)
    return dict(zip(keys, ids, strict=True)), closed_until


def store_new(prepared: Prepared, revision: UUID | None) -> tuple[Stored, datetime | None]:
    """Store the events that are not there; and until when days are closed. Raises as `store_all` does."""
    in_order = sorted(enumerate(prepared.events), key=lambda each: (each[1].customer, each[1].reference))
    places = [place for place, _ in in_order]
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
        for _, event in in_order
    ]
    with pipeline():
        in_force = registry.send_shared_lock()
        if places == sorted(places):
            stored = send(_INSERT_EVENTS, *columns(table, 8), prepare=True)
        else:
            stored = send(_INSERT_EVENTS_IN_ORDER, *columns(table, 8), places, prepare=True)
    closed_until = registry.check(in_force, revision)
    return {(customer, reference): key for customer, reference, key in rows(stored)}, closed_until
