"""A batch made ready to be stored: each event once, in the order received, and what all of them add. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from meters.events.decoding import Batch, Rejected, SentEvent, reject
from meters.events.values import Unfit
from meters.measuring.counting import Added, read_by
from meters.measuring.extraction import Definition


@dataclass
class Prepared:
    """A batch ready to be stored: each reference once, in the order in which they came; what all of them add.

    `repeated`: how many events of the batch named a reference that an earlier one had.
    """

    events: list[SentEvent]
    added: Added
    rejected: list[Rejected]
    repeated: int

    def streams(self) -> set[tuple[str, str]]:
        return {(event.customer, event.type) for event in self.events}


def prepare(batch: Batch, by_type: Mapping[str, Sequence[Definition]]) -> Prepared:
    """Read every event by the meters of its type. One that a meter cannot take as it is becomes rejected."""
    kept, again = _each_once(batch.events)
    added, rejected, repeated = Added(), list(batch.rejected), 0
    for event in [*added.add_at_once(list(kept.values()), by_type), *again]:
        key = event.customer, event.reference
        try:
            readings = read_by(by_type.get(event.type, ()), event)
        except Unfit as fault:
            rejected.append(reject(event.index, event.reference, fault))
            if kept.get(key) is event:
                del kept[key]
            continue
        if kept.setdefault(key, event) is event:
            added.add(event, readings)
        else:
            repeated += 1
    rejected.sort(key=lambda each: each.index)
    received = sorted(kept.values(), key=attrgetter("index")) if again else list(kept.values())
    return Prepared(received, added, rejected, repeated)


def _each_once(events: Sequence[SentEvent]) -> tuple[dict[tuple[str, str], SentEvent], list[SentEvent]]:
    """The first event of each (customer, reference), and the others."""
    kept = {(event.customer, event.reference): event for event in events}
    if len(kept) == len(events):
        return kept, []
    kept = {(event.customer, event.reference): event for event in reversed(events)}
    first = [event for event in events if kept[event.customer, event.reference] is event]
    again = [event for event in events if kept[event.customer, event.reference] is not event]
    return {(event.customer, event.reference): event for event in first}, again


def merge(several: Sequence[Prepared]) -> Prepared:
    """Several batches as one, in the order in which they came; their references differ. What they add is used up."""
    added = Added()
    for each in several:
        added.include(each.added)
    return Prepared([event for each in several for event in each.events], added, [], 0)
