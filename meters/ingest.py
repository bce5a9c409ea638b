"""Events in: stored, deduplicated and counted in one transaction. The only writer of events.

Locks are taken in one order by everybody: the definitions (shared), events by (customer, reference), then, as the last
statement, buckets by (customer, series, hour).
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, OperationalError, connection, transaction

from meters import buckets, interning, registry
from meters.counting import Counted, Prepared, count, prepare
from meters.database import columns, pipeline, rows, send
from meters.decoding import Batch, Rejected
from meters.exact_json import to_text

# One busy customer's senders would queue on a bucket's row: each connection writes to one of so many, summed on
# reading.
SLOTS = 8
ATTEMPTS = 8
_LOCKED_OUT = ("40P01", "40001")  # a deadlock, a serialization failure
_FOREIGN_KEY = "23503"  # a meter and its series were deleted meanwhile

# Uses the unique index event_once.
_INSERT_EVENTS = """
    INSERT INTO meters_event (customer, reference, type, timestamp, value, status, subscription, properties)
    SELECT customer, reference, type, timestamp, value, status, subscription, properties::jsonb
    FROM unnest(
        %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::numeric[], %b::text[], %b::text[], %b::text[]
    ) AS new (customer, reference, type, timestamp, value, status, subscription, properties)
    ON CONFLICT (customer, reference) DO NOTHING
    RETURNING customer, reference
"""
# Likewise, when values at one instant must be told apart: ids are given in the order of the body, which is the order in
# which events were received, and rows are locked in the order of references.
_INSERT_EVENTS_IN_ORDER = """
    INSERT INTO meters_event (id, customer, reference, type, timestamp, value, status, subscription, properties)
    SELECT id, customer, reference, type, timestamp, value, status, subscription, properties::jsonb
    FROM (
        SELECT nextval(pg_get_serial_sequence('meters_event', 'id')) AS id, sent.*
        FROM (
            SELECT * FROM unnest(
                %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::numeric[], %b::text[], %b::text[],
                %b::text[], %b::int[]
            ) AS sent (customer, reference, type, timestamp, value, status, subscription, properties, place)
            ORDER BY place
        ) AS sent
    ) AS new
    ORDER BY customer COLLATE "C", reference COLLATE "C"
    ON CONFLICT (customer, reference) DO NOTHING
    RETURNING customer, reference, id
"""
_INSERT_CHANGES = """
    INSERT INTO meters_usagechange (customer, meter_id, hour)
    SELECT * FROM unnest(%b::text[], %b::bigint[], %b::timestamptz[])
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a batch: accepted + duplicates + rejected = its items."""

    accepted: int
    duplicates: int
    rejected: list[Rejected]


def accept(batch: Batch, note: Callable[[Outcome], None] | None = None) -> Outcome:
    """Store and count a batch, each (customer, reference) once for ever; on return it is committed.

    `note` writes down what became of it in the same transaction; it is called again when that is tried again.

    Raises Django's OperationalError or InterfaceError when the database is away or too busy: then the same batch may be
    sent again, whatever became of it.
    """
    if not batch.events:
        return _nothing(batch, note)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            definitions = registry.cached()
            return _accept(prepare(batch, definitions.by_type), definitions.revision, note)
        except registry.DefinitionsChanged:
            registry.load()
        except (OperationalError, IntegrityError) as error:
            if attempt == ATTEMPTS or not _may_work_again(error):
                raise
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311
    raise OperationalError("The meters were changed again and again while the events were counted.")


def _nothing(batch: Batch, note: Callable[[Outcome], None] | None) -> Outcome:
    outcome = Outcome(0, 0, batch.rejected)
    if note is not None:
        with transaction.atomic(durable=True):
            note(outcome)
    return outcome


def _accept(prepared: Prepared, revision: UUID | None, note: Callable[[Outcome], None] | None) -> Outcome:
    ids = interning.intern(prepared.series(), prepared.streams(), revision)
    with transaction.atomic(durable=True):
        stored = _store(prepared, revision)
        duplicates = len(prepared.events) - len(stored) + prepared.repeated
        outcome = Outcome(len(stored), duplicates, prepared.rejected)
        if note is not None:
            note(outcome)
        counted = count(prepared, stored, ids)
        if counted.tallies:
            add(counted)
    return outcome


def _store(prepared: Prepared, revision: UUID | None) -> dict[tuple[str, str], int]:
    """Insert the events; the (customer, reference) of those that were not there, with their ids where they matter.

    Raises DefinitionsChanged when `revision`, by which the events were read, is no longer in force.
    """
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
        places = [[event.index for event in prepared.events]] if in_order else []
        stored = send(_INSERT_EVENTS_IN_ORDER if in_order else _INSERT_EVENTS, *columns(table, 8), *places)
    registry.check(in_force, revision)
    if in_order:
        return {(customer, reference): key for customer, reference, key in rows(stored)}
    return dict.fromkeys(rows(stored), 0)


def add(counted: Counted) -> None:
    """Write what some events add, in the transaction that stores them or notes that they are counted."""
    changes = [(customer, meter, hour) for (customer, meter), hour in counted.changes.items()]
    slot = connection.connection.info.backend_pid % SLOTS
    with pipeline():
        send(_INSERT_CHANGES, *columns(changes, 3))
        buckets.send_points(counted.points)
        buckets.send_values(counted.values)
        buckets.send_tallies(counted.tallies, slot)


def _may_work_again(error: OperationalError | IntegrityError) -> bool:
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    if sqlstate == _FOREIGN_KEY:
        interning.forget()
        registry.load()
    return sqlstate in (*_LOCKED_OUT, _FOREIGN_KEY)
