"""What events add to buckets. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, cast

from meters.events.decoding import Batch, Rejected, SentEvent, reject
from meters.events.values import Unfit
from meters.measuring.aggregation import Aggregation, Hourly, Keeps, Kept
from meters.measuring.extraction import Definition, Dimensions, Found, labelled, quantities, read

COUNTED = "succeeded"
HOUR = timedelta(hours=1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


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

    `quantity` may be an int where all values were whole. None: the hour by itself says nothing, points or values are
    kept beside it.
    """

    quantity: Kept
    events: int


# The same as calling it, at a third of the cost: a batch may have one for each label of each event.
_tally = cast("Callable[[tuple[Kept, int]], Tally]", partial(tuple.__new__, Tally))


class Point(NamedTuple):
    """A value at its instant. Of two at one instant the one of the greater `event` came later."""

    timestamp: datetime
    event: int
    value: Decimal


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


Reading = tuple[Definition, Dimensions, list[Found]]
"""What one meter reads from one event."""
Where = tuple[int, str, str, Dimensions]
"""Meter, customer, subscription, the dimension values that all labels share: with a label, it is a series."""
Ids = Mapping[Where, Mapping[str, int]]
"""The ids of series, by label."""


@dataclass
class Added:
    """What events add to series whose ids are not known yet.

    The labels of an event share one look-up and whole numbers are added up as such: this is where ingestion spends its
    time.
    """

    meters: dict[int, Definition] = field(default_factory=dict)
    # By where, hours since the epoch, and label: what is kept of the values, and how many events went into it.
    tallies: dict[Where, dict[int, dict[str, list[Any]]]] = field(default_factory=dict)
    points: list[tuple[Where, str, str, datetime, Decimal]] = field(default_factory=list)
    values: set[tuple[Where, str, datetime, str]] = field(default_factory=set)

    def add(self, event: SentEvent, readings: Iterable[Reading]) -> None:
        """Fold in what the meters of its type read from an event."""
        hour = (event.timestamp - _EPOCH) // HOUR
        for definition, base, found in readings:
            where = (definition.id, event.customer, event.subscription, base)
            labels = self._labels(where, hour, definition)
            fold = definition.aggregation.fold
            for label, number, _ in found:
                tally = labels.get(label)
                if tally is None:
                    labels[label] = [definition.aggregation.start(number), 1]
                else:
                    tally[0] = fold(tally[0], number)
                    tally[1] += 1
            if definition.aggregation.keeps is not Keeps.NOTHING:
                self._keep(event, definition, where, found)

    def _labels(self, where: Where, hour: int, definition: Definition) -> dict[str, list[Any]]:
        hours = self.tallies.get(where)
        if hours is None:
            self.meters[definition.id] = definition
            hours = self.tallies[where] = {}
        labels = hours.get(hour)
        if labels is None:
            labels = hours[hour] = {}
        return labels

    def include(self, other: "Added") -> None:
        """Fold in what other events add, read by the same definitions; `other` is used up."""
        for where, hours in other.tallies.items():
            definition = other.meters[where[0]]
            fold = definition.aggregation.fold
            for hour, theirs in hours.items():
                labels = self._labels(where, hour, definition)
                for label, tally in theirs.items():
                    mine = labels.setdefault(label, tally)
                    if mine is not tally:
                        mine[0] = fold(mine[0], tally[0])
                        mine[1] += tally[1]
        self.points += other.points
        self.values |= other.values

    def _keep(self, event: SentEvent, definition: Definition, where: Where, found: Iterable[Found]) -> None:
        for label, number, text in found:
            if definition.aggregation.keeps is Keeps.POINTS:
                self.points.append((where, label, event.reference, event.timestamp, Decimal(number)))
            else:
                self.values.add((where, label, hour_of(event.timestamp), text))

    def keeps_points(self) -> bool:
        """Whether any event gives a value that must be told from another at the same instant."""
        return bool(self.points)

    def labels(self) -> Iterator[tuple[Where, Collection[str]]]:
        """Every series, by where and label."""
        for where, hours in self.tallies.items():
            if len(hours) == 1:
                yield where, next(iter(hours.values()))
            else:
                yield where, {label: None for labels in hours.values() for label in labels}

    def key(self, where: Where, label: str) -> SeriesKey:
        """The series of a label."""
        meter, customer, subscription, base = where
        return series_key(self.meters[meter], customer, subscription, base, label)

    def series(self) -> set[SeriesKey]:
        return {self.key(where, label) for where, labels in self.labels() for label in labels}

    def located(self, ids: Mapping[SeriesKey, int]) -> Ids:
        """The ids of series by where and label, which `counted` asks for."""
        return {where: {label: ids[self.key(where, label)] for label in labels} for where, labels in self.labels()}

    def counted(self, ids: Ids, events: Mapping[tuple[str, str], int]) -> Counted:
        """The same with the ids of series and, where there are points, of events by (customer, reference)."""
        counted = Counted()
        instants = {hour: _EPOCH + hour * HOUR for hours in self.tallies.values() for hour in hours}
        for where, hours in self.tallies.items():
            meter, customer, _, _ = where
            aggregation, located = self.meters[meter].aggregation, ids[where]
            tallies = counted.tallies.setdefault(aggregation.hourly, {})
            for hour, labels in hours.items():
                instant = instants[hour]
                for label, (kept, count) in labels.items():
                    key = (customer, located[label], instant)
                    other = tallies.get(key)
                    if other is None:
                        tallies[key] = _tally((kept, count))
                    else:  # beyond a limit several combinations are counted at one series
                        tallies[key] = Tally(aggregation.fold(other.quantity, kept), other.events + count)
            changed, first = (customer, meter), instants[min(hours)]
            if changed not in counted.changes or counted.changes[changed] > first:
                counted.changes[changed] = first
        counted.tallies = {
            kind: dict(sorted(of_kind.items(), key=itemgetter(0))) for kind, of_kind in sorted(counted.tallies.items())
        }
        counted.points = [
            (where[1], ids[where][label], Point(timestamp, events[where[1], reference], number))
            for where, label, reference, timestamp, number in self.points
        ]
        counted.values = {(where[1], ids[where][label], hour, text) for where, label, hour, text in self.values}
        return counted


