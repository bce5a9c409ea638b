"""What events add to buckets. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from meters.aggregation import Aggregation, Hourly, Keeps
from meters.decoding import Batch, Rejected, SentEvent, reject
from meters.extraction import Definition, quantities
from meters.values import Unfit

COUNTED = "succeeded"


class SeriesKey(NamedTuple):
    """What a series is; `dimensions` are (name, value) in order of name, `generation` is that of the meter."""

    customer: str
    meter: int
    subscription: str
    dimensions: tuple[tuple[str, str], ...]
    generation: int = 1


class Part(NamedTuple):
    """What one event adds to one series."""

    series: SeriesKey
    definition: Definition
    quantity: Decimal
    text: str


class Tally(NamedTuple):
    """What a bucket holds: what is kept of the values, and how many events went into it.

    `quantity` None: the hour by itself says nothing, points or values are kept beside it.
    """

    quantity: Decimal | None
    events: int


class Point(NamedTuple):
    """A value at its instant. Of two at one instant the one of the greater `event` came later."""

    timestamp: datetime
    event: int
    value: Decimal


@dataclass
class Prepared:
    """A batch ready to be stored: each reference once, in the order in which everybody locks; what each event adds.

    `repeated`: how many events of the batch named a reference that an earlier one had.
    """

    events: list[SentEvent]
    parts: list[list[Part]]
    rejected: list[Rejected]
    repeated: int

    def needs_order(self) -> bool:
        """Whether any event gives a value that must be told from another at the same instant."""
        return any(part.definition.aggregation.keeps is Keeps.POINTS for parts in self.parts for part in parts)

    def series(self) -> set[SeriesKey]:
        return {part.series for parts in self.parts for part in parts}

    def streams(self) -> set[tuple[str, str]]:
        return {(event.customer, event.type) for event in self.events}


SeriesHour = tuple[str, int, datetime]
"""Customer, series id, hour."""


@dataclass
class Counted:
    """What to add, each in the order in which to lock, and the earliest hour changed by (customer, meter).

    `tallies` by what their buckets keep; `points` and `values` of the meters that keep them.
    """

    tallies: dict[Hourly, dict[SeriesHour, Tally]] = field(default_factory=dict)
    points: list[tuple[str, int, Point]] = field(default_factory=list)
    values: set[tuple[str, int, datetime, str]] = field(default_factory=set)
    changes: dict[tuple[str, int], datetime] = field(default_factory=dict)


def prepare(batch: Batch, by_type: Mapping[str, Sequence[Definition]]) -> Prepared:
    """Read every event by the meters of its type. One that a meter cannot take as it is becomes rejected."""
    found: dict[tuple[str, str], tuple[SentEvent, list[Part]]] = {}
    rejected, repeated = list(batch.rejected), 0
    for event in batch.events:
        try:
            parts = list(parts_of(event, by_type.get(event.type, ()), strict=True))
        except Unfit as fault:
            rejected.append(reject(event.index, event.reference, fault))
            continue
        kept = found.setdefault((event.customer, event.reference), (event, parts))
        repeated += kept[0] is not event
    ordered = [found[key] for key in sorted(found)]
    rejected.sort(key=lambda each: each.index)
    return Prepared([event for event, _ in ordered], [parts for _, parts in ordered], rejected, repeated)


def parts_of(event: Any, definitions: Iterable[Definition], *, strict: bool) -> Iterable[Part]:
    """What an event adds to each series; nothing when it failed. Raises Unfit when `strict`, as `quantities` does."""
    if event.status != COUNTED:
        return
    for definition in definitions:
        for dimensions, quantity, text in quantities(definition, event.value, event.properties, strict=strict):
            series = SeriesKey(event.customer, definition.id, event.subscription, dimensions, definition.generation)
            yield Part(series, definition, quantity, text)


def hour_of(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def count(prepared: Prepared, stored: Mapping[tuple[str, str], int], ids: Mapping[SeriesKey, int]) -> Counted:
    """Fold what the events add whose (customer, reference) is in `stored`, which has their ids."""
    counted = Counted()
    changes, kinds = counted.changes, counted.tallies
    for event, parts in zip(prepared.events, prepared.parts, strict=True):
        reference = (event.customer, event.reference)
        if not parts or reference not in stored:
            continue
        hour = hour_of(event.timestamp)
        for series, definition, quantity, text in parts:
            aggregation, key = definition.aggregation, (event.customer, ids[series], hour)
            add(kinds.setdefault(aggregation.hourly, {}), key, aggregation, quantity)
            if aggregation.keeps is Keeps.POINTS:
                point = Point(event.timestamp, stored[reference], quantity)
                counted.points.append((event.customer, ids[series], point))
            elif aggregation.keeps is Keeps.VALUES:
                counted.values.add((*key, text))
            changed = (event.customer, definition.id)
            if changes.setdefault(changed, hour) > hour:
                changes[changed] = hour
    counted.tallies = {kind: {key: tallies[key] for key in sorted(tallies)} for kind, tallies in sorted(kinds.items())}
    return counted


def add(tallies: dict[Any, Tally], key: Any, aggregation: Aggregation, quantity: Decimal) -> None:
    """Fold one more quantity into the tally at `key`."""
    tally = tallies.get(key)
    if tally is None:
        tallies[key] = Tally(aggregation.start(quantity), 1)
    else:
        tallies[key] = Tally(aggregation.merge(tally.quantity, quantity), tally.events + 1)
