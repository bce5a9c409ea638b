"""A worker's turn at counting stored events: chunk after chunk along the ids, each in a transaction of its own.

In every chunk locks are taken in the order of ingestion: the definitions (shared), the job, then values and buckets.
The events are read after the job is locked, so that whoever corrects an event (`backfilling.uncounted`) finds it
counted or not, and the chunk finds it corrected or not: both never miss.
"""

import random
import time
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from meters.backfills import clearing, leases
from meters.backfills.models import Backfill
from meters.database import fetch
from meters.events.decoding import SentEvent
from meters.events.exact_json import from_text
from meters.ingestion import additions
from meters.measuring import registry
from meters.measuring.counting import COUNTED, add_up
from meters.measuring.extraction import Definition
from meters.usage import interning

# A long job lets others have the worker in between.
TURN = timedelta(seconds=15)
ATTEMPTS = 8
_LOCKED_OUT = ("40P01", "40001")  # a deadlock, a serialization failure
# Ids are looked through this many times as far as events are counted: those of other types cost little, not nothing.
IDS_FOR_AN_EVENT = 10

# Along the primary key, in which order rows lie on disk. What was corrected is left out by the unique index
# of meters_correction on the event; another form of an event was received when the event was.
_EVENTS = """
    SELECT id, coalesce(replaces, id), customer, reference, timestamp, value, subscription, properties::text
    FROM meters_event AS event
    WHERE id > %b AND id <= %b AND type = %b AND status = %b
        AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = event.id)
    ORDER BY id
    LIMIT %b
"""

log = structlog.get_logger(__name__)


def work(job_id: int, worker: str, turn: timedelta = TURN) -> bool:
    """Take the job and go on with it until it is done or the turn is over. Whether something is left to do now."""
    job = leases.take(job_id, worker)
    if job is None:
        return False
    ends = time.monotonic() + turn.total_seconds()
    try:
        while _step(job):
            if time.monotonic() > ends:
                leases.release(job)
                return True
    except leases.LostLease:
        log.info("backfill_lost", job=job_id, meter=job.meter_id)
    except (OperationalError, InterfaceError):
        raise  # the database may be away, and the lease runs out by itself
    except Exception as error:
        leases.fail(job, f"{type(error).__name__}: {error}".replace("\0", ""))
        raise
    return False


def _step(job: Backfill) -> bool:
    """One chunk of counting or of clearing away; whether there is more. Raises LostLease."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return _chunk(job)
        except registry.DefinitionsChanged:
            registry.load()
        except OperationalError as error:
            if attempt == ATTEMPTS or getattr(error.__cause__, "sqlstate", None) not in _LOCKED_OUT:
                raise
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311
    raise OperationalError("The meters were changed again and again while stored events were counted.")


def _chunk(job: Backfill) -> bool:
    definitions = registry.cached()
    with registry.held(definitions):
        pass
    held = leases.lock(job)
    if held.status == Backfill.Status.CLEARING:
        return clearing.clear(held)
    return _count(held, definitions.by_id[held.meter_id], definitions.closed_until)


def _count(held: Backfill, definition: Definition, closed_until: datetime | None) -> bool:
    """Count the next events; whether anything is left to do for the job."""
    events, received, cursor = _read(held, definition)
    added = add_up(events, {definition.event_type: [definition]}, strict=False)
    counted = added.counted(added.located(interning.make(added.series(), ())), received)
    additions.add(additions.lay_out(counted), closed_until)
    leases.counted(held, cursor, len(events))
    return cursor < held.boundary or held.generation > 1


def _read(held: Backfill, definition: Definition) -> tuple[list[SentEvent], dict[tuple[str, str], int], int]:
    """The next events, under which ids they were received, and the id up to which this is all there is."""
    limit = settings.BACKFILL_CHUNK_EVENTS
    last = min(held.cursor + limit * IDS_FOR_AN_EVENT, held.boundary)
    events, received = [], {}
    found = fetch(_EVENTS, held.cursor, last, definition.event_type, COUNTED, limit)
    for _, first, customer, reference, timestamp, value, subscription, properties in found:
        read = from_text(properties)
        events.append(
            SentEvent(0, reference, definition.event_type, customer, timestamp, value, COUNTED, subscription, read)
        )
        received[customer, reference] = first
    return events, received, found[-1][0] if len(found) == limit else last
