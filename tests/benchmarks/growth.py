"""What millions of stored events change: the rate of ingestion, a month's usage of one customer, and searches.

EVENTS says how many (20 million). They are written straight into the tables as ingestion leaves them: six months, in
the order of time, fifty customers of 5,000 busy in each hour. One customer's month is among the first million, and is
read with 1 million events stored and with all of them.

Three lines: the rate of ingestion with all stored against that on empty tables, each after a warm-up; months read per
second with all stored against 1 million; and searches per second with all stored, of the slowest kind, against one a
second.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median

import psycopg
from django.db import connection

from billing_site.embedded import postgres, state_dir
from billing_site.foundation.api_keys import create_key
from billing_site.foundation.periods import Period
from meters.explorer import exploring
from meters.explorer.exploring import Condition, Operator, Search
from meters.models import Meter
from meters.usage.reading import Window, read
from tests.benchmarks import _cpu
from tests.benchmarks.ingest_http import BATCH, BATCHES, CONNECTIONS, WORKERS, bodies_of, send, tokens_meter
from tests.processes import Processes, Web

EVENTS = 20_000_000
MILLION = 1_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = 180 * 24
RUNS = 5
READS = 30
UNIT = "one event taken, or one month of a customer read, or one search"

# One event in ten of the first million is of the customer “busy”, in January.
_EVENTS = """
    INSERT INTO meters_event (customer, reference, type, timestamp, status, subscription, properties)
    SELECT
        CASE WHEN busy THEN 'busy' ELSE 'customer-' || (hour * 37 + number %% 50) %% 5000 END,
        'stored-' || number, 'llm.request',
        CASE WHEN busy THEN %(start)s + number * interval '31 days' / 1000000
            ELSE %(start)s + hour * interval '1 hour' + number %% 3600 * interval '1 second' END,
        'succeeded', '',
        jsonb_build_object('model', 'model-' || number %% 3, 'region', 'eu',
            'input_tokens', 300 + number %% 500, 'output_tokens', 40 + number %% 160)
    FROM (
        SELECT number, number * %(hours)s / %(events)s AS hour, number < 1000000 AND number %% 10 = 0 AS busy
        FROM generate_series(%(first)s::bigint, %(last)s::bigint - 1) AS number
    ) AS made
"""
_STREAMS = """
    INSERT INTO meters_stream (customer, type)
    SELECT DISTINCT customer, type FROM meters_event WHERE id > %(after)s ON CONFLICT DO NOTHING
"""
_HOURS = """
    CREATE TEMPORARY TABLE bench_hour ON COMMIT DROP AS
    SELECT customer, jsonb_build_object('model', properties -> 'model', 'token_type', label) AS dimensions,
        date_trunc('hour', timestamp, 'UTC') AS hour, sum(quantity) AS quantity, count(*) AS events
    FROM meters_event CROSS JOIN LATERAL (VALUES
        ('input', (properties ->> 'input_tokens')::numeric), ('output', (properties ->> 'output_tokens')::numeric)
    ) AS value (label, quantity)
    WHERE id > %(after)s
    GROUP BY 1, 2, 3
"""
_SERIES = """
    INSERT INTO meters_series (customer, meter_id, subscription, dimensions)
    SELECT DISTINCT customer, %(meter)s::bigint, '', dimensions FROM bench_hour ON CONFLICT DO NOTHING
"""
_BUCKETS = """
    INSERT INTO meters_bucket AS bucket (series_id, hour, slot, quantity, events)
    SELECT series.id, made.hour, 0, made.quantity, made.events
    FROM bench_hour AS made JOIN meters_series AS series
        ON series.customer = made.customer AND series.meter_id = %(meter)s AND series.dimensions = made.dimensions
    ON CONFLICT (series_id, hour, slot) DO UPDATE
    SET quantity = bucket.quantity + excluded.quantity, events = bucket.events + excluded.events
