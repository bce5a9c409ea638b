"""A meter made over 50,000 stored events, counted by real workers of which one is killed, while senders go on."""

import json
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.db import connection

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key
from billing_site.foundation.periods import Period
from meters.backfills.rebuilding import differences
from meters.definitions.drafts import DimensionDraft, MeterDraft, ValueDraft
from meters.definitions.metering import create
from meters.models import Backfill, Bucket, Event
from meters.usage.reading import StillCounting, Window, read
from tests.meters.making import NOON
from tests.processes import Processes, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]

QUICK = {"BACKFILL_LEASE_SECONDS": "2", "BACKFILL_BEAT_SECONDS": "1", "BACKFILL_CHUNK_EVENTS": "5000"}
STORED = 50_000
TOKENS = MeterDraft(
    code="tokens",
    name="Tokens",
    event_type="llm.request",
    aggregation="sum",
    unit="token",
    values=(ValueDraft("", "tokens"),),
    dimensions=(DimensionDraft("model", "model"),),
)


def store(events: int) -> int:
    """Old events, of 20 customers, in 100 hours; the sum of their tokens."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO meters_event (customer, reference, type, timestamp, status, subscription, properties)
            SELECT 'c' || n %% 20, 'old-' || n, 'llm.request', %s + make_interval(mins => n %% 6000), 'succeeded', '',
                jsonb_build_object('model', 'm' || n %% 3, 'tokens', n %% 7)
            FROM generate_series(1, %s) AS n
            """,
            [NOON, events],
        )
        cursor.execute(
            "INSERT INTO meters_stream (customer, type) SELECT 'c' || n, 'llm.request' FROM generate_series(0, 19) n"
        )
    return sum(n % 7 for n in range(1, events + 1))


class Sender:
    """Posts 20 events of one token each, again and again, and notes every answer."""

    def __init__(self, base_url: str) -> None:
        self.answers: Counter[int] = Counter()
        self.slowest = 0.0
        self._address = f"{base_url}/v1/events"
        self._secret = create_key("gateway", ["ingest"])[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        batch = 0
        while not self._stop.is_set():
            batch += 1
            began = time.monotonic()
            self.answers[self._post(batch)] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    def _post(self, batch: int) -> int:
        now = clock.now().isoformat()
        events = [
            {
                "reference": f"new-{batch}-{n}",
                "customer": f"c{n}",
                "type": "llm.request",
                "timestamp": now,
                "properties": {"model": "m1", "tokens": 1},
            }
            for n in range(20)
        ]
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        request = Request(self._address, json.dumps(events).encode(), headers)  # noqa: S310
        try:
            with urlopen(request, timeout=30) as answer:  # noqa: S310
                return int(answer.status)
        except HTTPError as refused:
            return refused.code


@pytest.mark.parametrize("place", ["backfill: counted, before commit", "backfill: between two chunks"])
def test_killed_in_the_middle_while_events_come_in(place: str, processes: Processes, tmp_path: Path) -> None:
    tokens = store(STORED)
    web = processes.web()
    marker = tmp_path / "stopped"
    doomed = processes.worker(
        app="tests.faults.stopping", environment={**QUICK, "STOP_AT": place, "STOP_MARKER": str(marker)}
    )
    processes.beat(environment=QUICK)
    with Sender(web.base_url) as sender:
        wait_until(lambda: sender.answers[200], 30, "events to be taken")
        meter = create(TOKENS)
        doomed.wait_until(marker.exists, 60, f"come to: {place}")
        with pytest.raises(StillCounting):
            read([Window(1, ("c1",), meter.pk, Period(NOON, NOON + timedelta(days=1)))])
        before = sender.answers[200]
        wait_until(lambda: sender.answers[200] > before + 3, 30, "events to be taken while a chunk is open")
        doomed.kill_group()
        assert differences(meter) == [], "what is counted so far is what those events come to"
        job = Backfill.objects.get()
        assert 0 < job.events < STORED
        assert sum(Bucket.objects.values_list("events", flat=True)) >= job.events
        processes.worker(environment=QUICK)
        wait_until(lambda: Backfill.objects.get().status == "done", 90, "the count to be done")
        before = sender.answers[200]
        wait_until(lambda: sender.answers[200] > before + 1, 30, "events to be taken afterwards")

    assert set(sender.answers) == {200}
    assert sender.slowest < 10
    assert differences(meter) == []
    job = Backfill.objects.get()
    sent = Event.objects.count() - STORED
    assert sent == 20 * sender.answers[200]
    assert job.takes >= 2
    total = sum(Bucket.objects.values_list("quantity", flat=True))
    assert total == tokens + sent
