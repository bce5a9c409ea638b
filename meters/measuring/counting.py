"""What events add to buckets. Pure."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, cast

from meters.events.decoding import SentEvent
from meters.measuring import summing
from meters.measuring.aggregation import FOLDS, Aggregation, Hourly, Keeps, Kept
from meters.measuring.extraction import Definition, Dimensions, Found, labelled, quantities, read
from meters.measuring.summing import AT_LEAST, Sums, Where

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
_Row = tuple[SeriesHour, Tally]


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
Ids = Mapping[Where, Mapping[str, int]]
"""The ids of series, by label."""


@dataclass
class Added:
    """What events add to series whose ids are not known yet.

    The labels of an event share one look-up and whole numbers are added up as such: this is where ingestion spends its
    time.
    """

    meters: dict[int, Definition] = field(default_factory=dict)
    sums: list[Sums] = field(default_factory=list)
    # By where, hours since the epoch, and label: what is kept of the values, and how many events went into it.
    tallies: dict[Where, dict[int, dict[str, list[Any]]]] = field(default_factory=dict)
    points: list[tuple[Where, str, str, datetime, Decimal]] = field(default_factory=list)
    values: set[tuple[Where, str, datetime, str]] = field(default_factory=set)

    def add(self, event: SentEvent, readings: Iterable[Reading]) -> None:
        """Fold in what the meters of its type read from an event."""
        hour = _number_of_hour(event.timestamp)
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

    def add_at_once(self, events: Sequence[SentEvent], by_type: Mapping[str, Sequence[Definition]]) -> list[SentEvent]:
        """Fold in what can be read from many events at once; the others come back."""
        if len(events) < AT_LEAST:
            return list(events)
        left: list[SentEvent] = []
        of_type: dict[str, list[SentEvent]] = defaultdict(list)
        for event in events:
            of_type[event.type].append(event)
        for event_type, mine in of_type.items():
            counted = [event for event in mine if event.status == COUNTED]
            sums = summing.read_all(by_type.get(event_type, ()), counted, _hours(counted))
            if sums is None:
                left += mine
            else:
                self.sums += sums
                self.meters.update({each.definition.id: each.definition for each in sums})
        return left

    def include(self, other: "Added") -> None:
        """Fold in what other events add, read by the same definitions; `other` is used up."""
        self.settle()
        other.settle()
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

    def settle(self) -> None:
        """Have all sums among the tallies."""
        for sums in self.sums:
            for where, hour, totals, count in sums.rows:
                labels = self._labels(where, hour, sums.definition)
                for label, total in zip(sums.labels, totals, strict=True):
                    tally = labels.setdefault(label, [0, 0])
                    tally[:] = sums.definition.aggregation.fold(tally[0], total), tally[1] + count
        self.sums = []

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
        """Every series, by where and label; one may come several times."""
        for sums in self.sums:
            for where, _, _, _ in sums.rows:
                yield where, sums.labels
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

    def _first_hours(self) -> dict[tuple[str, int], int]:
        """The earliest hour by (customer, meter)."""
        hours = [(hour, where) for sums in self.sums for where, hour, _, _ in sums.rows]
        hours += [(min(of_where), where) for where, of_where in self.tallies.items()]
        hours.sort(key=itemgetter(0), reverse=True)
        return {(customer, meter): hour for hour, (meter, customer, _, _) in hours}

    def counted(self, ids: Ids, events: Mapping[tuple[str, str], int]) -> Counted:
        """The same with the ids of series and, where there are points, of events by (customer, reference)."""
        counted = Counted()
        rows: dict[Hourly, list[_Row]] = defaultdict(list)
        instants = _Instants()
        for sums in self.sums:
            of_kind, labels = rows[sums.definition.aggregation.hourly], sums.labels
            for where, hour, totals, count in sums.rows:
                customer, located, instant = where[1], ids[where], instants[hour]
                for label, total in zip(labels, totals, strict=True):
                    of_kind.append(((customer, located[label], instant), _tally((total, count))))
        for where, hours in self.tallies.items():
            of_kind = rows[self.meters[where[0]].aggregation.hourly]
            customer, located = where[1], ids[where]
            of_kind += [
                ((customer, located[label], instants[hour]), _tally((kept, count)))
                for hour, of_hour in hours.items()
                for label, (kept, count) in of_hour.items()
            ]
        counted.tallies = {kind: _in_order(kind, rows[kind]) for kind in sorted(rows)}
        counted.changes = {changed: instants[hour] for changed, hour in self._first_hours().items()}
        counted.points = [
            (where[1], ids[where][label], Point(timestamp, events[where[1], reference], number))
            for where, label, reference, timestamp, number in self.points
        ]
        counted.values = {(where[1], ids[where][label], hour, text) for where, label, hour, text in self.values}
        return counted


class _Instants(dict[int, datetime]):
    """When numbered hours begin."""

    def __missing__(self, hour: int) -> datetime:
        instant = self[hour] = _EPOCH + hour * HOUR
        return instant


def _in_order(kind: Hourly, rows: list[_Row]) -> dict[SeriesHour, Tally]:
    """By customer, series and hour. Beyond a limit several combinations are counted at one series: they are merged."""
    rows.sort(key=itemgetter(0))
    tallies = dict(rows)
    if len(tallies) < len(rows):
        fold = FOLDS[kind]
        tallies = {}
        for key, tally in rows:
            other = tallies.get(key)
            tallies[key] = Tally(fold(other.quantity, tally.quantity), other.events + tally.events) if other else tally
    return tallies


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


def _number_of_hour(instant: datetime) -> int:
    return (instant - _EPOCH) // HOUR


def _hours(events: Sequence[SentEvent]) -> list[int]:
    """The hour of each, numbered since the epoch. All of a batch mostly lie in the same."""
    instants = [event.timestamp for event in events]
    if not instants:
        return []
    first = _number_of_hour(min(instants))
    if first == _number_of_hour(max(instants)):
        return [first] * len(instants)
    return [_number_of_hour(instant) for instant in instants]


def hour_of(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def add(tallies: dict[Any, Tally], key: Any, aggregation: Aggregation, quantity: Decimal) -> None:
    """Fold one more quantity into the tally at `key`."""
    tally = tallies.get(key)
    if tally is None:
        tallies[key] = Tally(aggregation.start(quantity), 1)
    else:
        tallies[key] = Tally(aggregation.merge(tally.quantity, quantity), tally.events + 1)