"""


def measure(progress: Callable[[str], None]) -> dict[str, list[tuple[float, float]]]:
    """(before, after) in units per second, of three runs each."""
    meter = tokens_meter()
    _, key = create_key("benchmark", ["ingest"])
    events = int(os.environ.get("EVENTS", EVENTS))
    processes = Processes()
    try:
        web = processes.web(
            workers=WORKERS,
            threads=CONNECTIONS + 1,
            environment={"INGEST_EVENTS_PER_SECOND": "10000000", "INGEST_AT_ONCE": str(CONNECTIONS)},
        )
        _warm(web, key, "empty")
        empty = [_rate(web, key, f"empty-{run}-", progress) for run in range(RUNS)]
        _fill(meter, 0, min(events, MILLION), events, progress)
        before = [_months(meter, progress) for _ in range(RUNS)]
        _fill(meter, MILLION, events, events, progress)
        _warm(web, key, "full")
        full = [_rate(web, key, f"full-{run}-", progress) for run in range(RUNS)]
        after = [_months(meter, progress) for _ in range(RUNS)]
    finally:
        for process in processes.started:
            process.stop()
    slowest = [_searches(events, progress) for _ in range(RUNS)]
    return {
        "ingest": list(zip(sorted(empty), sorted(full), strict=True)),
        "month": list(zip(sorted(before), sorted(after), strict=True)),
        "search": [(1.0, 1 / seconds) for seconds in slowest],
    }


def _fill(meter: Meter, first: int, last: int, events: int, progress: Callable[[str], None]) -> None:
    began = time.perf_counter()
    for start in range(first, last, MILLION):
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(id), 0) FROM meters_event")
            parameters = {"after": cursor.fetchone()[0], "meter": meter.pk, "start": START, "hours": HOURS}
            parameters |= {"first": start, "last": min(start + MILLION, last), "events": events}
            cursor.execute("BEGIN")
            for statement in (_EVENTS, _STREAMS, _HOURS, _SERIES, _BUCKETS):
                cursor.execute(statement, parameters)
            cursor.execute("COMMIT")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE meters_event, meters_bucket, meters_series, meters_stream")
        cursor.execute("SELECT pg_size_pretty(pg_database_size(current_database()))")
        size = cursor.fetchone()[0]
    # Months of events are not stored in minutes: what that leaves to be written out is not ingestion's.
    data = postgres.data_folder(state_dir())
    with psycopg.connect(postgres.url(data, "postgres", "postgres"), autocommit=True) as superuser:
        superuser.execute("CHECKPOINT")
    progress(f"{last:,} events stored, {size} in all, in {time.perf_counter() - began:.0f} s")


def _warm(web: Web, key: str, name: str) -> None:
    """As long as it takes until each page that is written to was logged whole, as each is once after a checkpoint."""
    send(web.base_url, key, bodies_of(f"warm-{name}-", 200, 3 * BATCHES))


def _rate(web: Web, key: str, name: str, progress: Callable[[str], None]) -> float:
    before = _cpu.seconds(web=web.child.pid)
    rate = send(web.base_url, key, bodies_of(name, 200, BATCHES))
    spent = _cpu.per_unit(before, _cpu.seconds(web=web.child.pid), BATCHES * BATCH)
    progress(f"{name} {rate:,.0f} events/s; processor time {spent}")
    return rate


def _months(meter: Meter, progress: Callable[[str], None]) -> float:
    """Months of one busy customer read per second, by the middle one of them."""
    window = Window(0, ("busy",), meter.pk, Period(START, START + timedelta(days=31)))
    taken = []
    for _ in range(READS):
        began = time.perf_counter()
        found = read([window])[0]
        taken.append(time.perf_counter() - began)
    seconds = median(taken)
    counted = sum(usage.events for usage in found)
    progress(f"a month of {counted // 2:,} events, {len(found)} combinations: {seconds * 1e3:.1f} ms")
    assert counted == 200_000, counted
    return 1 / seconds


def _searches(events: int, progress: Callable[[str], None]) -> float:
    """Seconds of the slowest search."""
    day = START + timedelta(days=20)
    rare = (Condition("model", Operator.IS, "model-9"),)
    searches = {
        "reference": Search(reference=f"stored-{events // 2}"),
        "reference of a customer": Search(reference="stored-10", customer="busy"),
        "customer": Search(customer="busy"),
        "customer, type, day": Search(customer="busy", type="llm.request", start=day, end=day + timedelta(days=1)),
        "property that is not there": Search(customer="busy", conditions=rare),
        "any event": Search(),
        "property of any event": Search(conditions=rare),
    }
    taken = {}
    for name, search in searches.items():
        began = time.perf_counter()
        exploring.find(search)
        taken[name] = time.perf_counter() - began
    progress("searches: " + ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in taken.items()))
    return max(taken.values())
