"""Finding stored events among millions: by reference, or by customer and time, with conditions on what they hold.

Every search reads along one index, newest first, and stops after so many events, so that it costs the same however many
there are. Where it stopped, the next page reads on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from billing_site.foundation.money import plain
from meters.database import fetch
from meters.events.exact_json import from_text
from meters.events.values import as_number
from meters.models import Stream

PAGE = 50
LOOKED_THROUGH = 20_000
TYPES_AT_ONCE = 100
SUGGESTED = 20
STREAMS_LOOKED_AT = 10_000


class Operator(StrEnum):
    IS = "is"
    IS_NOT = "is_not"
    PRESENT = "present"
    ABSENT = "absent"


class Condition(NamedTuple):
    """On a property, named as meters name it; compared as text, as meters compare it."""

    property: str
    operator: Operator
    value: str = ""


@dataclass(frozen=True)
class Search:
    """What to find; what is empty is not asked. [start, end) is only for events of one customer."""

    reference: str = ""
    customer: str = ""
    type: str = ""
    start: datetime | None = None
    end: datetime | None = None
    status: str = ""
    conditions: tuple[Condition, ...] = ()

    def picks(self) -> bool:
        """Whether events are looked through for what no index knows."""
        return bool(self.status or self.conditions or (self.type and not self.customer))


class Position(NamedTuple):
    """Of an event in the order of time, or of arrival, in which its time says nothing."""

    timestamp: datetime
    id: int


@dataclass(frozen=True)
class Found:
    """One form of an event. `correction`: what took it out, “void” or “amend”; empty while it counts.

    `amended`: it took the place of what was sent.
    """

    id: int
    customer: str
    reference: str
    type: str
    timestamp: datetime
    value: Decimal | None
    status: str
    properties: dict[str, Any]
    correction: str = ""
    amended: bool = False

    def position(self) -> Position:
        return Position(self.timestamp, self.id)


@dataclass(frozen=True)
class Page:
    """`next`: where to read on; None at the end. `stopped`: so many events were looked through without filling the
    page; there may be more to find.
    """

    events: list[Found]
    next: Position | None = None
    stopped: bool = False


# By the unique index event_once (customer, reference), at each customer that was ever seen; what it was amended to by
# event_amended_forms.
_BY_REFERENCE = """
    SELECT event.*
    FROM (SELECT DISTINCT customer FROM meters_stream WHERE %s::text IN ('', customer)) AS seen
    JOIN LATERAL (
        SELECT id FROM meters_event AS found
        WHERE found.customer = seen.customer AND found.reference = %s AND found.replaces IS NULL LIMIT 1
    ) AS first ON true
    JOIN LATERAL (
        SELECT * FROM meters_event AS sent WHERE sent.id = first.id
        UNION ALL
        SELECT * FROM meters_event AS amended WHERE amended.replaces = first.id
    ) AS event ON true
    WHERE %s::text IN ('', event.type)
        AND event.timestamp >= coalesce(%s::timestamptz, '-infinity')
        AND event.timestamp < coalesce(%s::timestamptz, 'infinity')
        AND (event.timestamp, event.id) < (%s::timestamptz, %s::bigint)
    ORDER BY event.timestamp DESC, event.id DESC
"""
# By the index event_customer_type_time (customer, type, timestamp), backwards. Each type comes in order, and the types
# are merged, so that no more is read than is looked at.
_OF_TYPE = """
    (SELECT * FROM meters_event
    WHERE customer = %s AND type = %s
        AND timestamp >= coalesce(%s::timestamptz, '-infinity') AND timestamp < coalesce(%s::timestamptz, 'infinity')
        AND timestamp <= %s::timestamptz AND (timestamp, id) < (%s::timestamptz, %s::bigint)
    ORDER BY timestamp DESC, id DESC LIMIT %s)
"""
_MERGED = "SELECT * FROM ({together}) AS merged ORDER BY timestamp DESC, id DESC"
# By the primary key, backwards.
_ARRIVED = "SELECT * FROM meters_event WHERE id < %s ORDER BY id DESC"
_READ = """
    SELECT id, customer, reference, type, timestamp, value, status, properties::text,
        coalesce((SELECT kind FROM meters_correction AS correction WHERE correction.event_id = event.id), ''),
        replaces IS NOT NULL
    FROM ({looked_at} LIMIT %s) AS event {picked} ORDER BY {order} LIMIT %s
