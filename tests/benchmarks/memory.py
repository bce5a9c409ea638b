"""Whether a worker that takes events keeps any of them: its memory over a million events.

One granian worker takes batches of 500, of one customer and of 200 in turn. The floor is its resident memory after the
first fifth, when everything is loaded that stays; ours is what it is at the end. A ratio of 1 is flat.
"""

import os
from collections.abc import Callable, Iterator

import psutil

from billing_site.foundation.api_keys import create_key
from tests.benchmarks.ingest_http import BATCH, CONNECTIONS, bodies_of, send, tokens_meter
from tests.processes import Processes, Web

EVENTS = 1_000_000
BATCHES_AT_ONCE = 40
UNIT = "one megabyte of resident memory: the floor is after the first fifth of the events, ours at the end,"


def measure(progress: Callable[[str], None]) -> list[tuple[float, float]]:
    """(floor, ours) in megabytes, of one run."""
    tokens_meter()
    _, key = create_key("benchmark", ["ingest"])
    events = int(os.environ.get("EVENTS", EVENTS))
    processes = Processes()
    try:
        web = processes.web(
            workers=1,
            threads=CONNECTIONS + 1,
            environment={"INGEST_EVENTS_PER_SECOND": "10000000", "INGEST_AT_ONCE": str(CONNECTIONS)},
        )
        start = resident(web)
        seen = list(over(web, key, events))
    finally:
        for process in processes.started:
            process.stop()
    progress(", ".join(f"{each:.0f}" for each in [start, *seen]) + " MB")
    warm, end = seen[len(seen) // 5], seen[-1]
    progress(f"start {start:.1f} MB, after {events // 5:,} events {warm:.1f} MB, after {events:,} {end:.1f} MB")
    return [(warm, end)]


def over(web: Web, key: str, events: int) -> Iterator[float]:
    """The worker's memory, in megabytes, again and again while it takes so many events."""
    for number in range(0, events, BATCHES_AT_ONCE * BATCH):
        customers = 200 if number // (BATCHES_AT_ONCE * BATCH) % 2 else 1
        send(web.base_url, key, bodies_of(f"memory-{number}-", customers, BATCHES_AT_ONCE))
        yield resident(web)


def resident(web: Web) -> float:
    """Megabytes of the largest process of a granian, which is its worker."""
    processes = psutil.Process(web.child.pid).children(recursive=True)
    return max(process.memory_info().rss for process in processes) / 1e6
