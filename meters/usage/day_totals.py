"""Days are closed some time after their end, and from then on added up: a month of a busy series costs some 31 rows.

    close:  `closed_until` moves while nobody counts. Who counted by the old one has committed; who counts by the new
            one marks every closed day that it changes (`meters.usage.stale_days`).
    build:  every series' days before it are added up, some series at a time; then `built_until` follows.
    renew:  stale days are added up anew.

Each step is one transaction that finds its own work and holds the one row of DayClosing, so one works at a time and a
killed one leaves nothing half done.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from django.conf import settings
from django.db import OperationalError, transaction

from billing_site.foundation import clock
from meters.database import columns, fetch, send
from meters.measuring import registry
from meters.usage.windows import day_of

SERIES_AT_ONCE = 500
DAYS_AT_ONCE = 1_000
# Others have the worker in between.
TURN = timedelta(seconds=15)
# Behind the lock that waits for batches in flight every further batch waits, too.
LONGEST_WAIT_MS = 2_000
_LOCK_NOT_AVAILABLE = "55P03"

log = structlog.get_logger(__name__)

_CLOSING = "SELECT closed_until, built_until, built_series FROM meters_dayclosing"
_HOLD = f"{_CLOSING} FOR UPDATE SKIP LOCKED"
_MERGED = """
    CASE meter.hourly WHEN 'sum' THEN whole.sum WHEN 'max' THEN whole.max WHEN 'min' THEN whole.min END
"""
_AGGREGATES = "sum(quantity) AS sum, max(quantity) AS max, min(quantity) AS min, sum(events)::bigint AS events"
# Series and buckets by their primary keys. What somebody marked meanwhile stays marked.
_BUILD = f"""
    INSERT INTO meters_daytotal (customer, series_id, day, quantity, events, stale)
    SELECT series.customer, series.id, whole.day, {_MERGED}, whole.events, false
    FROM meters_series AS series
    JOIN unnest(%b::bigint[], %b::text[]) AS meter (id, hourly) ON meter.id = series.meter_id
    CROSS JOIN LATERAL (
        SELECT date_trunc('day', hour, 'UTC') AS day, {_AGGREGATES}
        FROM meters_bucket
        WHERE series_id = series.id AND hour >= coalesce(%b::timestamptz, '-infinity') AND hour < %b
        GROUP BY 1
    ) AS whole
    WHERE series.id > %b AND series.id <= %b
    ORDER BY 1, 2, 3
    ON CONFLICT (customer, series_id, day) DO NOTHING
"""  # noqa: S608
_LAST_SERIES = """
    SELECT max(id) FROM (SELECT id FROM meters_series WHERE id > %b ORDER BY id LIMIT %b) AS next
"""
# By the index day_total_stale. Who adds to a day just now holds its row, and leaves it stale.
_TAKE_STALE = """
    SELECT customer, series_id, day FROM meters_daytotal WHERE stale
    ORDER BY customer, series_id, day LIMIT %b FOR UPDATE SKIP LOCKED
"""
# A statement of its own: it sees what was committed before the rows were locked. Nobody commits more until they are
# let go, for marking them waits.
_RENEW = f"""
    WITH wanted AS (
        SELECT taken.*, {_MERGED} AS quantity, whole.events
        FROM unnest(%b::text[], %b::bigint[], %b::timestamptz[]) AS taken (customer, series, day)
        LEFT JOIN meters_series AS series ON series.id = taken.series
        LEFT JOIN unnest(%b::bigint[], %b::text[]) AS meter (id, hourly) ON meter.id = series.meter_id
        CROSS JOIN LATERAL (
            SELECT {_AGGREGATES} FROM meters_bucket
            WHERE series_id = taken.series AND hour >= taken.day AND hour < taken.day + interval '24 hours'
        ) AS whole
    ), emptied AS (
        DELETE FROM meters_daytotal AS total USING wanted
        WHERE (total.customer, total.series_id, total.day) = (wanted.customer, wanted.series, wanted.day)
            AND wanted.events IS NULL
    )
    UPDATE meters_daytotal AS total SET quantity = wanted.quantity, events = wanted.events, stale = false
    FROM wanted
    WHERE (total.customer, total.series_id, total.day) = (wanted.customer, wanted.series, wanted.day)
        AND wanted.events IS NOT NULL
"""  # noqa: S608


class Closing(NamedTuple):
    """The row of DayClosing, held."""

    closed_until: datetime | None
    built_until: datetime | None
    built_series: int


def work(turn: timedelta = TURN) -> bool:
    """Close the days that are due, and add up what is not, for a turn. Whether something is left to do now.

    Raises OperationalError when the database is away: nothing is lost by trying later.
    """
    ends = time.monotonic() + turn.total_seconds()
    try:
        close()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        log.info("days_not_closed", reason="batches are being counted")  # the next beat tries again
    while time.monotonic() < ends:
        if not build() and not renew():
            return False
    return True


def close(until: datetime | None = None) -> bool:
    """Close the UTC days before `until`, or those that ended as long ago as the settings say. Whether any was.

    Days are closed when those closed before are built. Waits at most two seconds for batches that are being counted,
    and raises OperationalError when they take longer.
    """
    day = day_of(clock.now() - settings.DAY_CLOSES_AFTER if until is None else until)
    known = fetch(_CLOSING)
    if known and not _closable(Closing(*known[0]), day):
        return False
    send("INSERT INTO meters_dayclosing (id, built_series) VALUES (1, 0) ON CONFLICT DO NOTHING")
    with _held() as closing:
        if closing is None or not _closable(closing, day):
            return False
        send(f"SET LOCAL lock_timeout = {LONGEST_WAIT_MS}")
        registry.lock()
        send("UPDATE meters_dayclosing SET closed_until = %b, built_series = 0", day)
    return True


def build() -> bool:
    """Add up the newly closed days of some more series. Whether there was anything to do, or somebody else does it."""
    with _held() as closing:
        if closing is None or closing.closed_until == closing.built_until:
            return False
        last = fetch(_LAST_SERIES, closing.built_series, SERIES_AT_ONCE)[0][0]
        if last is None:
            send("UPDATE meters_dayclosing SET built_until = closed_until, built_series = 0")
            return True
        series = closing.built_series, last
        send(_BUILD, *_hourly_of_meters(), closing.built_until, closing.closed_until, *series)
        send("UPDATE meters_dayclosing SET built_series = %b", last)
    return True


def renew() -> bool:
    """Add up some stale days anew. Whether there were any."""
    with _held() as closing:
        if closing is None:
            return False
        hourly = _hourly_of_meters()
        taken = fetch(_TAKE_STALE, DAYS_AT_ONCE)
        if taken:
            send(_RENEW, *columns(taken, 3), *hourly)
    return bool(taken)


def _closable(closing: Closing, day: datetime) -> bool:
    closed_until = closing.closed_until
    return closed_until == closing.built_until and (closed_until is None or closed_until < day)


@contextmanager
def _held() -> Iterator[Closing | None]:
    """In one transaction: the row of DayClosing, locked; None when there is none yet or somebody else holds it."""
    with transaction.atomic():
        found = fetch(_HOLD)
        yield Closing(*found[0]) if found else None


def _hourly_of_meters() -> tuple[list[int], list[str]]:
    """What every meter's buckets keep; none changes it until the transaction ends."""
    registry.lock_shared()
    by_id = registry.current().by_id
    return list(by_id), [definition.aggregation.hourly.value for definition in by_id.values()]
