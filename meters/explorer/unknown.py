"""Types of events that came in and that no meter reads: usage that nobody is billed for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min, QuerySet

from meters.database import fetch
from meters.models import Meter, Stream, UnknownType

COUNTED_UP_TO = 10_000

# The count stops at its limit, and each customer's last instant is one look into event_customer_type_time, so a page of
# the list costs the same however many events there are.
_SEEN = """
    SELECT
        wanted.type,
        (SELECT count(*) FROM meters_stream AS stream WHERE stream.type = wanted.type),
        (
            SELECT count(*) FROM (
                SELECT FROM meters_stream AS stream
                JOIN meters_event AS event ON event.customer = stream.customer AND event.type = stream.type
                WHERE stream.type = wanted.type
                    AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = event.id)
                LIMIT %b
            ) AS capped
        ),
        (
            SELECT max(latest.at) FROM meters_stream AS stream
            CROSS JOIN LATERAL (
                SELECT event.timestamp AS at FROM meters_event AS event
                WHERE event.customer = stream.customer AND event.type = stream.type
                    AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = event.id)
                ORDER BY event.timestamp DESC LIMIT 1
            ) AS latest
            WHERE stream.type = wanted.type
        )
    FROM unnest(%b::text[]) AS wanted (type)
"""


@dataclass(frozen=True)
class Seen:
    """What was seen of a type. `events` is at most `COUNTED_UP_TO` + 1: more are not counted."""

    customers: int
    events: int
    last_at: datetime | None

    def events_text(self) -> str:
        return f"more than {COUNTED_UP_TO:,}" if self.events > COUNTED_UP_TO else f"{self.events:,}"


def unknown_types() -> QuerySet[UnknownType]:
    """One row for each type that no meter reads: the stream by which it was seen first."""
    unread = Stream.objects.exclude(type__in=Meter.objects.values("event_type"))
    return UnknownType.objects.filter(pk__in=unread.values("type").annotate(first=Min("pk")).values("first"))


def seen(types: Sequence[str]) -> dict[str, Seen]:
    """What was seen of each type. One query."""
    return {name: Seen(*rest) for name, *rest in fetch(_SEEN, COUNTED_UP_TO + 1, list(types))}
