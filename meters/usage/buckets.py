"""What is kept of events beside them, as statements: buckets, points and values. Whoever writes them does it by these.

Everybody takes locks in one order: buckets by what they keep, the totals of closed days, then values, each by
(customer, series, hour). Buckets come first so that who holds all slots of an hour has no batch beside it whose values
it cannot see. Points lock nothing: each is of one event.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from meters import arrays
from meters.database import columns, send
from meters.measuring.aggregation import Hourly
from meters.measuring.counting import Point, SeriesHour, Tally
from meters.usage import stale_days

# What fits into 64 bits.
_MOST = 2**63

# Uses the primary key. A bucket that keeps nothing of the values has no quantity, and stays without one.
_ADD = """
    INSERT INTO meters_bucket AS bucket (series_id, hour, slot, quantity, events)
    SELECT series, hour, %b::smallint, quantity, events
    FROM unnest(%b::bigint[], %b::timestamptz[], (%b)::numeric[], %b::bigint[]) AS new (series, hour, quantity, events)
    ON CONFLICT (series_id, hour, slot) DO UPDATE
    SET quantity = {merged}, events = bucket.events + excluded.events
"""
_MERGED = {
    Hourly.SUM: "bucket.quantity + excluded.quantity",
    Hourly.NOTHING: "NULL",
    Hourly.MAX: "greatest(bucket.quantity, excluded.quantity)",
    Hourly.MIN: "least(bucket.quantity, excluded.quantity)",
}
_ADD_TO = {kind: _ADD.format(merged=merged) for kind, merged in _MERGED.items()}
_INSERT_POINTS = """
    INSERT INTO meters_point (customer, series_id, timestamp, event_id, value)
    SELECT * FROM unnest(%b::text[], %b::bigint[], %b::timestamptz[], %b::bigint[], %b::numeric[])
"""
# Uses the unique index value_once.
_INSERT_VALUES = """
    INSERT INTO meters_uniquevalue (customer, series_id, hour, value)
    SELECT * FROM unnest(%b::text[], %b::bigint[], %b::timestamptz[], %b::text[]) ON CONFLICT DO NOTHING
"""
# Uses the primary key; a slot that is not there is made, so that nobody else can make it.
_HOLD = """
    INSERT INTO meters_bucket AS bucket (series_id, hour, slot, quantity, events)
    SELECT held.series, held.hour, slot, NULL, 0
    FROM unnest(%b::bigint[], %b::timestamptz[]) WITH ORDINALITY AS held (series, hour, place)
    CROSS JOIN generate_series(0, %b::int - 1) AS slot
    ORDER BY held.place, slot
    ON CONFLICT (series_id, hour, slot) DO UPDATE SET events = bucket.events
"""
# They use the primary key of buckets, and the unique indexes value_once and point_once.
_REMOVE_BUCKETS = """
    DELETE FROM meters_bucket AS kept
    USING unnest(%b::bigint[], %b::timestamptz[]) AS gone (series, hour)
    WHERE kept.series_id = gone.series AND kept.hour = gone.hour
"""
_REMOVE_VALUES = """
    DELETE FROM meters_uniquevalue AS kept
    USING unnest(%b::text[], %b::bigint[], %b::timestamptz[]) AS gone (customer, series, hour)
    WHERE kept.customer = gone.customer AND kept.series_id = gone.series AND kept.hour = gone.hour
"""
_REMOVE_POINTS = """
    DELETE FROM meters_point AS kept
    USING unnest(%b::text[], %b::bigint[], %b::timestamptz[], %b::bigint[]) AS gone (customer, series, timestamp, event)
    WHERE kept.customer = gone.customer AND kept.series_id = gone.series
        AND kept.timestamp = gone.timestamp AND kept.event_id = gone.event
"""
INSERT_CHANGES = """
    INSERT INTO meters_usagechange (customer, meter_id, hour)
    SELECT * FROM unnest(%b::text[], %b::bigint[], %b::timestamptz[])
"""


def send_changes(changes: Sequence[tuple[str, int, datetime]]) -> None:
    """Note that usage changed: (customer, meter, hour)."""
    send(INSERT_CHANGES, *columns(changes, 3))


def send_hold(hours: Sequence[SeriesHour], slots: int) -> None:
    """Wait for who counts into these hours, and let nobody else until the transaction ends."""
    if hours:
        _, series, instants = columns(hours, 3)
        send(_HOLD, series, instants, slots)


def send_removal(hours: Sequence[SeriesHour]) -> None:
    """Remove the buckets and values of these hours, all slots."""
    if hours:
        customers, series, instants = columns(hours, 3)
        send(_REMOVE_BUCKETS, series, instants)
        send(_REMOVE_VALUES, customers, series, instants)


def send_points_removal(points: Iterable[tuple[str, int, datetime, int]]) -> None:
    """Remove points: (customer, series, timestamp, event)."""
    if table := list(points):
        send(_REMOVE_POINTS, *columns(table, 4))


def send_points(points: Iterable[tuple[str, int, Point]]) -> None:
    if table := [(customer, series, *point) for customer, series, point in points]:
        send(_INSERT_POINTS, *columns(table, 5), prepare=True)


def send_values(values: Iterable[tuple[str, int, datetime, str]]) -> None:
    if table := sorted(values):
        send(_INSERT_VALUES, *columns(table, 4), prepare=True)


@dataclass(frozen=True)
class Rows:
    """Tallies as arrays, in the order in which to lock: what the statement for their kind takes after the slot."""

    kind: Hourly
    keys: Collection[SeriesHour]
    arrays: tuple[object, ...]


def lay_out(tallies: Mapping[Hourly, Mapping[SeriesHour, Tally]]) -> list[Rows]:
    """What `send_rows` sends, made beforehand. They and their kinds come in the order in which to lock."""
    found = []
    for kind, of_kind in tallies.items():
        _, series, hours = columns(list(of_kind), 3)
        kept, events = columns(list(of_kind.values()), 2)
        # A sum of whole numbers is made numeric by the server: so it takes a third of the time.
        whole = set(map(type, kept)) == {int} and -_MOST < min(kept) <= max(kept) < _MOST
        quantities = arrays.longs(kept) if whole else [None if each is None else Decimal(each) for each in kept]
        laid_out = arrays.longs(series), arrays.instants(hours), quantities, arrays.longs(events)
        found.append(Rows(kind, of_kind.keys(), laid_out))
    return found


def send_rows(several: Sequence[Rows], slot: int, closed_until: datetime | None = stale_days.UNKNOWN) -> None:
    """Merge tallies into the buckets of a slot.

    The caller holds the definitions' lock; `closed_until`, until when days are closed, saves a statement to who read it
    under that lock.
    """
    for each in several:
        send(_ADD_TO[each.kind], slot, *each.arrays, prepare=True)
    stale_days.mark((key for each in several for key in each.keys), closed_until)


def send_tallies(tallies: Mapping[Hourly, Mapping[SeriesHour, Tally]], slot: int) -> None:
    """Merge tallies into the buckets of a slot, for whoever holds the definitions' lock."""
    send_rows(lay_out(tallies), slot)