@dataclass
class Prepared:
    """A batch ready to be stored: each reference once, in the order in which everybody locks; what all of them add.

    `received`: the same events in the order in which they came. `repeated`: how many events of the batch named a
    reference that an earlier one had. `several`: it was made of several batches.
    """

    events: list[SentEvent]
    received: list[SentEvent]
    added: Added
    rejected: list[Rejected]
    repeated: int
    several: bool = False

    def needs_order(self) -> bool:
        """Whether two events of a type at one instant were sent in another order than that of their references.

        Which of them came later matters to the latest value, and also to a meter that is made after them. Several
        batches are always said to: they have no indexes in common.
        """
        if self.several:
            return True
        places: dict[tuple[str, datetime], int] = {}
        for event in self.events:
            instant = event.type, event.timestamp
            if places.get(instant, -1) > event.index:
                return True
            places[instant] = event.index
        return False

    def places(self) -> list[int]:
        """The place of each of `events` among those received."""
        found = {(event.customer, event.reference): place for place, event in enumerate(self.received)}
        return [found[event.customer, event.reference] for event in self.events]

    def streams(self) -> set[tuple[str, str]]:
        return {(event.customer, event.type) for event in self.events}


def prepare(batch: Batch, by_type: Mapping[str, Sequence[Definition]]) -> Prepared:
    """Read every event by the meters of its type. One that a meter cannot take as it is becomes rejected."""
    kept: dict[tuple[str, str], SentEvent] = {}
    added, rejected, repeated = Added(), list(batch.rejected), 0
    for event in batch.events:
        try:
            readings = read_by(by_type.get(event.type, ()), event)
        except Unfit as fault:
            rejected.append(reject(event.index, event.reference, fault))
            continue
        if kept.setdefault((event.customer, event.reference), event) is event:
            added.add(event, readings)
        else:
            repeated += 1
    rejected.sort(key=lambda each: each.index)
    return Prepared([kept[key] for key in sorted(kept)], list(kept.values()), added, rejected, repeated)


def merge(several: Sequence[Prepared]) -> Prepared:
    """Several batches as one, in the order in which they came; their references differ. What they add is used up."""
    added = Added()
    for each in several:
        added.include(each.added)
    received = [event for each in several for event in each.received]
    events = sorted(received, key=attrgetter("customer", "reference"))
    return Prepared(events, received, added, [], 0, several=True)


def add_up(events: Iterable[SentEvent], by_type: Mapping[str, Sequence[Definition]], *, strict: bool = True) -> Added:
    """What events add that `prepare` has let pass, or, when not `strict`, that were stored before a meter read them."""
    added = Added()
    for event in events:
        added.add(event, read_by(by_type.get(event.type, ()), event, strict=strict))
    return added


def read_by(definitions: Iterable[Definition], event: SentEvent, *, strict: bool = True) -> list[Reading]:
    """What meters read from an event; nothing when it failed. Raises Unfit when `strict`, as `quantities` does."""
    if event.status != COUNTED:
        return []
    readings = []
    for definition in definitions:
        base, found = read(definition, event.value, event.properties, strict=strict)
        if found:
            readings.append((definition, base, found))
    return readings


def parts_of(event: Any, definitions: Iterable[Definition], *, strict: bool) -> Iterable[Part]:
    """What an event adds to each series; nothing when it failed. Raises Unfit when `strict`, as `quantities` does."""
    if event.status != COUNTED:
        return
    for definition in definitions:
        for dimensions, quantity, text in quantities(definition, event.value, event.properties, strict=strict):
            series = SeriesKey(event.customer, definition.id, event.subscription, dimensions, definition.generation)
            yield Part(series, definition, quantity, text)


def series_key(definition: Definition, customer: str, subscription: str, base: Dimensions, label: str) -> SeriesKey:
    """The series of one labelled value."""
    dimensions = labelled(base, definition.label_dimension, label)
    return SeriesKey(customer, definition.id, subscription, dimensions, definition.generation)


def hour_of(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def add(tallies: dict[Any, Tally], key: Any, aggregation: Aggregation, quantity: Decimal) -> None:
    """Fold one more quantity into the tally at `key`."""
    tally = tallies.get(key)
    if tally is None:
        tallies[key] = Tally(aggregation.start(quantity), 1)
    else:
        tallies[key] = Tally(aggregation.merge(tally.quantity, quantity), tally.events + 1)
