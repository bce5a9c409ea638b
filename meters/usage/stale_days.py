"""What whoever adds to buckets of closed days does about their totals, in the same transaction.

A marked day is read by its hours until its total is added up anew. The row stays locked until the transaction ends, so
that nobody adds it up without what is being added.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from meters.database import columns, send
from meters.measuring.counting import SeriesHour
from meters.usage.windows import day_of

# The database says what is closed.
UNKNOWN = datetime.max.replace(tzinfo=UTC)

# Uses the unique index day_total_once. A row that is stale already is locked, not written.
_MARK = """
    INSERT INTO meters_daytotal AS total (customer, series_id, day, quantity, events, stale)
    SELECT customer, series, day, NULL, 0, true
    FROM unnest(%b::text[], %b::bigint[], %b::timestamptz[]) AS changed (customer, series, day)
    WHERE day < (SELECT closed_until FROM meters_dayclosing)
    ON CONFLICT (customer, series_id, day) DO UPDATE SET stale = true WHERE NOT total.stale
"""


def mark(changed: Iterable[SeriesHour], closed_until: datetime | None = UNKNOWN) -> None:
    """Mark the totals of days of which hours are changed, once the buckets are locked. No query when none is closed.

    `closed_until` as it was read under the definitions' lock, which the caller holds; None: no day is.
    """
    if closed_until is None:
        return
    if days := {(customer, series, day_of(hour)) for customer, series, hour in changed if hour < closed_until}:
        send(_MARK, *columns(sorted(days), 3))
