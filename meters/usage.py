"""Quantities by customer, period and dimension: the only reader of buckets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

    `subscription` empty: all events, but for those that name one of `named_elsewhere` within its period. Not empty:
    only events that name it.
    """

    key: int
    customers: tuple[str, ...]
    meter: int
    period: Period
    subscription: str = ""
    named_elsewhere: Mapping[str, Period] = field(default_factory=dict)

    def parts(self) -> Iterator["Part"]:
        """What to read for it: no event lies in two of them."""
        if self.subscription:
            yield Part(self, self.period, self.subscription)
            return
        elsewhere = {name: self.period.clip(taken.start, taken.end) for name, taken in self.named_elsewhere.items()}
        yield Part(self, self.period, but=frozenset(elsewhere))
        for name, taken in elsewhere.items():
            yield Part(self, Period(self.period.start, taken.start), name)
            yield Part(self, Period(taken.end, self.period.end), name)


@dataclass(frozen=True)
class Part:
    """A period of a window: of the events that name `only`, or, when it is empty, of all that name none of `but`."""

    window: Window
    period: Period
    only: str = ""
    but: frozenset[str] = frozenset()

    def takes(self, subscription: str) -> bool:
        """Whether events that name `subscription`, or none when it is empty, belong to this part."""
        return subscription == self.only if self.only else subscription not in self.but


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


# A part's series by the index series_once (customer, meter), then each one's hours by bucket_once (customer, series,
# hour). LATERAL, so that no estimate of the planner's ever makes it read other hours than those.
_BUCKETS = """
    SELECT wanted.ordinal, series.subscription, series.dimensions::text, used.quantity, used.events
    FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::timestamptz[], %b::timestamptz[])
        AS wanted (ordinal, customer, meter, subscription, first_hour, end_hour)
    JOIN meters_series AS series
        ON series.customer = wanted.customer
        AND series.meter_id = wanted.meter
        AND (wanted.subscription = '' OR series.subscription = wanted.subscription)
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

# The part of an hour at a bound by the index event_customer_type_time (customer, type, timestamp). OFFSET 0 keeps the
# planner from making a join of it, which may read all events there are.
_EVENTS = """
    SELECT wanted.ordinal, event.subscription, event.value, event.properties::text
    FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::timestamptz[])
        AS wanted (ordinal, customer, type, subscription, start, stop)
    CROSS JOIN LATERAL (
        SELECT bound.subscription, bound.value, bound.properties
        FROM meters_event AS bound
        WHERE bound.customer = wanted.customer
            AND bound.type = wanted.type
            AND bound.timestamp >= wanted.start
            AND bound.timestamp < wanted.stop
            AND bound.status = %b
            AND (wanted.subscription = '' OR bound.subscription = wanted.subscription)
        OFFSET 0
    ) AS event
"""


def read(windows: Sequence[Window]) -> dict[int, list[Usage]]:
    """Usage of every window, by its key, ordered by dimension values. The number of queries does not grow.

    Whole UTC hours come from buckets; the part of an hour at a bound comes from the raw events of that hour. Raises
    KeyError for a meter that does not exist.
    """
    by_id = registry.current().by_id
    definitions = {window.meter: by_id[window.meter] for window in windows}
    found: dict[int, dict[tuple[tuple[str, str], ...], Tally]] = {window.key: {} for window in windows}
    parts = [part for window in windows for part in window.parts() if part.period.start < part.period.end]
    for window, dimensions, tally in (*_of_buckets(parts), *_of_events(parts, definitions)):
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


def _of_buckets(parts: Sequence[Part]) -> Iterator[_Found]:
    wanted = []
    for ordinal, part in enumerate(parts):
        first, end = whole_hours(part.period)
        if first < end:
            customers = set(part.window.customers)
            wanted += [(ordinal, customer, part.window.meter, part.only, first, end) for customer in customers]
    for ordinal, subscription, dimensions, quantity, events in fetch(_BUCKETS, *columns(wanted, 6)):
        part = parts[ordinal]
        if part.takes(subscription):
            yield _Found(part.window, tuple(sorted(from_text(dimensions).items())), Tally(quantity, events))


def _of_events(parts: Sequence[Part], definitions: Mapping[int, Definition]) -> Iterator[_Found]:
    wanted = [
        (ordinal, customer, definitions[part.window.meter].event_type, part.only, bound.start, bound.end)
        for ordinal, part in enumerate(parts)
        for bound in parts_of_hours(part.period)
        for customer in set(part.window.customers)
    ]
    for ordinal, subscription, value, properties in fetch(_EVENTS, *columns(wanted, 6), COUNTED):
        part = parts[ordinal]
        if part.takes(subscription):
            definition, read_properties = definitions[part.window.meter], from_text(properties)
            for dimensions, quantity in quantities(definition, value, read_properties):
                yield _Found(part.window, dimensions, Tally(quantity, 1))


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
