"""What is kept of events beside them, as statements: buckets, points and values. Whoever writes them does it by these.

Everybody takes locks in one order: values, then buckets by what they keep, each by (customer, series, hour). Points
lock nothing: each is of one event.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from meters import arrays
from meters.aggregation import Hourly
from meters.counting import Point, SeriesHour, Tally
from meters.database import columns, send

# What fits into 64 bits.
_MOST = 2**63

# Uses the unique index bucket_once. A bucket that keeps nothing of the values has no quantity, and stays without one.
_ADD = """
    INSERT INTO meters_bucket AS bucket (customer, series_id, hour, slot, quantity, events)
    SELECT customer, series, hour, %b::smallint, quantity, events
    FROM unnest(%b::text[], %b::bigint[], %b::timestamptz[], (%b)::numeric[], %b::bigint[])
        AS new (customer, series, hour, quantity, events)
    ON CONFLICT (customer, series_id, hour, slot) DO UPDATE
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


def send_points(points: Iterable[tuple[str, int, Point]]) -> None:
    if table := [(customer, series, *point) for customer, series, point in points]:
        send(_INSERT_POINTS, *columns(table, 5), prepare=True)


def send_values(values: Iterable[tuple[str, int, datetime, str]]) -> None:
    if table := sorted(values):
        send(_INSERT_VALUES, *columns(table, 4), prepare=True)


def send_tallies(tallies: Mapping[Hourly, Mapping[SeriesHour, Tally]], slot: int) -> None:
    """Merge tallies into the buckets of a slot; they and their kinds come in the order in which to lock."""
    for kind, of_kind in tallies.items():
        customers, series, hours = columns(list(of_kind), 3)
        kept, events = columns(list(of_kind.values()), 2)
        # A sum of whole numbers is made numeric by the server: so it takes a third of the time.
        whole = all(type(quantity) is int and -_MOST < quantity < _MOST for quantity in kept)
        quantities = arrays.longs(kept) if whole else [None if each is None else Decimal(each) for each in kept]
        keys = arrays.texts(customers), arrays.longs(series), arrays.instants(hours)
        send(_ADD_TO[kind], slot, *keys, quantities, arrays.longs(events), prepare=True)
