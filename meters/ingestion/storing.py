"""Events into their table: all at once, as new ones; or, with care, those that are not there.

Ids follow the order in which events were received, which tells apart those at one instant.
"""

from collections.abc import Mapping, Sequence

from meters import arrays
from meters.database import copy, rows, send
from meters.events.exact_json import to_text
from meters.events.sent import SentEvent
from meters.ingestion import event_rows
from meters.measuring import registry
from meters.measuring.registry import Registry

_COPY = f"COPY meters_event ({event_rows.COLUMNS}) FROM STDIN (FORMAT BINARY)"
_COPY_WITH_IDS = f"COPY meters_event (id, {event_rows.COLUMNS}) FROM STDIN (FORMAT BINARY)"
# The name is looked up once: in the list of columns it would be again for each row, which costs five times the number.
_NEXT_ID = "nextval((SELECT pg_get_serial_sequence('meters_event', 'id')::regclass))"
_IDS = f"SELECT array_agg(id) FROM (SELECT {_NEXT_ID} AS id FROM generate_series(1, %b)) AS given"  # noqa: S608 - likewise

# Without a value in any event its array is NULL, which `unnest` goes on with as long as the others.
_INSERT = """
    INSERT INTO meters_event (customer, reference, type, timestamp, value, status, subscription, properties)
    SELECT customer, reference, type, timestamp, value, status, subscription, properties::jsonb
    FROM unnest(
        %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::numeric[], %b::text[], %b::text[], %b::text[]
    ) AS new (customer, reference, type, timestamp, value, status, subscription, properties)
"""
# Uses the unique index event_once.
_INSERT_NEW = f"""
    {_INSERT}
    ON CONFLICT (customer, reference) WHERE replaces IS NULL DO NOTHING
    RETURNING customer, reference, id
"""
# Likewise, when events were received in another order than that of their references, in which rows are locked: ids are
# given as they were received.
_INSERT_NEW_IN_ORDER = f"""
    INSERT INTO meters_event (id, customer, reference, type, timestamp, value, status, subscription, properties)
    SELECT id, customer, reference, type, timestamp, value, status, subscription, properties::jsonb
    FROM (
        SELECT {_NEXT_ID} AS id, sent.*
        FROM (
            SELECT * FROM unnest(
                %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::numeric[], %b::text[], %b::text[],
                %b::text[], %b::bigint[]
            ) AS sent (customer, reference, type, timestamp, value, status, subscription, properties, place)
            ORDER BY place
        ) AS sent
    ) AS new
    ORDER BY customer COLLATE "C", reference COLLATE "C"
    ON CONFLICT (customer, reference) WHERE replaces IS NULL DO NOTHING
    RETURNING customer, reference, id
"""  # noqa: S608 - made of the constant above

Ids = Mapping[tuple[str, str], int]
"""The ids of events, by (customer, reference)."""


def send_all(events: Sequence[SentEvent]) -> None:
    """Store events in the caller's pipeline, which has begun with holding the definitions.

    It fails when one is there already. As fast as COPY for some fifty.
    """
    send(_INSERT, *_arrays(events), prepare=True)


def copy_all(laid_out: bytes) -> None:
    """Store events as `event_rows` lays them out, or raise IntegrityError when one is there already.

    The caller holds the definitions.
    """
    copy(_COPY, laid_out)


def store_all(events: Sequence[SentEvent], definitions: Registry) -> Ids:
    """Hold the definitions and store events, or raise IntegrityError when one is there already; their ids."""
    with registry.held(definitions):
        given = send(_IDS, len(events), prepare=True)
    [(numbers,)] = rows(given)
    ids = sorted(numbers)
    copy(_COPY_WITH_IDS, event_rows.rows(events, ids))
    return dict(zip(((event.customer, event.reference) for event in events), ids, strict=True))


def store_new(events: Sequence[SentEvent], definitions: Registry) -> Ids:
    """Hold the definitions and store the events that are not there; the ids of those."""
    in_order = sorted(enumerate(events), key=lambda each: (each[1].customer, each[1].reference))
    places = [place for place, _ in in_order]
    sent = _arrays([event for _, event in in_order])
    with registry.held(definitions):
        if places == sorted(places):
            stored = send(_INSERT_NEW, *sent, prepare=True)
        else:
            stored = send(_INSERT_NEW_IN_ORDER, *sent, arrays.longs(places), prepare=True)
    return {(customer, reference): key for customer, reference, key in rows(stored)}


def _arrays(events: Sequence[SentEvent]) -> tuple[object, ...]:
    values = [event.value for event in events]
    return (
        arrays.texts([event.customer for event in events]),
        arrays.texts([event.reference for event in events]),
        arrays.texts([event.type for event in events]),
        arrays.instants([event.timestamp for event in events]),
        values if any(value is not None for value in values) else None,
        arrays.texts([event.status for event in events]),
        arrays.texts([event.subscription for event in events]),
        arrays.texts([to_text(event.properties) for event in events]),
    )
