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

from meters import interning, registry
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
_INSERT_CHANGES = """
    INSERT INTO meters_usagechange (customer, meter_id, hour)
    SELECT * FROM unnest(%b::text[], %b::bigint[], %b::timestamptz[])
"""
# Uses the unique index bucket_once.
_ADD_TO_BUCKETS = """
    INSERT INTO meters_bucket AS bucket (customer, series_id, hour, slot, quantity, events)
    SELECT customer, series, hour, %b::smallint, quantity, events
    FROM unnest(%b::text[], %b::bigint[], %b::timestamptz[], %b::numeric[], %b::bigint[])
        AS new (customer, series, hour, quantity, events)
    ON CONFLICT (customer, series_id, hour, slot) DO UPDATE
    SET quantity = bucket.quantity + excluded.quantity, events = bucket.events + excluded.events
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
            _add(counted)
    return outcome


def _store(prepared: Prepared, revision: UUID | None) -> set[tuple[str, str]]:
    """Insert the events; the (customer, reference) of those that were not there.

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
        stored = send(_INSERT_EVENTS, *columns(table, 8))
    registry.check(in_force, revision)
    return set(rows(stored))


def _add(counted: Counted) -> None:
    changes = [(customer, meter, hour) for (customer, meter), hour in counted.changes.items()]
    buckets = [(*key, tally.quantity, tally.events) for key, tally in counted.tallies.items()]
    slot = connection.connection.info.backend_pid % SLOTS
    with pipeline():
        send(_INSERT_CHANGES, *columns(changes, 3))
        send(_ADD_TO_BUCKETS, slot, *columns(buckets, 5))


def _may_work_again(error: OperationalError | IntegrityError) -> bool:
    sqlstate = getattr(error.__cause__, "sqlstate", None)
    if sqlstate == _FOREIGN_KEY:
        interning.forget()
        registry.load()
    return sqlstate in (*_LOCKED_OUT, _FOREIGN_KEY)
