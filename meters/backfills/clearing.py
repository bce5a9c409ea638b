"""What a meter counted before it was changed, cleared away: nobody reads it any more.

The series themselves stay, empty: the database would look through all points and values there are before it lets one
go.
"""

from meters.backfills import leases
from meters.backfills.models import Backfill
from meters.database import fetch, rows, send

SERIES_AT_ONCE = 200
ROWS_AT_ONCE = 10_000

# Uses the index series_meter.
_SERIES = """
    SELECT customer, id FROM meters_series
    WHERE meter_id = %b AND generation < %b AND id > %b
    ORDER BY id LIMIT %b
"""
# By each table's unique index.
_DELETE = """
    WITH gone AS (
        DELETE FROM {table} WHERE ctid = ANY(ARRAY(
            SELECT kept.ctid FROM unnest(%b::text[], %b::bigint[]) AS old (customer, series)
            JOIN {table} AS kept ON {of_series}
            LIMIT %b
        )) RETURNING 1
    )
    SELECT count(*) FROM gone
"""
_OF_CUSTOMER = "kept.customer = old.customer AND kept.series_id = old.series"
# Every table whose rows belong to a series; totals after the buckets, whose deletion marks them.
_TABLES = {
    "meters_point": _OF_CUSTOMER,
    "meters_uniquevalue": _OF_CUSTOMER,
    "meters_bucket": "kept.series_id = old.series",
    "meters_daytotal": _OF_CUSTOMER,
}
_DELETES = [_DELETE.format(table=table, of_series=of_series) for table, of_series in _TABLES.items()]


def clear(held: Backfill) -> bool:
    """Delete some rows of earlier generations, in the caller's transaction; whether there may be more."""
    series = fetch(_SERIES, held.meter_id, held.generation, held.cleared, SERIES_AT_ONCE)
    customers, ids = [row[0] for row in series], [row[1] for row in series]
    gone = [rows(send(delete, customers, ids, ROWS_AT_ONCE))[0][0] for delete in _DELETES]
    if not series:
        leases.cleared(held, None)
        return False
    whole = all(deleted < ROWS_AT_ONCE for deleted in gone)
    leases.cleared(held, ids[-1] if whole else held.cleared)
    return True
