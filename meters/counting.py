"""What events add to buckets. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple

from meters.aggregation import Aggregation, Hourly, Keeps, Kept
from meters.decoding import Batch, Rejected, SentEvent, reject
from meters.extraction import Definition, Dimensions, Found, labelled, quantities, read
from meters.values import Unfit

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
_Place = tuple[int, str, str, Dimensions, int]
"""Meter, customer, subscription, the dimension values that all labels share, hours since the epoch."""
_Cell = tuple[SeriesKey, Definition, datetime, "list[Any]"]
"""A series in an hour, and what is kept of its values and how many events went into it."""


@dataclass
class Added:
    """What events add to series whose ids are not known yet.

    The labels of an event share one look-up and whole numbers are added up as such: this is where ingestion spends its
    time.
    """

    _meters: dict[int, Definition] = field(default_factory=dict)
    _tallies: dict[_Place, dict[str, list[Any]]] = field(default_factory=dict)
    _points: list[tuple[SeriesKey, tuple[str, str], datetime, Decimal]] = field(default_factory=list)
    _values: set[tuple[SeriesKey, datetime, str]] = field(default_factory=set)
    _cells: list[_Cell] = field(default_factory=list)

    def add(self, event: SentEvent, readings: Iterable[Reading]) -> None:
        """Fold in what the meters of its type read from an event."""
        hour = (event.timestamp - _EPOCH) // HOUR
        for definition, base, found in readings:
            place = (definition.id, event.customer, event.subscription, base, hour)
            labels = self._tallies.get(place)
            if labels is None:
                self._meters[definition.id] = definition
                labels = self._tallies[place] = {}
            fold = definition.aggregation.fold
            for label, number, _ in found:
                tally = labels.get(label)
                if tally is None:
                    labels[label] = [definition.aggregation.start(number), 1]
                else:
                    tally[0] = fold(tally[0], number)
                    tally[1] += 1
            if definition.aggregation.keeps is not Keeps.NOTHING:
                self._keep(event, definition, base, found)

    def _keep(self, event: SentEvent, definition: Definition, base: Dimensions, found: Iterable[Found]) -> None:
        for label, number, text in found:
            series = series_key(definition, event.customer, event.subscription, base, label)
            if definition.aggregation.keeps is Keeps.POINTS:
                self._points.append((series, (event.customer, event.reference), event.timestamp, Decimal(number)))
            else:
                self._values.add((series, hour_of(event.timestamp), text))

    def keeps_points(self) -> bool:
        """Whether any event gives a value that must be told from another at the same instant."""
        return bool(self._points)

    def cells(self) -> list[_Cell]:
        """Every series and hour. Not to be asked before all events are in."""
        if not self._cells:
            self._cells = list(self._every_cell())
        return self._cells

    def _every_cell(self) -> Iterator[_Cell]:
        hours = {hour: _EPOCH + hour * HOUR for hour in {place[-1] for place in self._tallies}}
        for (meter, customer, subscription, base, hour), labels in self._tallies.items():
            definition, instant = self._meters[meter], hours[hour]
            for label, tally in labels.items():
                yield series_key(definition, customer, subscription, base, label), definition, instant, tally

    def series(self) -> set[SeriesKey]:
        return {cell[0] for cell in self.cells()}

    def counted(self, ids: Mapping[SeriesKey, int], events: Mapping[tuple[str, str], int]) -> Counted:
        """The same with the ids of series and, where there are points, of events by (customer, reference)."""
        counted = Counted()
        changes = counted.changes
        for series, definition, hour, (kept, count) in self.cells():
            tallies = counted.tallies.get(definition.aggregation.hourly)
            if tallies is None:
                tallies = counted.tallies[definition.aggregation.hourly] = {}
            customer = series.customer
            key = (customer, ids[series], hour)
            other = tallies.get(key)
            if other is None:
                tallies[key] = Tally(kept, count)
            else:  # beyond a limit several combinations are counted at one series
                tallies[key] = Tally(definition.aggregation.fold(other.quantity, kept), other.events + count)
            changed = (customer, definition.id)
            if changed not in changes or changes[changed] > hour:
                changes[changed] = hour
        counted.tallies = {
            kind: dict(sorted(of_kind.items(), key=itemgetter(0))) for kind, of_kind in sorted(counted.tallies.items())
        }
        counted.points = [
            (series.customer, ids[series], Point(timestamp, events[event], number))
            for series, event, timestamp, number in self._points
        ]
        counted.values = {(series.customer, ids[series], hour, text) for series, hour, text in self._values}
        return counted


@dataclass
class Prepared:
    """A batch ready to be stored: each reference once, in the order in which everybody locks; what all of them add.

    `repeated`: how many events of the batch named a reference that an earlier one had.
    """

    events: list[SentEvent]
    added: Added
    rejected: list[Rejected]
    repeated: int

    def needs_order(self) -> bool:
        """Whether two events of a type at one instant were sent in another order than that of their references.

        Which of them came later matters to the latest value, and also to a meter that is made after them.
        """
        places: dict[tuple[str, datetime], int] = {}
        for event in self.events:
            instant = event.type, event.timestamp
            if places.get(instant, -1) > event.index:
                return True
            places[instant] = event.index
        return False

    def series(self) -> set[SeriesKey]:
        return self.added.series()

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
    return Prepared([kept[key] for key in sorted(kept)], added, rejected, repeated)


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
