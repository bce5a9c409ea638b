"""How calls went: succeeded, failed, and what the failed ones used. Failed events are kept and never billed."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from django.db import connection

from billing_site.foundation.money import EXACT, ZERO
from meters.explorer.attribution import values_of
from meters.explorer.scanning import Part, Scanned, in_time, scan
from meters.measuring import registry
from meters.measuring.extraction import Definition
from meters.models import Event

# Each stream by the index event_customer_type_time; the aggregate keeps the planner from reading events otherwise.
_COUNTS = """
    SELECT stream.customer, stream.type, counted.succeeded, counted.failed
    FROM meters_stream AS stream
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE event.status = 'succeeded') AS succeeded,
            count(*) FILTER (WHERE event.status = 'failed') AS failed
        FROM meters_event AS event
        WHERE event.customer = stream.customer AND event.type = stream.type
            AND event.timestamp >= %(start)s AND event.timestamp < %(end)s
            AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = event.id)
    ) AS counted
    WHERE (%(customers)s::text[] IS NULL OR stream.customer = ANY(%(customers)s))
        AND (%(types)s::text[] IS NULL OR stream.type = ANY(%(types)s))
        AND counted.succeeded + counted.failed > 0
    ORDER BY counted.failed DESC, stream.customer, stream.type
"""
_ADDED_UP = ("count", "sum")

Note = Callable[[Scanned, Definition], None]


@dataclass(frozen=True)
class Outcomes:
    """Calls of one customer reference and event type.

    `failed_quantities`: by meter id, what meters that add up would have counted of the failed calls, had they
    succeeded.
    """

    customer: str
    type: str
    succeeded: int
    failed: int
    failed_quantities: Mapping[int, Decimal]

    @property
    def error_rate(self) -> Decimal:
        """Failed calls of all calls, in percent at two places."""
        return error_rate(self.succeeded, self.failed)


def error_rate(succeeded: int, failed: int) -> Decimal:
    """`failed` of all calls, in percent at two places; there is at least one call."""
    share = EXACT.divide(Decimal(100 * failed), Decimal(succeeded + failed))
    return share.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def outcomes(part: Part, note: Note | None = None) -> tuple[list[Outcomes], list[Definition]]:
    """By customer and type, most failed first, and the meters that read something of a failed call, by code.

    `note` is told of every failed call and meter that adds up of its type. Two statements. Raises
    `meters.explorer.scanning.TooMuch`.
    """
    with in_time(), connection.cursor() as cursor:
        cursor.execute(_COUNTS, part.parameters())
        counts = cursor.fetchall()
    failed, seen = _failed(part, note) if any(row[3] for row in counts) else ({}, {})
    rows = [
        Outcomes(customer, kind, good, bad, failed.get((customer, kind), {})) for customer, kind, good, bad in counts
    ]
    return rows, sorted(seen.values(), key=lambda definition: definition.code)


def _failed(part: Part, note: Note | None) -> tuple[dict[tuple[str, str], dict[int, Decimal]], dict[int, Definition]]:
    by_type: Mapping[str, Sequence[Definition]] = registry.current().by_type
    sums: dict[tuple[str, str], dict[int, Decimal]] = defaultdict(dict)
    seen: dict[int, Definition] = {}
    for event in scan(part, status=Event.Status.FAILED.value):
        row = sums[event.customer, event.type]
        for definition in by_type.get(event.type, ()):
            if definition.aggregation.key not in _ADDED_UP:
                continue
            if note is not None:
                note(event, definition)
            for quantity in values_of(definition, event):
                seen[definition.id] = definition
                row[definition.id] = EXACT.add(row.get(definition.id, ZERO), quantity)
    return sums, seen
