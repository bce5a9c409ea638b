"""Usage follows a correction, in its transaction: what one form of an event added is taken out, another's comes in.

What adds up is subtracted, and a point is of one event, so it goes by itself. The greatest and the smallest value of an
hour, and its different values, are read anew from the events that survive. Meanwhile every slot of that hour's buckets
is held: a batch that has counted into it is waited for, and its events are read; one that has not will do so after this
commits, on top of what is then there. So none is lost, and nobody else waits.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from meters.backfills import backfilling
from meters.backfills.progress import Uncounted
from meters.database import pipeline
from meters.events.decoding import SentEvent
from meters.events.exact_json import from_text
from meters.ingestion.additions import SLOTS
from meters.measuring.aggregation import Hourly, Keeps
from meters.measuring.counting import COUNTED, Part, Point, SeriesHour, SeriesKey, Tally, add, hour_of, parts_of
from meters.measuring.extraction import Definition
from meters.models import Event
from meters.usage import buckets, interning, placing

EVENTS_AT_ONCE = 5_000
_READ_ANEW = (Hourly.MAX, Hourly.MIN)

# By the index event_customer_type_time; what was corrected by meters_correction's unique index on the event.
_SURVIVORS = """
    SELECT event.id, event.value, event.subscription, event.properties::text
    FROM meters_event AS event
    WHERE event.customer = %s AND event.type = %s AND event.timestamp >= %s
        AND event.timestamp < %s + interval '1 hour' AND event.status = %s
        AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = event.id)
"""


@dataclass
class _Change:
    """What usage is to lose and to gain, as series are still without ids."""

    gone: list[Part] = field(default_factory=list)
    come: list[Part] = field(default_factory=list)


@dataclass
class _Anew:
    """Hours of series that are read again: by the series, what its meter is, and what there is now."""

    definitions: dict[SeriesKey, Definition] = field(default_factory=dict)
    tallies: dict[SeriesKey, Tally] = field(default_factory=dict)
    values: dict[SeriesKey, set[str]] = field(default_factory=lambda: defaultdict(set))


def parts_by_meter(event: Any, definitions: Iterable[Definition], *, strict: bool) -> dict[int, list[Part]]:
    """What an event adds to each meter, by the meter's id. Raises Unfit when `strict`."""
    return {each.id: list(parts_of(event, [each], strict=strict)) for each in definitions}


def follow(gone: Event, come: SentEvent | None, definitions: Sequence[Definition]) -> None:
    """Take out of usage what `gone` added, and count `come`, which takes its place. Both are stored as such already.

    `definitions`: all meters of the event's type, locked against changes.
    """
    waiting = backfilling.uncounted([each.id for each in definitions])
    change = _change(gone, come, definitions, waiting)
    if not change.gone and not change.come:
        return
    ids = interning.make({part.series for part in (*change.gone, *change.come)}, {(gone.customer, gone.type)})
    elsewhere = placing.where(list(ids))
    change = _Change(_counted_at(change.gone, elsewhere), _counted_at(change.come, elsewhere))
    ids |= {elsewhere[key]: ids[key] for key in elsewhere}
    hour = hour_of(gone.timestamp)
    anew = _Anew({part.series: part.definition for part in change.gone if _is_read_anew(part.definition)})
    held = sorted((each.customer, ids[each], hour) for each in anew.definitions)
    arrived = hour_of(come.timestamp) if come else hour
    changed = {(part.series.customer, part.series.meter, hour) for part in change.gone}
    changed |= {(part.series.customer, part.series.meter, arrived) for part in change.come}
    with pipeline():
        buckets.send_changes(sorted(changed))
        buckets.send_hold(held, SLOTS)
    if held:
        _read_anew(anew, gone, hour, waiting)
    own = [part for part in change.gone if part.series not in anew.definitions]
    other = [part for part in change.come if part.series not in anew.definitions or arrived != hour]
    received = gone.replaces_id or gone.pk
    with pipeline():
        buckets.send_removal(held)
        buckets.send_points_removal(
            (part.series.customer, ids[part.series], gone.timestamp, received) for part in own if _has_points(part)
        )
        if come:
            buckets.send_points(
                (part.series.customer, ids[part.series], Point(come.timestamp, received, part.quantity))
                for part in other
                if _has_points(part)
            )
        buckets.send_tallies(_recounted(anew, ids, hour), slot=0)
        buckets.send_tallies(_folded(own, hour, other, arrived, ids), connection.connection.info.backend_pid % SLOTS)
        buckets.send_values(
            [
                *((each.customer, ids[each], hour, text) for each, texts in anew.values.items() for text in texts),
                *((part.series.customer, ids[part.series], arrived, part.text) for part in other if part.text),
            ]
        )


