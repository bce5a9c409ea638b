"""The invoice run on real processes: killed, doubled, and raced by ingestion; it ends as if nothing had happened."""

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.db import transaction

from invoicing import chunks, closing, planning, tasks
from invoicing.models import Chunk, Invoice, LateUsage, Line, NumberSeries
from meters.database import fetch
from meters.ingestion import ingest
from tests.customers import making
from tests.invoicing.running import plan_with, subscribed, together, utc
from tests.invoicing.sending import event, requests_meter, send
from tests.processes import Processes, Running, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]

QUICK = {"INVOICE_CHUNK_SIZE": "8", "INVOICE_LEASE_SECONDS": "2", "INVOICE_BEAT_SECONDS": "1"}
# 20 customers, three boundaries each: an opening invoice, January, February, after which they end.
CUSTOMERS, INVOICES = 20, 60


@pytest.fixture
def subscriptions(transactional_db: None) -> None:
    """Due long ago: fees in advance and in arrears, usage in three combinations of which two share a row."""
    requests = making.meter("requests", dimensions=["model"])
    rows = [({"model": "a"}, "0.003"), ({}, "0.0017")]
    versions = [plan_with(requests, advance="31", arrears="7.77", rows=rows) for _ in range(3)]
    for number in range(CUSTOMERS):
        reference = f"customer-{number}"
        subscribed(versions[number % 3], reference, start=date(2024, 1, 11), ends_on=date(2024, 3, 1))
        for month in (1, 2):
            for quantity, model in enumerate("abc", start=number):
                making.use(reference, requests, utc(2024, month, 20), 1000 + quantity * 37, {"model": model})


def picture() -> list[Any]:
    """Everything about the invoices and lines but ids, numbers and the time of the run."""
    skipped = {"id", "number", "place", "series_id", "chunk_id", "rated_at", "finalized_at", "created_at", "invoice_id"}
    return [
        (
            {name: value for name, value in vars(invoice).items() if name not in skipped and name[0] != "_"},
            [
                {name: value for name, value in line.items() if name not in skipped}
                for line in Line.objects.filter(invoice=invoice).order_by("position").values()
            ],
        )
        for invoice in Invoice.objects.order_by("customer_id", "period_end", "kind")
    ]


def undisturbed() -> list[Any]:
    """What a run that nobody disturbs makes of it: run here, looked at, and undone."""
    with transaction.atomic():
        planning.plan(datetime.now(UTC))
        for chunk in chunks.takeable():
            assert closing.work(chunk, "undisturbed")
        seen = picture()
        transaction.set_rollback(True)
    assert len(seen) == INVOICES
    assert not Invoice.objects.exists()
    return seen


def all_closed() -> bool:
    done = Invoice.objects.filter(status__in=["finalized", "empty"]).count() == INVOICES
    return done and not Chunk.objects.exclude(status="done").exists()


def assert_gapless() -> None:
    numbers = sorted(Invoice.objects.filter(status="finalized").values_list("number", flat=True))
    assert numbers == [f"INV-{n:06}" for n in range(1, len(numbers) + 1)]
    assert NumberSeries.objects.get().next_number == len(numbers) + 1


def stopped_at(place: str, processes: Processes, folder: Path) -> Running:
    """A worker that has come to the place and sleeps there."""
    marker = folder / "stopped"
    environment = {**QUICK, "STOP_AT": place, "STOP_MARKER": str(marker)}
    worker = processes.worker(app="tests.faults.stopping", environment=environment)
    processes.beat(environment=QUICK)
    worker.wait_until(marker.exists, 30, f"come to: {place}")
    return worker


def nothing_but_drafts() -> None:
    assert Invoice.objects.filter(status="draft").count() == INVOICES
    assert not Line.objects.exists()
    assert NumberSeries.objects.get().next_number == 1


