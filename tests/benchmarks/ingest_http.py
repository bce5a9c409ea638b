"""What it costs to take events over HTTP: batches of 500 on 4 connections, to running granian workers.

Each event gives two quantities (input and output tokens). Ours ends when the last answer has come, so everything is
stored, deduplicated and counted. The floor: the very same rows, ready-made as one binary buffer for each of 4
connections, by COPY into a table with the same columns and indexes; one transaction each. Both with fsync and
synchronous_commit on.

Shown beside it: the same floor in transactions of 500, as a store must commit that answers each batch when it is safe.

Two lines: one busy customer, and 200 customers in each batch.
"""

import http.client
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psycopg
from django.db import connection

from billing_site.foundation.api_keys import create_key
from meters.backfills.rebuilding import differences
from meters.definitions.metering import define_meter
from meters.models import Meter
from tests.benchmarks import _cpu
from tests.processes import Processes, Web

CONNECTIONS = 4
BATCH = 500
BATCHES = 160
RUNS = 3
WORKERS = 4
VARIANTS = {"": 1, "customers_200": 200}
UNIT = "one event with two quantities, in batches of 500 over 4 connections"

COLUMNS = "customer, reference, type, timestamp, received_at, value, status, subscription, properties"


def measure(progress: Callable[[str], None]) -> dict[str, list[tuple[float, float]]]:
    """(floor, ours) in events per second, of each of three runs, for one customer and for 200."""
    meter = tokens_meter()
    _, key = create_key("benchmark", ["ingest"])
    assert_durable()
    processes = Processes()
    try:
        web = processes.web(
            workers=WORKERS,
            threads=CONNECTIONS + 1,
            environment={"INGEST_EVENTS_PER_SECOND": "10000000", "INGEST_AT_ONCE": str(CONNECTIONS)},
        )
        found = {variant: _runs(variant, web, key, progress) for variant in VARIANTS}
    finally:
        for process in processes.started:
            process.stop()

    wrong = differences(meter)
    assert not wrong, wrong[:3]
    return found


def tokens_meter() -> Meter:
    """Two quantities of each event, by model."""
    return define_meter(
        code="llm_tokens",
        name="LLM tokens",
        event_type="llm.request",
        aggregation="sum",
        unit="token",
        values=[("input", "input_tokens"), ("output", "output_tokens")],
        label_dimension="token_type",
        dimensions=[("model", "model")],
    )


def assert_durable() -> None:
    with connection.cursor() as cursor:
        for setting in ("fsync", "synchronous_commit"):
            cursor.execute(f"SHOW {setting}")
            assert cursor.fetchone() == ("on",), setting


def _runs(variant: str, web: Web, key: str, progress: Callable[[str], None]) -> list[tuple[float, float]]:
    send(web.base_url, key, bodies_of(f"{variant}-warm", VARIANTS[variant], CONNECTIONS * 4))
    found = []
    for number in range(RUNS):
        name = f"{variant}-run-{number}-"
        bodies = bodies_of(name, VARIANTS[variant], BATCHES)
        before = _cpu.seconds(web=web.child.pid)
        ours = send(web.base_url, key, bodies)
        between = _cpu.seconds(web=web.child.pid)
        floor, spent = _floor(name, 1)
        in_batches, _ = _floor(name, BATCHES // CONNECTIONS)
        progress(
            f"{variant or 'one customer'}: {ours:,.0f} events/s, floor {floor:,.0f}, "
            f"in transactions of {BATCH} {in_batches:,.0f}"
        )
        progress(f"  processor time for each event, ours: {_cpu.per_unit(before, between, BATCHES * BATCH)}")
        progress(f"  the floor's: {spent}")
        found.append((floor, ours))
    return found


def bodies_of(name: str, customers: int, batches: int, size: int = BATCH) -> list[bytes]:
    """Requests of `size` events each, whose references begin with `name`."""
    now = datetime.now(UTC).isoformat()
    return [
        json.dumps(
            [
                {
                    "reference": f"{name}{batch}-{number}",
                    "type": "llm.request",
                    "customer": f"customer-{number % customers}",
                    "timestamp": now,
                    "properties": {
                        "model": f"model-{number % 3}",
                        "region": "eu",
                        "input_tokens": 300 + number,
                        "output_tokens": 40 + batch,
                    },
                }
                for number in range(size)
            ]
        ).encode()
        for batch in range(batches)
    ]


def send(address: str, key: str, bodies: list[bytes]) -> float:
    """Events per second, from the first byte to the last answer."""
    shares = [bodies[start::CONNECTIONS] for start in range(CONNECTIONS)]
    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        accepted = sum(pool.map(lambda share: _send_share(address, key, share), shares))
    seconds = time.perf_counter() - began
    assert accepted == len(bodies) * BATCH, accepted
    return accepted / seconds


def _send_share(address: str, key: str, bodies: list[bytes]) -> int:
    """One connection, kept open; how many events were accepted."""
    place = urlsplit(address)
    assert place.hostname is not None
    http_connection = http.client.HTTPConnection(place.hostname, place.port, timeout=120)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    accepted = 0
    for body in bodies:
        http_connection.request("POST", "/v1/events", body, headers)
        answer = http_connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text[:500]
        accepted += json.loads(text)["accepted"]
    http_connection.close()
    return accepted


def _floor(name: str, transactions: int) -> tuple[float, str]:
    """Events per second of COPY, for the rows that were just sent, in so many transactions on each connection."""
    parts = CONNECTIONS * transactions
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_event, bench_sent")
        cursor.execute("CREATE TABLE bench_event (LIKE meters_event INCLUDING ALL)")
        cursor.execute(
            f"CREATE TABLE bench_sent AS SELECT id, {COLUMNS} FROM meters_event WHERE reference LIKE '{name}%'"
        )
        cursor.execute(f"CREATE INDEX ON bench_sent ((id % {parts}), id)")
        cursor.execute("ANALYZE bench_sent")
    buffers = [_buffer(part, parts) for part in range(parts)]
    shares = [buffers[start::CONNECTIONS] for start in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        connections = list(pool.map(lambda _: psycopg.connect(os.environ["DATABASE_URL"]), shares))
        before, began = _cpu.seconds(), time.perf_counter()
        copied = sum(pool.map(_copy, connections, shares))
        seconds = time.perf_counter() - began
        spent = _cpu.per_unit(before, _cpu.seconds(), BATCHES * BATCH)
    for each in connections:
        each.close()
    assert copied == BATCHES * BATCH, copied
    return copied / seconds, spent


def _buffer(part: int, parts: int) -> bytes:
    """A share of the rows as binary COPY wants them: made by PostgreSQL itself."""
    query = f"COPY (SELECT {COLUMNS} FROM bench_sent WHERE id % {parts} = {part} ORDER BY id) TO STDOUT (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        return b"".join(bytes(part) for part in copy)


def _copy(database: psycopg.Connection[tuple[object, ...]], buffers: list[bytes]) -> int:
    copied = 0
    for buffer in buffers:
        with database.transaction(), database.cursor() as cursor:
            with cursor.copy(f"COPY bench_event ({COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(buffer)
            copied += cursor.rowcount
    return copied
