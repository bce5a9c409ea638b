"""Buckets are a cache of events: prove it, or make it so again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction

from meters import interning, registry
from meters.counting import COUNTED, SeriesKey, Tally, add, hour_of, parts_of
from meters.database import columns, fetch, send
from meters.decoding import SentEvent
from meters.exact_json import from_text
from meters.extraction import Definition
from meters.models import Meter

EVENTS_AT_ONCE = 5_000
NOTHING = Tally(Decimal(0), 0)

# Streams name the customers; their events come by the index event_customer_type_time.
_EVENTS = """
    SELECT event.customer, event.timestamp, event.value, event.subscription, event.properties::text
    FROM meters_stream AS stream
    JOIN meters_event AS event ON event.customer = stream.customer AND event.type = stream.type
    WHERE stream.type = %s AND event.status = %s
"""
_BUCKETS = """
    SELECT series.customer, series.subscription, series.dimensions::text,
        bucket.hour, sum(bucket.quantity), sum(bucket.events)::bigint
    FROM meters_series AS series
    JOIN meters_bucket AS bucket ON bucket.customer = series.customer AND bucket.series_id = series.id
    WHERE series.meter_id = %b
    GROUP BY series.id, bucket.hour
"""
# Both use the unique index bucket_once.
_DELETE = """
    DELETE FROM meters_bucket AS bucket
    USING unnest(%b::text[], %b::bigint[], %b::timestamptz[]) AS wrong (customer, series, hour)
    WHERE bucket.customer = wrong.customer AND bucket.series_id = wrong.series AND bucket.hour = wrong.hour
"""
_INSERT = """
    INSERT INTO meters_bucket (customer, series_id, hour, slot, quantity, events)
    SELECT customer, series, hour, 0, quantity, events
    FROM unnest(%b::text[], %b::bigint[], %b::timestamptz[], %b::numeric[], %b::bigint[])
        AS new (customer, series, hour, quantity, events)
"""
_INSERT_CHANGES = """
    INSERT INTO meters_usagechange (customer, meter_id, hour)
    SELECT customer, %b, min(hour) FROM unnest(%b::text[], %b::timestamptz[]) AS changed (customer, hour)
    GROUP BY customer
"""


@dataclass(frozen=True)
class Difference:
    """An hour of a series in which buckets say other than events."""

    series: SeriesKey
    hour: datetime
    buckets: Tally
    events: Tally


def differences(meter: Meter) -> list[Difference]:
    """Where the meter's buckets are not what its events come to, by customer, series and hour; empty when they are.

    Reads all events of the meter's type in one snapshot and waits for nobody.
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return _differences(registry.definition(meter))


def rebuild(meter: Meter) -> list[Difference]:
    """Make the meter's buckets what its events come to, exactly; what was wrong is returned and noted as changed usage.

    Holds back ingestion until it commits.
    """
    with transaction.atomic():
        registry.lock()
        found = _differences(registry.definition(meter))
        if found:
            _replace(meter, found)
    return found


def _differences(definition: Definition) -> list[Difference]:
    events, buckets = _from_events(definition), _from_buckets(definition.id)
    wrong = [key for key in events.keys() | buckets.keys() if events.get(key) != buckets.get(key)]
    return [
        Difference(series, hour, buckets.get((series, hour), NOTHING), events.get((series, hour), NOTHING))
        for series, hour in sorted(wrong)
    ]


def _from_events(definition: Definition) -> dict[tuple[SeriesKey, datetime], Tally]:
    tallies: dict[tuple[SeriesKey, datetime], Tally] = {}
    for event in _events(definition.event_type):
        for series, _, quantity in parts_of(event, [definition], strict=False):
            add(tallies, (series, hour_of(event.timestamp)), definition, quantity)
    return tallies


def _events(event_type: str) -> Iterator[SentEvent]:
    """Events that count, a few thousand at a time."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(_EVENTS, [event_type, COUNTED])
        while page := cursor.fetchmany(EVENTS_AT_ONCE):
            for customer, timestamp, value, subscription, properties in page:
                yield SentEvent(
                    0, "", event_type, customer, timestamp, value, COUNTED, subscription, from_text(properties)
                )


def _from_buckets(meter: int) -> dict[tuple[SeriesKey, datetime], Tally]:
    return {
        (SeriesKey(customer, meter, subscription, tuple(sorted(from_text(dimensions).items()))), hour): Tally(
            quantity, events
        )
        for customer, subscription, dimensions, hour, quantity, events in fetch(_BUCKETS, meter)
    }


def _replace(meter: Meter, found: list[Difference]) -> None:
    ids = interning.make({each.series for each in found}, set())
    wrong = [(each.series.customer, ids[each.series], each.hour) for each in found]
    right = [
        (each.series.customer, ids[each.series], each.hour, each.events.quantity, each.events.events)
        for each in found
        if each.events.events
    ]
    send(_DELETE, *columns(wrong, 3))
    send(_INSERT, *columns(right, 5))
    send(_INSERT_CHANGES, meter.pk, *columns([(each.series.customer, each.hour) for each in found], 2))
