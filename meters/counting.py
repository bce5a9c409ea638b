"""What events add to buckets. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from meters.decoding import Batch, Rejected, SentEvent, reject
from meters.extraction import Definition, quantities
from meters.values import Unfit

COUNTED = "succeeded"


class SeriesKey(NamedTuple):
    """What a series is; `dimensions` are (name, value) in order of name."""

    customer: str
    meter: int
    subscription: str
    dimensions: tuple[tuple[str, str], ...]


class Part(NamedTuple):
    """What one event adds to one series."""

    series: SeriesKey
    definition: Definition
    quantity: Decimal


class Tally(NamedTuple):
    """What a bucket holds: the aggregation's state, and how many events went into it."""

    quantity: Decimal
    events: int


@dataclass
class Prepared:
    """A batch ready to be stored: each reference once, in the order in which everybody locks; what each event adds.

    `repeated`: how many events of the batch named a reference that an earlier one had.
    """

    events: list[SentEvent]
    parts: list[list[Part]]
    rejected: list[Rejected]
    repeated: int

    def series(self) -> set[SeriesKey]:
        return {part.series for parts in self.parts for part in parts}

    def streams(self) -> set[tuple[str, str]]:
        return {(event.customer, event.type) for event in self.events}


@dataclass
class Counted:
    """What to add: by (customer, series, hour), and the earliest hour changed by (customer, meter)."""

    tallies: dict[tuple[str, int, datetime], Tally] = field(default_factory=dict)
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
        for dimensions, quantity in quantities(definition, event.value, event.properties, strict=strict):
            yield Part(SeriesKey(event.customer, definition.id, event.subscription, dimensions), definition, quantity)


def hour_of(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def count(prepared: Prepared, stored: Collection[tuple[str, str]], ids: Mapping[SeriesKey, int]) -> Counted:
    """Fold what the events add whose (customer, reference) is in `stored`. Keys come in the order in which to lock."""
    counted = Counted()
    tallies, changes = counted.tallies, counted.changes
    for event, parts in zip(prepared.events, prepared.parts, strict=True):
        if not parts or (event.customer, event.reference) not in stored:
            continue
        hour = hour_of(event.timestamp)
        for series, definition, quantity in parts:
            key = (event.customer, ids[series], hour)
            add(tallies, key, definition, quantity)
            changed = (event.customer, definition.id)
            if changes.setdefault(changed, hour) > hour:
                changes[changed] = hour
    counted.tallies = {key: tallies[key] for key in sorted(tallies)}
    return counted


def add(tallies: dict[Any, Tally], key: Any, definition: Definition, quantity: Decimal) -> None:
    """Fold one more quantity into the tally at `key`."""
    aggregation, tally = definition.aggregation, tallies.get(key)
    if tally is None:
        tallies[key] = Tally(aggregation.fold(aggregation.start(), quantity), 1)
    else:
        tallies[key] = Tally(aggregation.fold(tally.quantity, quantity), tally.events + 1)
