"""What it costs to take one event at a time: posts of one event from 8 connections, all of one customer.

Each event gives two quantities, so all senders add to the same two buckets. Ours ends when the last answer has come,
and what is answered is committed, with fsync on. The floor: posts of the same body from as many connections to an empty
Django REST framework view of the same granian, behind the same middleware, that asks for no key and stores nothing.
"""

import http.client
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from billing_site.foundation.api_keys import create_key
from meters.backfills.rebuilding import differences
from tests.benchmarks import _cpu
from tests.benchmarks.ingest_http import assert_durable, bodies_of, tokens_meter
from tests.processes import Processes

CONNECTIONS = 8
REQUESTS = 4_000
RUNS = 3
WORKERS = 2
UNIT = "one event with two quantities in a request of its own, over 8 connections, against an empty request"


def measure(progress: Callable[[str], None]) -> list[tuple[float, float]]:
    """(floor, ours) in requests per second, of each of three runs."""
    meter = tokens_meter()
    _, key = create_key("benchmark", ["ingest"])
    assert_durable()
    processes = Processes()
    try:
        web = processes.web(
            workers=WORKERS,
            threads=CONNECTIONS // WORKERS,
            environment={
                "DJANGO_SETTINGS_MODULE": "tests.benchmarks._settings",
                "INGEST_EVENTS_PER_SECOND": "10000000",
            },
        )
        found = []
        for run in range(RUNS + 1):
            bodies = bodies_of(f"run-{run}-", customers=1, batches=REQUESTS, size=1)
            told = []
            rates = []
            for name, address in (("empty", "/empty"), ("ours", "/v1/events")):
                before = _cpu.seconds(web=web.child.pid)
                rate, latencies = _send(web.base_url, address, key, bodies)
                spent = _cpu.per_unit(before, _cpu.seconds(web=web.child.pid), REQUESTS)
                rates.append(rate)
                told.append(f"{name}: {rate:,.0f}/s, {_percentiles(latencies)}; processor time {spent}")
            if run:  # the first warms up
                found.append((rates[0], rates[1]))
                for line in told:
                    progress(line)
    finally:
        for process in processes.started:
            process.stop()
    wrong = differences(meter)
    assert not wrong, wrong[:3]
    return found


def _send(base_url: str, address: str, key: str, bodies: list[bytes]) -> tuple[float, list[float]]:
    """Requests per second, and the seconds that each took, in order."""
    shares = [bodies[start::CONNECTIONS] for start in range(CONNECTIONS)]
    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        taken = list(pool.map(lambda share: _send_share(base_url, address, key, share), shares))
    seconds = time.perf_counter() - began
    return len(bodies) / seconds, sorted(each for share in taken for each in share)


def _send_share(base_url: str, address: str, key: str, bodies: list[bytes]) -> list[float]:
    place = urlsplit(base_url)
    assert place.hostname is not None
    client = http.client.HTTPConnection(place.hostname, place.port, timeout=120)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    taken = []
    for body in bodies:
        began = time.perf_counter()
        client.request("POST", address, body, headers)
        answer = client.getresponse()
        text = answer.read()
        taken.append(time.perf_counter() - began)
        assert answer.status == 200, text[:500]
    client.close()
    return taken


def _percentiles(seconds: list[float]) -> str:
    p50, p99 = (seconds[int(len(seconds) * share)] * 1e3 for share in (0.5, 0.99))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"
