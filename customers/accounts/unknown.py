"""References that events carry and no customer is known by."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from customers.models import Alias, UnknownCustomer
from meters.models import Stream

COUNTED_UP_TO = 10_000

# Each count stops at its limit and each last instant is one look into the index event_customer_type_time, so a page
# of the list costs the same however many events there are.
_SEEN = """
    SELECT stream.customer, array_agg(stream.type ORDER BY stream.type), sum(counted.events)::bigint, max(latest.at)
    FROM meters_stream AS stream
    CROSS JOIN LATERAL (
        SELECT count(*) AS events FROM (
            SELECT FROM meters_event AS event
            WHERE event.customer = stream.customer AND event.type = stream.type
                AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = event.id)
            LIMIT %(limit)s
        ) AS capped
    ) AS counted
    LEFT JOIN LATERAL (
        SELECT event.timestamp AS at FROM meters_event AS event
        WHERE event.customer = stream.customer AND event.type = stream.type
            AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = event.id)
        ORDER BY event.timestamp DESC LIMIT 1
    ) AS latest ON true
    WHERE stream.customer = ANY(%(references)s)
    GROUP BY stream.customer
"""


@dataclass(frozen=True)
class Seen:
    """What was seen of a reference. `events` is at most `COUNTED_UP_TO` + 1 for each type: more are not counted."""

    types: Sequence[str]
    events: int
    last_at: datetime | None

    def events_text(self) -> str:
        return f"more than {COUNTED_UP_TO:,}" if self.events > COUNTED_UP_TO else f"{self.events:,}"


def unknown_customers() -> QuerySet[UnknownCustomer]:
    """One row for each reference: the stream by which it was seen first."""
    known = Alias.objects.filter(reference=OuterRef("customer"))
    earlier = Stream.objects.filter(customer=OuterRef("customer"), pk__lt=OuterRef("pk"))
    return UnknownCustomer.objects.filter(~Exists(known), ~Exists(earlier))


def seen(references: Sequence[str]) -> dict[str, Seen]:
    """What was seen of each reference. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, {"references": list(references), "limit": COUNTED_UP_TO + 1})
        return {reference: Seen(types, events, last) for reference, types, events, last in cursor.fetchall()}
