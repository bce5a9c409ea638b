"""Buckets, points and values are a cache of events: prove it, or make it so again."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from meters.backfills import progress
from meters.database import columns, fetch, send
from meters.events.decoding import SentEvent
from meters.events.exact_json import from_text
from meters.measuring import registry
from meters.measuring.aggregation import Hourly, Keeps
from meters.measuring.counting import COUNTED, Point, SeriesKey, Tally, add, hour_of, parts_of
from meters.measuring.extraction import Definition
from meters.models import Meter
from meters.usage import buckets, interning, placing

EVENTS_AT_ONCE = 5_000
# What is kept of so many customers is compared at once, so that memory does not grow with their number.
CUSTOMERS_AT_ONCE = 100

_CUSTOMERS = """
    SELECT customer FROM meters_stream WHERE type = %b
    UNION SELECT customer FROM meters_series WHERE meter_id = %b AND generation = %b
    ORDER BY customer
"""
# Streams name the customers; their events come by the index event_customer_type_time. An amended form has the place of
# the event that was sent in the order of receipt. OFFSET 0, here and below, keeps the planner from reading all there is
# for every some customers.
_EVENTS = """
    SELECT coalesce(event.replaces, event.id), event.customer, event.timestamp, event.value, event.subscription,
        event.properties::text
    FROM meters_stream AS stream
    CROSS JOIN LATERAL (
        SELECT * FROM meters_event AS own
        WHERE own.customer = stream.customer AND own.type = stream.type AND own.status = %s
            AND NOT (own.id > %s AND own.id <= %s)
            AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = own.id)
        OFFSET 0
    ) AS event
    WHERE stream.customer = ANY(%s) AND stream.type = %s
"""
# By the index series_once (customer, meter, generation), then each one's by the primary key of buckets, point_once or
# value_once. An hour whose events were all voided may keep buckets that come to nothing.
_BUCKETS = """
    SELECT series.customer, series.subscription, series.dimensions::text, bucket.hour, bucket.quantity, bucket.events
    FROM meters_series AS series
    CROSS JOIN LATERAL (
        SELECT hour, {merged}(quantity) AS quantity, sum(events)::bigint AS events
        FROM meters_bucket AS slot WHERE slot.series_id = series.id
        GROUP BY hour
    ) AS bucket
    WHERE series.customer = ANY(%b::text[]) AND series.meter_id = %b AND series.generation = %b
        AND (bucket.events <> 0 OR coalesce(bucket.quantity, 0) <> 0)
"""
_POINTS = """
    SELECT series.customer, series.subscription, series.dimensions::text, point.timestamp, point.event_id, point.value
    FROM meters_series AS series
    CROSS JOIN LATERAL (
        SELECT timestamp, event_id, value FROM meters_point AS own
        WHERE own.customer = series.customer AND own.series_id = series.id
        OFFSET 0
    ) AS point
    WHERE series.customer = ANY(%b::text[]) AND series.meter_id = %b AND series.generation = %b
"""
_VALUES = """
    SELECT series.customer, series.subscription, series.dimensions::text, kept.hour, kept.value
    FROM meters_series AS series
    CROSS JOIN LATERAL (
        SELECT hour, value FROM meters_uniquevalue AS own
        WHERE own.customer = series.customer AND own.series_id = series.id
        OFFSET 0
    ) AS kept
    WHERE series.customer = ANY(%b::text[]) AND series.meter_id = %b AND series.generation = %b
"""
# Uses the unique index point_once.
_DELETE_POINTS = """
    DELETE FROM meters_point AS kept
    USING unnest(%b::text[], %b::bigint[], %b::timestamptz[]) AS wrong (customer, series, hour)
    WHERE kept.customer = wrong.customer AND kept.series_id = wrong.series
        AND kept.timestamp >= wrong.hour AND kept.timestamp < wrong.hour + interval '1 hour'
"""
_INSERT_CHANGES = """
    INSERT INTO meters_usagechange (customer, meter_id, hour)
    SELECT customer, %b, min(hour) FROM unnest(%b::text[], %b::timestamptz[]) AS changed (customer, hour)
    GROUP BY customer
"""


@dataclass(frozen=True)
class Kept:
    """All that is kept of an hour of a series: what its buckets say, its points and its different values."""

    tally: Tally
    points: frozenset[Point] = frozenset()
    values: frozenset[str] = frozenset()

    @property
    def quantity(self) -> Decimal:
        """What shows that two differ, in one number: of an hour without a quantity, how much is kept of it."""
        kept = self.tally.quantity
        return Decimal(len(self.points) + len(self.values) if kept is None else kept)

    @property
    def events(self) -> int:
        return self.tally.events


NOTHING = Kept(Tally(None, 0))
Hours = dict[tuple[SeriesKey, datetime], Kept]


@dataclass(frozen=True)
class Difference:
    """An hour of a series in which what is kept, `buckets`, says other than events."""

    series: SeriesKey
    hour: datetime
    buckets: Kept
    events: Kept


def differences(meter: Meter) -> list[Difference]:
    """Where the meter's buckets, points and values are not what its events come to; empty when they are.

    By customer, series and hour. Reads all events of the meter's type in one snapshot and waits for nobody. Events that
    a backfill has still to count are in neither.
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
        definition = registry.definition(meter)
        found = _differences(definition)
        if found:
            _replace(definition, found)
    return found