"""
_LAST = "SELECT timestamp, id FROM ({looked_at} LIMIT %s) AS event OFFSET %s"
_BY_TIME, _BY_ARRIVAL = "timestamp DESC, id DESC", "id DESC"

_VALUE = "(CASE WHEN properties ? %s THEN properties -> %s ELSE properties #> string_to_array(%s, '.') END)"
_TEXT = """
    (SELECT CASE jsonb_typeof(value)
        WHEN 'number' THEN trim_scale((value #>> '{}')::numeric)::text
        WHEN 'string' THEN value #>> '{}'
        WHEN 'boolean' THEN value #>> '{}' END
    FROM (SELECT VALUE AS value) AS read)
""".replace("VALUE", _VALUE)
_HOLDS = {
    Operator.IS: f"{_TEXT} = ANY(%s)",
    Operator.IS_NOT: f"({_TEXT} = ANY(%s)) IS NOT TRUE",
    Operator.PRESENT: f"coalesce(jsonb_typeof({_VALUE}), 'null') <> 'null'",
    Operator.ABSENT: f"coalesce(jsonb_typeof({_VALUE}), 'null') = 'null'",
}
# The first customer from a text on, then each next one, by the index stream_once, whatever number of types each has.
_CUSTOMERS = """
    WITH RECURSIVE step AS (
        (SELECT customer FROM meters_stream WHERE customer >= %b::text ORDER BY customer LIMIT 1)
        UNION ALL
        SELECT (SELECT next.customer FROM meters_stream AS next WHERE next.customer > step.customer
            ORDER BY next.customer LIMIT 1)
        FROM step WHERE starts_with(step.customer, %b::text)
    )
    SELECT customer FROM step WHERE starts_with(customer, %b::text) LIMIT %b::int
"""
# After this everything is older.
_NOW = Position(datetime(9999, 1, 1, tzinfo=UTC), 2**63 - 1)


class TooManyTypes(Exception):
    """A customer's events are of so many types that one has to be named."""


def find(search: Search, after: Position | None = None) -> Page:
    """A page of what is found, newest first. At most three queries. Raises TooManyTypes."""
    bound = LOOKED_THROUGH if search.picks() else PAGE + 1
    looked_at, given, order = _looked_at(search, after or _NOW, bound)
    if not looked_at:
        return Page([])
    events = _read(looked_at, given, order, search, bound, PAGE + 1)
    if len(events) > PAGE:
        return Page(events[:PAGE], events[PAGE - 1].position())
    last = fetch(_LAST.format(looked_at=looked_at), *given, bound + 1, bound - 1) if search.picks() else []
    stopped = len(last) > 1  # the last that was looked at, and one that was not
    return Page(events, Position(*last[0]) if stopped else None, stopped)


def _read(looked_at: str, given: Sequence[object], order: str, search: Search, bound: int, limit: int) -> list[Found]:
    """At most `limit` of the first `bound` events that are looked at."""
    picked, picked_by = _picked(search)
    statement = _READ.format(looked_at=looked_at, picked=picked, order=order)
    return [
        Found(key, customer, reference, kind, timestamp, value, status, from_text(properties), *corrected)
        for key, customer, reference, kind, timestamp, value, status, properties, *corrected in fetch(
            statement, *given, bound, *picked_by, limit
        )
    ]


def types_of(customer: str) -> list[str]:
    """The types of event that came under a reference, and one more than are read at once when there are too many."""
    rows = Stream.objects.filter(customer=customer).order_by("type").values_list("type", flat=True)
    return list(rows[: TYPES_AT_ONCE + 1])


def customers_like(text: str) -> list[str]:
    """References of customers that begin with `text`, a few of them, in order."""
    return [row[0] for row in fetch(_CUSTOMERS, text, text, text, SUGGESTED)] if text and "\0" not in text else []


def types_like(text: str, customer: str = "") -> list[str]:
    """Types that begin with `text`: those of one customer by the index stream_once, or of the streams seen last."""
    if "\0" in text or "\0" in customer:
        return []
    rows = Stream.objects.filter(type__startswith=text)
    if customer:
        found = rows.filter(customer=customer).order_by("type").values_list("type", flat=True)[:SUGGESTED]
        return list(found)
    seen = Stream.objects.order_by("-id").values_list("type", flat=True)[:STREAMS_LOOKED_AT]
    return sorted({kind for kind in seen if kind.startswith(text)})[:SUGGESTED]


def _looked_at(search: Search, after: Position, bound: int) -> tuple[str, list[object], str]:
    """The statement that reads along an index, what it is given, and its order. Empty: there is nothing to read."""
    if search.reference:
        given: list[object] = [
            search.customer,
            search.reference,
            search.type,
            search.start,
            search.end,
            after.timestamp,
            after.id,
        ]
        return _BY_REFERENCE, given, _BY_TIME
    if search.customer:
        return _of_customer(search, after, bound)
    return _ARRIVED, [after.id], _BY_ARRIVAL


def _of_customer(search: Search, after: Position, bound: int) -> tuple[str, list[object], str]:
    types = [search.type] if search.type else types_of(search.customer)
    if len(types) > TYPES_AT_ONCE:
        raise TooManyTypes
    given: list[object] = []
    for name in types:
        bounds = [search.start, search.end, after.timestamp, after.timestamp, after.id]
        given += [search.customer, name, *bounds, bound + 1]
    together = " UNION ALL ".join([_OF_TYPE] * len(types))
    return (_MERGED.format(together=together) if types else ""), given, _BY_TIME


def _picked(search: Search) -> tuple[str, list[object]]:
    tests = list(_tests(search))
    where = "WHERE " + " AND ".join(test for test, _ in tests) if tests else ""
    return where, [value for _, values in tests for value in values]


def _tests(search: Search) -> Iterator[tuple[str, Sequence[object]]]:
    if search.type and not search.customer:
        yield "event.type = %s", [search.type]
    if search.status:
        yield "event.status = %s", [search.status]
    for name, operator, value in search.conditions:
        compared = [_spellings(value)] if operator in (Operator.IS, Operator.IS_NOT) else []
        yield _HOLDS[operator], [name, name, name, *compared]


def _spellings(value: str) -> list[str]:
    """As it was typed, and, when it is a number, as numbers compare: 1.0 finds 1."""
    number = as_number(value)
    return [value] if number is None else [value, plain(number)]
