"""Raw events of some customers, types and a period, within bounds of number and time: for pages that look at events
themselves. What they cannot look through in time they say, instead of holding the database up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import Any, NamedTuple

from django.db import OperationalError, connection, transaction

from billing_site.foundation.periods import Period
from meters.events.exact_json import from_text

EVENTS_AT_MOST = 200_000
SECONDS_AT_MOST = 15
_PAGE = 2_000
_CANCELED = "57014"

# Each stream by the index event_customer_type_time. The inner LIMIT keeps the planner from reading events in any other
# way, whatever it estimates.
_EVENTS = """
    SELECT event.id, event.customer, event.reference, event.type, event.status, event.value, event.timestamp,
        event.properties::text
    FROM meters_stream AS stream
    CROSS JOIN LATERAL (
        SELECT * FROM meters_event AS each
        WHERE each.customer = stream.customer AND each.type = stream.type
            AND each.timestamp >= %(start)s AND each.timestamp < %(end)s
            AND (%(status)s::text IS NULL OR each.status = %(status)s)
            AND NOT EXISTS (SELECT FROM meters_correction AS correction WHERE correction.event_id = each.id)
        ORDER BY each.timestamp
        LIMIT %(limit)s
    ) AS event
    WHERE (%(customers)s::text[] IS NULL OR stream.customer = ANY(%(customers)s))
        AND (%(types)s::text[] IS NULL OR stream.type = ANY(%(types)s))
    LIMIT %(limit)s
"""


class TooMuch(Exception):
    """More than is looked through for one page; the message says how much that is and what to do."""


@dataclass(frozen=True)
class Part:
    """Which events: `customers` are references and `types` event types, None: all of them."""

    period: Period
    customers: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None

    def parameters(self) -> dict[str, Any]:
        return {
            "start": self.period.start,
            "end": self.period.end,
            "customers": None if self.customers is None else list(self.customers),
            "types": None if self.types is None else list(self.types),
        }


class Scanned(NamedTuple):
    """One event. `properties` are numbers exact."""

    id: int
    customer: str
    reference: str
    type: str
    status: str
    value: Decimal | None
    timestamp: datetime
    properties: dict[str, Any]


def scan(part: Part, *, status: str | None = None, limit: int = EVENTS_AT_MOST) -> Iterator[Scanned]:
    """The events of `part`, in pages from the server, so that memory does not grow with them.

    Raises TooMuch when there are more than `limit`, or when it takes longer than `SECONDS_AT_MOST`.
    """
    deadline = monotonic() + SECONDS_AT_MOST
    with in_time(), connection.connection.cursor(name="scan") as cursor:
        cursor.itersize = _PAGE
        with connection.wrap_database_errors:
            cursor.execute(_EVENTS, {**part.parameters(), "status": status, "limit": limit + 1})
        for number, row in enumerate(_rows(cursor), 1):
            if number > limit:
                raise TooMuch(
                    f"There are more than {limit:,} events in this range, which is as many as are looked through at"
                    " once. Choose fewer days, one customer or one type."
                )
            if monotonic() > deadline:
                raise _too_slow()
            *fields, properties = row
            yield Scanned._make((*fields, from_text(properties)))


def _rows(cursor: Any) -> Iterator[tuple[Any, ...]]:
    with connection.wrap_database_errors:
        yield from cursor


@contextmanager
def in_time() -> Iterator[None]:
    """Statements inside that run longer than `SECONDS_AT_MOST` are ended, as TooMuch."""
    try:
        with transaction.atomic():
            _limit_to(int(SECONDS_AT_MOST * 1000))
            yield
            _limit_to(0)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _CANCELED:
            raise
        raise _too_slow() from None


def _limit_to(milliseconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)])


def _too_slow() -> TooMuch:
    return TooMuch(
        f"This range could not be looked through in {SECONDS_AT_MOST} seconds. Choose fewer days, one customer or one"
        " type."
    )
