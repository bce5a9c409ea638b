"""The definitions in force, cached per process and checked against the database's revision."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError
from django.db.models import QuerySet

from meters.database import fetch, pipeline, send
from meters.measuring.aggregation import Rounding, RoundingMode, aggregation_for
from meters.measuring.bands import Band
from meters.measuring.extraction import Condition, Definition, DimensionSource, Operator, Value
from meters.models import Dimension, Meter
from meters.triggers import DEFINITIONS_LOCK

REVISION = "SELECT revision FROM meters_definitionrevision"
_CLOSED_UNTIL = "SELECT closed_until FROM meters_dayclosing"
# By the unique index backfill_at_work_once.
STANDING = f"""
    ({REVISION}), ARRAY(
        SELECT meter_id FROM meters_backfill WHERE status IN ('counting', 'failed') AND counted_at IS NULL
    )
"""  # noqa: S608 - made of the constant above
_LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared({}, {})".format(*DEFINITIONS_LOCK)
# Takes the shared lock, too; what it raises when anything has changed is CHANGED.
_HOLD = "SELECT meters_hold_definitions(%b::uuid, %b::timestamptz)"
CHANGED = "TB001"
_LOCK = "SELECT pg_advisory_xact_lock({}, {})".format(*DEFINITIONS_LOCK)


@dataclass(frozen=True)
class Registry:
    """Every meter as values, by id and by the event type that it reads. `revision` None: no meter was ever made.

    `closed_until`: which UTC days were closed when it was read; None: none. Only who holds it may rely on that.
    `counting`: meters whose stored events are still being counted, so that what is kept of them is not all; only known
    when it comes from `current`.
    """

    revision: UUID | None = None
    by_id: Mapping[int, Definition] = field(default_factory=dict)
    by_type: Mapping[str, tuple[Definition, ...]] = field(default_factory=dict)
    counting: frozenset[int] = frozenset()
    closed_until: datetime | None = None


class _Cache:
    registry = Registry()


def cached() -> Registry:
    """What this process read last: who counts by it must hold it."""
    return _Cache.registry


def current() -> Registry:
    """What is in force now: one query, and a few more after a change."""
    return standing(*_standing())


def standing(in_force: UUID | None, counting: Collection[int]) -> Registry:
    """The same for who has read the two columns of STANDING in a statement of its own. No query unless it changed."""
    known = _Cache.registry
    if in_force != known.revision:
        known = load()
        _, counting = _standing()
    return replace(known, counting=frozenset(counting))


def load() -> Registry:
    """Read all meters. The revision is read before and after, so that what it names is what was read."""
    while True:
        before = revision()
        closed_until = next((row[0] for row in fetch(_CLOSED_UNTIL)), None)
        registry = _of(before, closed_until, [_definition(meter) for meter in _meters()])
        if revision() == before:
            _Cache.registry = registry
            return registry


def _standing() -> tuple[UUID | None, Collection[int]]:
    [(in_force, counting)] = fetch(f"SELECT {STANDING}")
    return in_force, counting


def revision() -> UUID | None:
    return next((row[0] for row in fetch(REVISION)), None)


class DefinitionsChanged(Exception):
    """A meter was changed, or days closed, between reading by the definitions and holding them: load them again."""


@contextmanager
def held(definitions: Registry) -> Iterator[None]:
    """A `pipeline` at whose beginning the definitions are held: until the transaction ends nobody changes them.

    Raises DefinitionsChanged, having done nothing of what was sent, when they are no longer those in force.
    """
    try:
        with pipeline():
            send(_HOLD, definitions.revision, definitions.closed_until, prepare=True)
            yield
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) == CHANGED:
            raise DefinitionsChanged from error
        raise


def lock_shared() -> None:
    """Until the end of the transaction no meter changes, whichever they are."""
    send(_LOCK_SHARED, prepare=True)


def lock() -> None:
    """Until the end of the transaction no event is counted and no meter changes."""
    fetch(_LOCK)


def definition(meter: Meter) -> Definition:
    """One meter as the database has it now."""
    return _definition(_meters().get(pk=meter.pk))


def _meters() -> QuerySet[Meter]:
    return Meter.objects.order_by("id").prefetch_related("values", "filters", "dimensions", "bands")


def _of(revision: UUID | None, closed_until: datetime | None, definitions: list[Definition]) -> Registry:
    by_type = defaultdict(list)
    for each in definitions:
        by_type[each.event_type].append(each)
    return Registry(
        revision,
        {each.id: each for each in definitions},
        {event_type: tuple(readers) for event_type, readers in by_type.items()},
        closed_until=closed_until,
    )


def _definition(meter: Meter) -> Definition:
    return Definition(
        id=meter.pk,
        code=meter.code,
        event_type=meter.event_type,
        aggregation=aggregation_for(meter.aggregation, meter.value_kind),
        conditions=tuple(
            Condition(each.property, Operator(each.operator), frozenset(each.values)) for each in meter.filters.all()
        ),
        values=tuple(Value(each.label, each.property, tuple(each.plus)) for each in meter.values.all()),
        label_dimension=meter.label_dimension,
        dimensions=tuple(
            DimensionSource(each.name, each.property)
            for each in meter.dimensions.all()
            if each.status != Dimension.Status.RETIRED
        ),
        rounding=Rounding(RoundingMode(meter.rounding), meter.rounding_places),
        recurring=meter.recurring,
        generation=meter.generation,
        bands=tuple(Band(each.name, tuple(each.properties), tuple(each.thresholds)) for each in meter.bands.all()),
    )
