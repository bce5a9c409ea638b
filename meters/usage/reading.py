"""Quantities by customer, period and dimension: the only reader of buckets, their day totals, points and values.

Usage is merged at the dimension values that are asked for, from what is kept of the events themselves: a maximum of
maxima, a union of values, the latest of all. Quantities of parts are never added up into that of the whole.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from meters.database import columns, fetch, stream
from meters.events.exact_json import from_text
from meters.measuring import registry
from meters.measuring.aggregation import Hourly, Keeps
from meters.measuring.counting import COUNTED, SeriesKey, Tally, add
from meters.measuring.extraction import Definition, quantities
from meters.measuring.registry import Registry
from meters.usage import kept_hours, placing, points, uniques
from meters.usage.windows import Grouping, Part, Values, Window, only, parts_of_hours, whole_days, whole_hours

__all__ = ["Grouping", "Part", "StillCounting", "Usage", "Window", "only", "parts_of_hours", "read", "whole_hours"]


@dataclass(frozen=True)
class Usage:
    """A quantity, in the meter's unit and rounded as it says, at one combination of dimension values.

    `events` is 0 when all of it is a level carried over from before the period.
    """

    dimensions: Mapping[str, str]
    quantity: Decimal
    events: int


class _Found(NamedTuple):
    """Some of a window's usage: what a series' buckets hold, or what events of one combination add.

    `series` or `texts`: where different values are to be looked up, or the values themselves.
    """

    window: Window
    place: Values
    tally: Tally
    series: uniques.SeriesHours | None = None
    texts: Collection[str] = ()


@dataclass
class _Whole:
    """All of a window's usage at one combination, so far."""

    tally: Tally
    series: list[uniques.SeriesHours] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)


# A part's series by the index series_once (customer, meter), then each one's days and hours. LATERAL, so that no
# estimate of the planner's ever makes it read others than those.
_BUCKETS = """
    SELECT wanted.ordinal, series.customer, series.id, series.subscription, series.dimensions::text,
        used.quantity, used.events
    FROM unnest(
        %b::bigint[], %b::text[], %b::bigint[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::timestamptz[],
        %b::timestamptz[]
    ) AS wanted (ordinal, customer, meter, subscription, first_hour, end_hour, first_day, end_day)
    JOIN meters_meter AS meter ON meter.id = wanted.meter
    JOIN meters_series AS series
        ON series.customer = wanted.customer
        AND series.meter_id = wanted.meter
        AND series.generation = meter.generation
        AND (wanted.subscription = '' OR series.subscription = wanted.subscription)
    CROSS JOIN {used}
    WHERE used.events > 0
"""
_MERGED_BY = {
    kind: _BUCKETS.format(
        used=kept_hours.joined(
            "used",
            *("wanted.customer", "series.id"),
            ("wanted.first_hour", "wanted.end_hour"),
            ("wanted.first_day", "wanted.end_day"),
            kind,
        )
    )
    for kind in Hourly
}

# The part of an hour at a bound by the index event_customer_type_time (customer, type, timestamp). OFFSET 0 keeps the
# planner from making a join of it, which may read all events there are.
_EVENTS = """
    SELECT wanted.ordinal, wanted.customer, event.subscription, event.value, event.properties::text
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
            AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = bound.id)
        OFFSET 0
    ) AS event
"""


class StillCounting(Exception):
    """Stored events of these meters (by id) are still being counted: their usage is not known yet."""

    def __init__(self, meters: frozenset[int]) -> None:
        super().__init__(f"Stored events of the meters {sorted(meters)} are still being counted.")
        self.meters = meters


def read(
    windows: Sequence[Window], *, told: Collection[int] = (), current: Registry | None = None
) -> dict[int, list[Usage]]:
    """Usage of every window, by its key, ordered by dimension values. The number of queries does not grow.

    Whole UTC hours come from buckets, whole closed days from their totals, the part of an hour at a bound from the raw
    events of that hour; what depends on time comes from points. Raises KeyError for a meter that does not exist, and
    StillCounting for one that has not counted all stored events, unless it is one of those `told`: of them the caller
    shows beside their usage what `backfills.progress.unfinished` said before.

    `current`: the definitions in force, when the caller has just asked for them.

    What is kept of a meter that is changed meanwhile may be that of two definitions, or nothing: it is read again.
    """
    while True:
        current = current or registry.current()
        found = _read(windows, current, told)
        if registry.revision() == current.revision:
            return found
        current = None


