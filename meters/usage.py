"""Quantities by customer, period and dimension: the only reader of buckets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from billing_site.foundation.periods import Period
from meters import registry
from meters.aggregation import Aggregation
from meters.counting import COUNTED, Tally, hour_of
from meters.database import columns, fetch
from meters.exact_json import from_text
from meters.extraction import Definition, quantities

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Window:
    """What to read: one meter's usage by some customer references in a period.

    `subscription` empty: all events, but for those that name one of `named_elsewhere`. Not empty: only events that
    name it.
    """

    key: int
    customers: tuple[str, ...]
    meter: int
    period: Period
    subscription: str = ""
    named_elsewhere: frozenset[str] = frozenset()

    def takes(self, subscription: str) -> bool:
        """Whether events that name `subscription`, or none when it is empty, belong to this window."""
        if self.subscription:
            return subscription == self.subscription
        return subscription not in self.named_elsewhere


@dataclass(frozen=True)
class Usage:
    """A quantity, in the meter's unit, at one combination of dimension values."""

    dimensions: Mapping[str, str]
    quantity: Decimal
    events: int


class _Found(NamedTuple):
    """Some of a window's usage: what a series' buckets hold, or what one event adds."""

    window: Window
    dimensions: tuple[tuple[str, str], ...]
    tally: Tally


# A window's series by the index series_once (customer, meter), then each one's hours by bucket_once (customer, series,
# hour). LATERAL, so that no estimate of the planner's ever makes it read other hours than those.
_BUCKETS = """
    SELECT wanted.ordinal, series.subscription, series.dimensions::text, used.quantity, used.events
    FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::timestamptz[], %b::timestamptz[])
        AS wanted (ordinal, customer, meter, first_hour, end_hour)
    JOIN meters_series AS series ON series.customer = wanted.customer AND series.meter_id = wanted.meter
    CROSS JOIN LATERAL (
        SELECT sum(bucket.quantity) AS quantity, sum(bucket.events)::bigint AS events
        FROM meters_bucket AS bucket
        WHERE bucket.customer = wanted.customer
            AND bucket.series_id = series.id
            AND bucket.hour >= wanted.first_hour
            AND bucket.hour < wanted.end_hour
    ) AS used
    WHERE used.events > 0
"""

# Uses the index event_customer_type_time (customer, type, timestamp), for at most two hours of a window.
_EVENTS = """
    SELECT wanted.ordinal, event.subscription, event.value, event.properties::text
    FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[])
        AS wanted (ordinal, customer, type, start, stop)
    JOIN meters_event AS event
        ON event.customer = wanted.customer
        AND event.type = wanted.type
        AND event.timestamp >= wanted.start
        AND event.timestamp < wanted.stop
    WHERE event.status = %b
"""


def read(windows: Sequence[Window]) -> dict[int, list[Usage]]:
    """Usage of every window, by its key, ordered by dimension values. The number of queries does not grow.

    Whole UTC hours come from buckets; the part of an hour at a bound comes from the raw events of that hour. Raises
    KeyError for a meter that does not exist.
    """
    by_id = registry.current().by_id
    definitions = {window.meter: by_id[window.meter] for window in windows}
    found: dict[int, dict[tuple[tuple[str, str], ...], Tally]] = {window.key: {} for window in windows}
    for window, dimensions, tally in (*_of_buckets(windows), *_of_events(windows, definitions)):
        tallies = found[window.key]
        tallies[dimensions] = _merged(definitions[window.meter].aggregation, tallies.get(dimensions), tally)
    return {
        window.key: [
            Usage(dict(dimensions), definitions[window.meter].aggregation.quantity(tally.quantity), tally.events)
            for dimensions, tally in sorted(found[window.key].items())
        ]
        for window in windows
    }


def _merged(aggregation: Aggregation, one: Tally | None, other: Tally) -> Tally:
    if one is None:
        return other
    return Tally(aggregation.merge(one.quantity, other.quantity), one.events + other.events)


def _of_buckets(windows: Sequence[Window]) -> Iterator[_Found]:
    wanted = []
    for ordinal, window in enumerate(windows):
        first, end = whole_hours(window.period)
        if first < end:
            wanted += [(ordinal, customer, window.meter, first, end) for customer in set(window.customers)]
    for ordinal, subscription, dimensions, quantity, events in fetch(_BUCKETS, *columns(wanted, 5)):
        window = windows[ordinal]
        if window.takes(subscription):
            yield _Found(window, tuple(sorted(from_text(dimensions).items())), Tally(quantity, events))


def _of_events(windows: Sequence[Window], definitions: Mapping[int, Definition]) -> Iterator[_Found]:
    wanted = [
        (ordinal, customer, definitions[window.meter].event_type, part.start, part.end)
        for ordinal, window in enumerate(windows)
        for part in parts_of_hours(window.period)
        for customer in set(window.customers)
    ]
    for ordinal, subscription, value, properties in fetch(_EVENTS, *columns(wanted, 5), COUNTED):
        window = windows[ordinal]
        if window.takes(subscription):
            definition, read_properties = definitions[window.meter], from_text(properties)
            for dimensions, quantity in quantities(definition, value, read_properties):
                yield _Found(window, dimensions, Tally(quantity, 1))


def whole_hours(period: Period) -> tuple[datetime, datetime]:
    """The first UTC hour that lies wholly in the period, and the end of the last; no hours when they meet or cross."""
    first = hour_of(period.start)
    return (first if first == period.start else first + HOUR), hour_of(period.end)


def parts_of_hours(period: Period) -> Iterable[Period]:
    """What whole hours leave over: up to two parts, at the bounds, or the one part of a period inside an hour."""
    first, end = whole_hours(period)
    if first > end:
        return [period]
    return [part for part in (Period(period.start, first), Period(end, period.end)) if part.start < part.end]