def _differences(definition: Definition) -> list[Difference]:
    customers = [row[0] for row in fetch(_CUSTOMERS, definition.event_type, definition.id, definition.generation)]
    counted_at = placing.of_meter(definition.id)
    found: list[Difference] = []
    for first in range(0, len(customers), CUSTOMERS_AT_ONCE):
        some = customers[first : first + CUSTOMERS_AT_ONCE]
        events, tables = _from_events(definition, some, counted_at), _from_tables(definition, some)
        wrong = [key for key in events.keys() | tables.keys() if events.get(key) != tables.get(key)]
        found += [
            Difference(series, hour, tables.get((series, hour), NOTHING), events.get((series, hour), NOTHING))
            for series, hour in sorted(wrong)
        ]
    return found


def _from_events(definition: Definition, customers: list[str], counted_at: Callable[[SeriesKey], SeriesKey]) -> Hours:
    tallies: dict[tuple[SeriesKey, datetime], Tally] = {}
    points: dict[tuple[SeriesKey, datetime], set[Point]] = defaultdict(set)
    values: dict[tuple[SeriesKey, datetime], set[str]] = defaultdict(set)
    for key, event in _events(definition, customers):
        for series, _, quantity, text in parts_of(event, [definition], strict=False):
            place = (counted_at(series), hour_of(event.timestamp))
            add(tallies, place, definition.aggregation, quantity)
            if definition.aggregation.keeps is Keeps.POINTS:
                points[place].add(Point(event.timestamp, key, quantity))
            elif definition.aggregation.keeps is Keeps.VALUES:
                values[place].add(text)
    return _together(tallies, points, values)


def _events(definition: Definition, customers: list[str]) -> Iterator[tuple[int, SentEvent]]:
    """Events that count, with their ids, a few thousand at a time; without those that are not counted yet."""
    event_type, waiting = definition.event_type, progress.waiting(definition.id)
    with connection.chunked_cursor() as cursor:
        cursor.execute(_EVENTS, [COUNTED, waiting.after, waiting.until, customers, event_type])
        while page := cursor.fetchmany(EVENTS_AT_ONCE):
            for key, customer, timestamp, value, subscription, properties in page:
                read = from_text(properties)
                yield key, SentEvent(0, "", event_type, customer, timestamp, value, COUNTED, subscription, read)


def _from_tables(definition: Definition, customers: list[str]) -> Hours:
    """Whatever the meter's aggregation is now: what an earlier one kept is found, too."""
    merged, mine = definition.aggregation.hourly or Hourly.SUM, (customers, definition.id, definition.generation)
    tallies = {
        (_series(definition, row), row[3]): Tally(row[4], row[5])
        for row in fetch(_BUCKETS.format(merged=merged), *mine)
    }
    points: dict[tuple[SeriesKey, datetime], set[Point]] = defaultdict(set)
    for row in fetch(_POINTS, *mine):
        points[_series(definition, row), hour_of(row[3])].add(Point(*row[3:]))
    values: dict[tuple[SeriesKey, datetime], set[str]] = defaultdict(set)
    for row in fetch(_VALUES, *mine):
        values[_series(definition, row), row[3]].add(row[4])
    return _together(tallies, points, values)


def _series(meter: Definition, row: Sequence[Any]) -> SeriesKey:
    return SeriesKey(row[0], meter.id, row[1], tuple(sorted(from_text(row[2]).items())), meter.generation)


def _together(
    tallies: Mapping[tuple[SeriesKey, datetime], Tally],
    points: Mapping[tuple[SeriesKey, datetime], set[Point]],
    values: Mapping[tuple[SeriesKey, datetime], set[str]],
) -> Hours:
    return {
        place: Kept(
            tallies.get(place, NOTHING.tally), frozenset(points.get(place, ())), frozenset(values.get(place, ()))
        )
        for place in {*tallies, *points, *values}
    }


def _merged(definition: Definition, one: Kept, other: Kept) -> Kept:
    """Two combinations that are counted at one series: there were too many of them."""
    quantity = definition.aggregation.merge(one.tally.quantity, other.tally.quantity)
    return Kept(
        Tally(quantity, one.tally.events + other.tally.events), one.points | other.points, one.values | other.values
    )


def _replace(definition: Definition, found: list[Difference]) -> None:
    ids = interning.make({each.series for each in found}, set())
    wrong = [(each.series.customer, ids[each.series], each.hour) for each in found]
    buckets.send_removal(wrong)
    send(_DELETE_POINTS, *columns(wrong, 3))
    right: dict[tuple[str, int, datetime], Kept] = {}
    for each in found:
        if each.events.tally.events:
            key = (each.series.customer, ids[each.series], each.hour)
            right[key] = _merged(definition, right[key], each.events) if key in right else each.events
    buckets.send_points((*key[:2], point) for key, kept in right.items() for point in kept.points)
    buckets.send_values((*key, value) for key, kept in right.items() for value in kept.values)
    buckets.send_tallies({definition.aggregation.hourly: {key: kept.tally for key, kept in right.items()}}, slot=0)
    send(_INSERT_CHANGES, definition.id, *columns([(each.series.customer, each.hour) for each in found], 2))
