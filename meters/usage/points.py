"""Quantities that depend on time, read from points: the latest value, and levels weighted by how long they hold.

A level belongs to a stream: one combination of recorded dimension values, of one named subscription, over all the
references of a customer. Over several streams latest is the last value of all; levels add up.

    area = Σ level × the microseconds for which it held          exact
    quantity = area ÷ the microseconds that it is weighed over   12 places
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from billing_site.foundation.money import EXACT, ZERO
from meters.database import Rows, columns, fetch
from meters.events.exact_json import from_text
from meters.measuring.aggregation import LATEST, WEIGHTED_DELTAS, WEIGHTED_LEVELS, Aggregation, time_weighted
from meters.measuring.counting import hour_of
from meters.measuring.extraction import Definition
from meters.usage import kept_hours
from meters.usage.windows import Part, Values, Window, day_of, whole_days, whole_hours

Found = tuple[Window, Values, Decimal, int]
"""Of a window, at these dimension values: the quantity before it is rounded, of so many events."""

MICROSECOND = timedelta(microseconds=1)

_WHOLE_HOURS = kept_hours.joined(
    "whole",
    *("wanted.customer", "series.id"),
    ("wanted.first_hour", "wanted.end_hour"),
    ("wanted.first_day", "wanted.end_day"),
)
_EVER = "'-infinity'::timestamptz"
_HOURS_BEFORE = kept_hours.joined(
    "hours",
    *("wanted.customer", "series.id"),
    (_EVER, f"CASE WHEN wanted.recurring THEN wanted.start_hour ELSE {_EVER} END"),
    (_EVER, f"CASE WHEN wanted.recurring THEN wanted.start_day ELSE {_EVER} END"),
)
# All of them: a window's series by the index series_once, then each one's points by point_once, whole hours by their
# days and buckets. The last point is one step into the index.
_LATEST = f"""
    SELECT wanted.ordinal, series.subscription, series.dimensions::text,
        last.timestamp, last.event_id, last.value,
        coalesce(whole.events, 0) + head.events + tail.events
    FROM unnest(
        %b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::timestamptz[],
        %b::timestamptz[], %b::timestamptz[], %b::timestamptz[]
    ) AS wanted (ordinal, customer, meter, subscription, start, stop, first_hour, end_hour, first_day, end_day)
    JOIN meters_meter AS meter ON meter.id = wanted.meter
    JOIN meters_series AS series
        ON series.customer = wanted.customer
        AND series.meter_id = wanted.meter
        AND series.generation = meter.generation
        AND (wanted.subscription = '' OR series.subscription = wanted.subscription)
    CROSS JOIN LATERAL (
        SELECT timestamp, event_id, value FROM meters_point
        WHERE customer = wanted.customer AND series_id = series.id
            AND timestamp >= wanted.start AND timestamp < wanted.stop
        ORDER BY timestamp DESC, event_id DESC LIMIT 1
    ) AS last
    CROSS JOIN {_WHOLE_HOURS}
    CROSS JOIN LATERAL (
        SELECT count(*) AS events FROM meters_point
        WHERE customer = wanted.customer AND series_id = series.id
            AND timestamp >= wanted.start AND timestamp < least(wanted.first_hour, wanted.stop)
    ) AS head
    CROSS JOIN LATERAL (
        SELECT count(*) AS events FROM meters_point
        WHERE customer = wanted.customer AND series_id = series.id
            AND timestamp >= greatest(wanted.end_hour, least(wanted.first_hour, wanted.stop))
            AND timestamp < wanted.stop
    ) AS tail
"""  # noqa: S608
# A level holds until the next point of its stream; what was before the period holds from its start.
_LEVELS = """
    SELECT ordinal, subscription, dimensions::text, sum(value * microseconds), count(*) FILTER (WHERE inside)
    FROM (
        SELECT wanted.ordinal, series.subscription, series.dimensions, point.value,
            point.timestamp >= wanted.start AS inside,
            1000000 * extract(epoch FROM
                lead(greatest(point.timestamp, wanted.start), 1, wanted.stop) OVER (
                    PARTITION BY wanted.ordinal, series.subscription, series.dimensions
                    ORDER BY point.timestamp, point.event_id
                ) - greatest(point.timestamp, wanted.start)
            ) AS microseconds
        FROM unnest(
            %b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::boolean[]
        ) AS wanted (ordinal, customer, meter, subscription, start, stop, recurring)
        JOIN meters_meter AS meter ON meter.id = wanted.meter
        JOIN meters_series AS series
            ON series.customer = wanted.customer
            AND series.meter_id = wanted.meter
            AND series.generation = meter.generation
            AND (wanted.subscription = '' OR series.subscription = wanted.subscription)
        CROSS JOIN LATERAL (
            (
                SELECT timestamp, event_id, value FROM meters_point
                WHERE wanted.recurring AND customer = wanted.customer AND series_id = series.id
                    AND timestamp < wanted.start
                ORDER BY timestamp DESC, event_id DESC LIMIT 1
            )
            UNION ALL
            SELECT timestamp, event_id, value FROM meters_point
            WHERE customer = wanted.customer AND series_id = series.id
                AND timestamp >= wanted.start AND timestamp < wanted.stop
        ) AS point
    ) AS held
    GROUP BY ordinal, subscription, dimensions