def _read(windows: Sequence[Window], current: Registry, told: Collection[int]) -> dict[int, list[Usage]]:
    definitions = {window.meter: current.by_id[window.meter] for window in windows}
    if unknown := (current.counting & definitions.keys()) - set(told):
        raise StillCounting(unknown)
    found: dict[int, list[Usage]] = {window.key: [] for window in windows}
    in_time = [each for each in windows if definitions[each.meter].aggregation.keeps is Keeps.POINTS]
    in_hours = [each for each in windows if definitions[each.meter].aggregation.keeps is not Keeps.POINTS]
    for window, place, quantity, events in (
        *(_of_hours(in_hours, definitions) if in_hours else ()),
        *(points.read(in_time, definitions) if in_time else ()),
    ):
        rounded = definitions[window.meter].rounding.apply(quantity)
        found[window.key].append(Usage(dict(place), rounded, events))
    for usages in found.values():
        usages.sort(key=lambda usage: tuple(usage.dimensions.items()))
    return found


def _of_hours(
    windows: Sequence[Window], definitions: Mapping[int, Definition]
) -> Iterator[tuple[Window, Values, Decimal, int]]:
    wholes: dict[tuple[int, Values], _Whole] = {}
    by_key = {window.key: window for window in windows}
    parts = [part for window in windows for part in window.parts()]
    for window, place, tally, series, texts in (*_of_buckets(parts, definitions), *_of_events(parts, definitions)):
        whole = wholes.get((window.key, place))
        if whole is None:
            whole = wholes[window.key, place] = _Whole(tally)
        else:
            merge = definitions[window.meter].aggregation.merge
            whole.tally = Tally(merge(whole.tally.quantity, tally.quantity), whole.tally.events + tally.events)
        if series:
            whole.series.append(series)
        whole.texts.update(texts)
    different = {
        key: uniques.Wanted(whole.series, whole.texts)
        for key, whole in wholes.items()
        if definitions[by_key[key[0]].meter].aggregation.keeps is Keeps.VALUES
    }
    counted = uniques.count(different) if different else {}
    for (key, place), whole in wholes.items():
        window, (kept, events) = by_key[key], whole.tally
        if kept is None:
            yield window, place, counted[key, place], events
        else:
            yield window, place, definitions[window.meter].aggregation.quantity(kept, events), events


def _of_buckets(parts: Sequence[Part], definitions: Mapping[int, Definition]) -> Iterator[_Found]:
    wanted: dict[Hourly, list[tuple[object, ...]]] = {}
    for ordinal, part in enumerate(parts):
        hours, meter = whole_hours(part.period), part.window.meter
        if hours[0] < hours[1]:
            days, customers = whole_days(*hours), set(part.window.customers)
            wanted.setdefault(definitions[meter].aggregation.hourly, []).extend(
                (ordinal, customer, meter, part.only, *hours, *days) for customer in customers
            )
    for kind, table in wanted.items():
        rows = fetch(_MERGED_BY[kind], *columns(table, 8), prepare=True)
        for ordinal, customer, series, subscription, dimensions, quantity, events in rows:
            part = parts[ordinal]
            place = part.place(subscription, from_text(dimensions))
            if place is not None:
                looked_up = None if kind else (customer, series, *whole_hours(part.period))
                yield _Found(part.window, place, Tally(quantity, events), looked_up)


def _of_events(parts: Sequence[Part], definitions: Mapping[int, Definition]) -> Iterator[_Found]:
    wanted = [
        (ordinal, customer, definitions[part.window.meter].event_type, part.only, bound.start, bound.end)
        for ordinal, part in enumerate(parts)
        for bound in parts_of_hours(part.period)
        for customer in set(part.window.customers)
    ]
    if not wanted:
        return
    tallies: dict[tuple[int, SeriesKey], Tally] = {}
    texts: dict[tuple[int, SeriesKey], set[str]] = defaultdict(set)
    for ordinal, customer, subscription, value, properties in stream(_EVENTS, *columns(wanted, 6), COUNTED):
        definition = definitions[parts[ordinal].window.meter]
        for dimensions, quantity, text in quantities(definition, value, from_text(properties)):
            key = (ordinal, SeriesKey(customer, definition.id, subscription, dimensions, definition.generation))
            add(tallies, key, definition.aggregation, quantity)
            if text:
                texts[key].add(text)
    elsewhere = placing.where({series for _, series in tallies}) if tallies else {}
    for (ordinal, series), tally in tallies.items():
        part, counted = parts[ordinal], elsewhere.get(series, series)
        place = part.place(counted.subscription, dict(counted.dimensions))
        if place is not None:
            yield _Found(part.window, place, tally, texts=texts.get((ordinal, series), ()))