def _counted_by(event: int, definitions: Iterable[Definition], waiting: Mapping[int, Uncounted]) -> list[Definition]:
    """The meters that have counted the event of this id: not those whose job has still to come to it."""
    return [each for each in definitions if each.id not in waiting or not waiting[each.id].holds(event)]


def _counted_at(parts: Iterable[Part], elsewhere: Mapping[SeriesKey, SeriesKey]) -> list[Part]:
    """With the series at which they are counted: beyond a limit that is another."""
    return [part._replace(series=elsewhere.get(part.series, part.series)) for part in parts]


def _change(
    gone: Event, come: SentEvent | None, definitions: Sequence[Definition], waiting: Mapping[int, Uncounted]
) -> _Change:
    """Nothing for a meter that reads the same at the same instant."""
    before = parts_by_meter(gone, _counted_by(gone.pk, definitions, waiting), strict=False)
    after = parts_by_meter(come, definitions, strict=False) if come else {}
    change = _Change()
    for meter in before.keys() | after.keys():
        if come and come.timestamp == gone.timestamp and before.get(meter) == after.get(meter):
            continue
        change.gone += before.get(meter, [])
        change.come += after.get(meter, [])
    return change


def _is_read_anew(definition: Definition) -> bool:
    return definition.aggregation.hourly in _READ_ANEW or definition.aggregation.keeps is Keeps.VALUES


def _has_points(part: Part) -> bool:
    return part.definition.aggregation.keeps is Keeps.POINTS


def _read_anew(anew: _Anew, gone: Event, hour: datetime, waiting: Mapping[int, Uncounted]) -> None:
    """What the events of the hour come to that survive, of the series that are held."""
    meters = {each.id: each for each in anew.definitions.values()}
    counted_at = {meter: placing.of_meter(meter) for meter in meters}
    for key, value, subscription, properties in _survivors(gone, hour):
        read = from_text(properties)
        event = SentEvent(0, gone.reference, gone.type, gone.customer, hour, value, COUNTED, subscription, read)
        counted_by = _counted_by(key, meters.values(), waiting)
        for own, definition, quantity, text in parts_of(event, counted_by, strict=False):
            series = counted_at[definition.id](own)
            if series in anew.definitions:
                add(anew.tallies, series, definition.aggregation, quantity)
                if text:
                    anew.values[series].add(text)


def _survivors(gone: Event, hour: datetime) -> Iterator[tuple[int, Decimal | None, str, str]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(_SURVIVORS, [gone.customer, gone.type, hour, hour, COUNTED])
        while page := cursor.fetchmany(EVENTS_AT_ONCE):
            yield from page


def _recounted(anew: _Anew, ids: dict[SeriesKey, int], hour: datetime) -> dict[Hourly, dict[SeriesHour, Tally]]:
    found: dict[Hourly, dict[SeriesHour, Tally]] = defaultdict(dict)
    for series, tally in anew.tallies.items():
        found[anew.definitions[series].aggregation.hourly][series.customer, ids[series], hour] = tally
    return _in_order(found)


def _folded(
    gone: Iterable[Part], left: datetime, come: Iterable[Part], arrived: datetime, ids: dict[SeriesKey, int]
) -> dict[Hourly, dict[SeriesHour, Tally]]:
    """What to add to buckets, the minus of what is gone included."""
    found: dict[Hourly, dict[SeriesHour, Tally]] = defaultdict(dict)
    parts = [*((part, left, -1) for part in gone), *((part, arrived, 1) for part in come)]
    for part, hour, events in parts:
        aggregation, key = part.definition.aggregation, (part.series.customer, ids[part.series], hour)
        signed = part.quantity if events > 0 else part.quantity.copy_negate()
        tally = Tally(aggregation.start(signed), events)
        if other := found[aggregation.hourly].get(key):
            tally = Tally(aggregation.merge(other.quantity, tally.quantity), other.events + events)
        found[aggregation.hourly][key] = tally
    return _in_order(found)


def _in_order(tallies: dict[Hourly, dict[SeriesHour, Tally]]) -> dict[Hourly, dict[SeriesHour, Tally]]:
    return {kind: dict(sorted(of_kind.items())) for kind, of_kind in sorted(tallies.items())}