@pytest.mark.parametrize("place", ["after drafts", "inside rating", "after numbers, before commit"])
def test_killed_at(place: str, subscriptions: None, processes: Processes, tmp_path: Path) -> None:
    expected = undisturbed()

    stopped_at(place, processes, tmp_path).kill_group()

    nothing_but_drafts()
    assert Chunk.objects.exists() is (place != "after drafts")
    processes.worker(environment=QUICK)
    wait_until(all_closed, 60, "the end of the run")
    assert picture() == expected
    assert_gapless()
    if place != "after drafts":
        assert max(Chunk.objects.values_list("attempts", flat=True)) == 2


def test_a_dead_workers_chunk_is_taken_when_its_lease_has_run_out(
    subscriptions: None, processes: Processes, tmp_path: Path
) -> None:
    """With a lease of 2 s and a beat of 1 s. That the defaults stay below a minute is shown in tests/invoicing."""
    worker = stopped_at("inside rating", processes, tmp_path)
    taken = Chunk.objects.get(attempts=1)
    fresh = processes.worker(environment=QUICK)
    assert fresh.is_running()

    worker.kill_group()
    killed = time.monotonic()

    wait_until(lambda: Chunk.objects.filter(pk=taken.pk, status="done").exists(), 30, "the chunk to be done")
    assert time.monotonic() - killed < 10
    assert Chunk.objects.get(pk=taken.pk).attempts == 2


def test_a_slow_worker_keeps_its_chunk_while_it_lives(
    subscriptions: None, processes: Processes, tmp_path: Path
) -> None:
    """Its lease has run out, but its transaction holds the row: nobody else takes it, nobody waits for it."""
    stopped_at("inside rating", processes, tmp_path)
    slow = Chunk.objects.get(attempts=1)
    processes.worker(environment=QUICK)
    others = Chunk.objects.exclude(pk=slow.pk)
    wait_until(lambda: not others.exclude(status="done").exists() and others.count() >= 7, 60, "the other chunks")
    time.sleep(3)
    slow.refresh_from_db()
    assert (slow.status, slow.attempts) == ("pending", 1)


def test_two_runs_at_once_give_one_invoice_each(subscriptions: None, processes: Processes) -> None:
    expected = undisturbed()
    for _ in range(2):
        processes.worker(concurrency=2, environment=QUICK)

    def plan_and_ask() -> None:
        for _ in range(5):
            planning.plan(datetime.now(UTC))
            tasks.find_due.delay()

    together(plan_and_ask, plan_and_ask, plan_and_ask)

    def asked_again() -> bool:
        tasks.find_due.delay()
        return all_closed()

    wait_until(asked_again, 60, "the end of the run")
    assert picture() == expected
    assert_gapless()


def test_ingestion_held_open_across_finalization_is_found_afterwards(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events are stored and counted, all but the commit, when the run reads usage; it does not see them."""
    requests = requests_meter()
    version = plan_with(requests, rows=[({"model": "a"}, "1")])
    subscribed(version, start=date(2024, 1, 1), ends_on=date(2024, 2, 1))
    inside = utc(2024, 1, 15, 12)
    send([event(inside, 10)])
    stored, go_on = Event(), Event()

    add = ingest.send_additions

    def add_and_wait(*counted: Any) -> None:
        add(*counted)
        fetch("SELECT 1")  # nothing waits for what was sent, but this does
        stored.set()
        assert go_on.wait(60)

    monkeypatch.setattr(ingest, "send_additions", add_and_wait)
    sender = Thread(target=together, args=(lambda: send([event(inside, 4)]),))
    sender.start()
    assert stored.wait(30)
    processes.worker(environment=QUICK)
    processes.beat(environment=QUICK)
    wait_until(lambda: Invoice.objects.filter(status="finalized").exists(), 60, "the invoice")
    assert not LateUsage.objects.exists()

    go_on.set()
    sender.join(timeout=30)

    wait_until(LateUsage.objects.exists, 30, "the late usage")
    late = LateUsage.objects.get()
    assert (late.invoice.total, late.dimensions, late.quantity) == (10, {"model": "a"}, Decimal(4))
