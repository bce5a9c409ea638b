"""What would become of a batch, changing nothing."""

from dataclasses import dataclass

from meters.database import columns, fetch
from meters.events.decoding import Batch, Rejected
from meters.measuring import registry
from meters.measuring.preparing import prepare

# Uses the unique index event_once.
_KNOWN = """
    SELECT customer, reference FROM unnest(%b::text[], %b::text[]) AS sent (customer, reference)
    WHERE EXISTS (
        SELECT FROM meters_event AS event
        WHERE event.customer = sent.customer AND event.reference = sent.reference AND event.replaces IS NULL
    )
"""


@dataclass(frozen=True)
class Foreseen:
    """`keys`: the (customer, reference) of every event, each once; `repeated`: how many named one again."""

    keys: list[tuple[str, str]]
    repeated: int
    rejected: list[Rejected]


def foresee(batch: Batch) -> Foreseen:
    """Read a batch by the meters in force."""
    prepared = prepare(batch, registry.current().by_type)
    return Foreseen([(each.customer, each.reference) for each in prepared.events], prepared.repeated, prepared.rejected)


def stored(keys: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these events are stored already."""
    return set(fetch(_KNOWN, *columns(keys, 2)))