"""
# A change holds until the end of the period; what was before it, by the sums of its hours, holds for all of it.
_DELTAS = f"""
    SELECT wanted.ordinal, series.subscription, series.dimensions::text,
        coalesce(inside.area, 0) + (coalesce(hours.quantity, 0) + coalesce(part.level, 0))
            * 1000000 * extract(epoch FROM wanted.stop - wanted.start),
        inside.events
    FROM unnest(
        %b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::boolean[],
        %b::timestamptz[], %b::timestamptz[]
    ) AS wanted (ordinal, customer, meter, subscription, start, stop, recurring, start_hour, start_day)
    JOIN meters_meter AS meter ON meter.id = wanted.meter
    JOIN meters_series AS series
        ON series.customer = wanted.customer
        AND series.meter_id = wanted.meter
        AND series.generation = meter.generation
        AND (wanted.subscription = '' OR series.subscription = wanted.subscription)
    CROSS JOIN LATERAL (
        SELECT sum(value * 1000000 * extract(epoch FROM wanted.stop - timestamp)) AS area, count(*) AS events
        FROM meters_point
        WHERE customer = wanted.customer AND series_id = series.id
            AND timestamp >= wanted.start AND timestamp < wanted.stop
    ) AS inside
    CROSS JOIN {_HOURS_BEFORE}
    CROSS JOIN LATERAL (
        SELECT sum(value) AS level FROM meters_point
        WHERE wanted.recurring AND customer = wanted.customer AND series_id = series.id
            AND timestamp >= wanted.start_hour AND timestamp < wanted.start
    ) AS part
"""  # noqa: S608


def read(windows: Sequence[Window], definitions: Mapping[int, Definition]) -> Iterator[Found]:
    """Usage of windows whose meters keep points. At most three queries."""
    by_aggregation: dict[Aggregation, list[Part]] = {LATEST: [], WEIGHTED_LEVELS: [], WEIGHTED_DELTAS: []}
    for window in windows:
        by_aggregation[definitions[window.meter].aggregation].extend(window.parts())
    if chosen := by_aggregation[LATEST]:
        yield from _latest(chosen)
    if chosen := by_aggregation[WEIGHTED_LEVELS]:
        yield from _weighted(chosen, fetch(_LEVELS, *columns(_wanted(chosen, definitions), 7)))
    if chosen := by_aggregation[WEIGHTED_DELTAS]:
        table = [
            (*row, hour_of(chosen[row[0]].period.start), day_of(chosen[row[0]].period.start))
            for row in _wanted(chosen, definitions)
        ]
        yield from _weighted(chosen, fetch(_DELTAS, *columns(table, 9)))


def _latest(parts: Sequence[Part]) -> Iterator[Found]:
    wanted = [
        (ordinal, customer, each.window.meter, each.only, each.period.start, each.period.end, *hours, *days)
        for ordinal, each in enumerate(parts)
        for hours in [whole_hours(each.period)]
        for days in [whole_days(*hours)]
        for customer in set(each.window.customers)
    ]
    found: dict[tuple[int, Values], tuple[tuple[datetime, int], Decimal, int]] = {}
    for window, place, (timestamp, event, value, events) in _taken(parts, fetch(_LATEST, *columns(wanted, 10))):
        order, latest, counted = found.get((window.key, place), ((timestamp, event), value, 0))
        if (timestamp, event) > order:
            order, latest = (timestamp, event), value
        found[window.key, place] = (order, latest, counted + events)
    by_key = {part.window.key: part.window for part in parts}
    for (key, place), (_, latest, events) in found.items():
        yield by_key[key], place, latest, events


def _weighted(parts: Sequence[Part], rows: Rows) -> Iterator[Found]:
    found: dict[tuple[int, Values], tuple[Decimal, int]] = {}
    for window, place, (area, events) in _taken(parts, rows):
        other, counted = found.get((window.key, place), (ZERO, 0))
        found[window.key, place] = (EXACT.add(other, area), counted + events)
    by_key = {part.window.key: part.window for part in parts}
    for (key, place), (area, events) in found.items():
        if area or events:
            window = by_key[key]
            whole = window.weighed_over or window.period
            yield window, place, time_weighted(area, (whole.end - whole.start) // MICROSECOND), events


def _wanted(
    parts: Sequence[Part], definitions: Mapping[int, Definition]
) -> list[tuple[int, str, int, str, object, object, bool]]:
    return [
        (ordinal, customer, meter, each.only, each.period.start, each.period.end, definitions[meter].recurring)
        for ordinal, each in enumerate(parts)
        for meter in [each.window.meter]
        for customer in set(each.window.customers)
    ]


def _taken(parts: Sequence[Part], rows: Rows) -> Iterable[tuple[Window, Values, Sequence[Any]]]:
    """The rows of events that belong to their parts, and where they are counted."""
    for ordinal, subscription, dimensions, *rest in rows:
        place = parts[ordinal].place(subscription, from_text(dimensions))
        if place is not None:
            yield parts[ordinal].window, place, rest
