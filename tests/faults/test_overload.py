"""Many large bodies at once while the database stands still: senders are told to come again, and memory stays."""

import http.client
import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import transaction

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key
from meters.ingestion.limiting import WINDOW_SECONDS
from meters.measuring import registry
from meters.models import Bucket, Event
from tests.meters.making import calls_meter, event
from tests.processes import Processes, Web

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]

SENDERS, EVENTS = 40, 70  # 40 bodies of 70 events of 60 kB: 168 MB
SENT_AGAIN = 6  # of them, once it goes on
MEGABYTE = 1_000_000


def body(sender: int) -> bytes:
    noise = "".join(f"{sender * n:05d}" for n in range(12_000))
    now = clock.now().isoformat()
    return json.dumps(
        [event(f"{sender}:{n}", timestamp=now, properties={"prompt": noise}) for n in range(EVENTS)]
    ).encode()


def memory(web: Web) -> int:
    """Bytes that the web process and its children hold."""
    group = os.getpgid(web.child.pid)
    held = 0
    for status in Path("/proc").glob("[0-9]*/statm"):
        try:
            if os.getpgid(int(status.parent.name)) == group:
                held += int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (ProcessLookupError, FileNotFoundError):
            continue
    return held


def test_a_database_that_stands_still_fills_no_memory_and_holds_no_sender(processes: Processes) -> None:
    calls_meter()
    web = processes.web(environment={"DATABASE_LOCK_TIMEOUT_MS": "6000"})
    key = create_key("gateway", ["ingest"])[1]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    bodies = [body(sender) for sender in range(SENDERS)]

    def post(content: bytes) -> tuple[int, int, dict[str, Any], float]:
        """Status, seconds after which to come again, the answer, and how long it took."""
        started = time.monotonic()
        client = http.client.HTTPConnection(urlsplit(web.base_url).netloc, timeout=60)
        client.request("POST", "/v1/events", content, headers)
        answer = client.getresponse()
        told = json.load(answer)
        client.close()
        return answer.status, int(answer.headers.get("Retry-After", 0)), told, time.monotonic() - started

    assert post(json.dumps(event("warm", timestamp=clock.now().isoformat())).encode())[0] == 200
    before = peak = memory(web)
    with ThreadPoolExecutor(SENDERS) as senders:
        with transaction.atomic():
            registry.lock()  # as who changes a meter does
            sent = [senders.submit(post, content) for content in bodies]
            while not all(each.done() for each in sent):
                peak = max(peak, memory(web))
                time.sleep(0.02)
            answers = [each.result() for each in sent]
        assert {(status, told["errors"][0]["code"]) for status, _, told, _ in answers} == {(503, "busy")}
        assert all(wait > 0 for _, wait, _, _ in answers)
        # two wait for the lock to be given up; the others were told sooner
        assert sorted(took for *_, took in answers)[SENDERS - 3] < 5.5
        # 168 MB were sent: what is held is two bodies, what was read of them, and pieces of the others
        assert peak - before < 90 * MEGABYTE, (peak - before) / MEGABYTE
        assert Event.objects.count() == 1

        pending, accepted, rounds = bodies[:SENT_AGAIN], 0, Counter[int]()
        while pending:
            again = list(senders.map(post, pending))
            rounds.update(status for status, *_ in again)
            accepted += sum(told["accepted"] for status, _, told, _ in again if status == 200)
            pending = [content for content, answer in zip(pending, again, strict=True) if answer[0] != 200]
        assert set(rounds) <= {200, 503}
    assert accepted == SENT_AGAIN * EVENTS == Event.objects.count() - 1
    assert sum(Bucket.objects.values_list("quantity", flat=True)) == SENT_AGAIN * EVENTS + 1


def test_a_key_has_one_limit_over_all_processes(processes: Processes) -> None:
    web = processes.web(workers=2, environment={"INGEST_EVENTS_PER_SECOND": "1"})
    headers = {"Authorization": f"Bearer {create_key('gateway', ['ingest'])[1]}", "Content-Type": "application/json"}

    def post(number: int) -> int:
        client = http.client.HTTPConnection(urlsplit(web.base_url).netloc, timeout=30)
        sent = event(f"r{number}", timestamp=clock.now().isoformat())
        client.request("POST", "/v1/events", json.dumps(sent), headers)
        return client.getresponse().status

    first = clock.now().timestamp() // WINDOW_SECONDS
    with ThreadPoolExecutor(4) as senders:
        statuses = Counter(senders.map(post, range(60)))
    windows = int(clock.now().timestamp() // WINDOW_SECONDS - first) + 1
    assert set(statuses) == {200, 429}
    assert statuses[200] == Event.objects.count() <= windows * WINDOW_SECONDS
