"""Chunks: who takes them, how long they are held, and what happens when one fails."""

from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connection

from customers import rating
from invoicing import chunks, closing, planning
from invoicing.models import Chunk, Invoice
from tests.customers import making
from tests.invoicing.running import plan_with, run, sql, subscribed, together, utc

pytestmark = pytest.mark.django_db

NOW = utc(2024, 2, 1, 1)


@pytest.fixture
def chunk(db: None) -> int:
    subscribed(plan_with(arrears="5"))
    planning.plan(NOW)
    (waiting,) = chunks.takeable()
    return waiting


def lease_runs_out(chunk: int) -> None:
    sql("UPDATE invoicing_chunk SET leased_until = now() - interval '1 second' WHERE id = %s", chunk)


def seconds_left(chunk: int) -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM leased_until - now()) FROM invoicing_chunk WHERE id = %s", [chunk])
        return float(cursor.fetchone()[0])


def test_a_chunk_is_taken_once_until_its_lease_runs_out(chunk: int) -> None:
    assert chunks.take(chunk, "first") == 1
    assert chunks.take(chunk, "second") is None
    assert chunks.takeable() == []
    assert seconds_left(chunk) == pytest.approx(settings.INVOICE_LEASE.total_seconds(), abs=5)
    lease_runs_out(chunk)
    assert chunks.takeable() == [chunk]
    assert chunks.take(chunk, "second") == 2
    assert Chunk.objects.get().worker == "second"


def test_a_dead_workers_chunk_is_taken_again_within_a_minute() -> None:
    """The lease, a beat that has just missed it, and a beat whose message the next one replaced."""
    seconds = settings.INVOICE_LEASE.total_seconds() + 2 * settings.INVOICE_BEAT_SECONDS
    assert seconds <= 60
    schedule = settings.CELERY_BEAT_SCHEDULE["invoicing.find_due"]
    assert schedule["schedule"] == settings.INVOICE_BEAT_SECONDS
    assert schedule["task"] == "invoicing.find_due"
    assert settings.CELERY_BEAT_SCHEDULE["invoicing.watch_late_usage"]["task"] == "invoicing.watch_late_usage"


def test_who_lost_the_chunk_does_nothing(chunk: int) -> None:
    assert chunks.take(chunk, "slow") == 1
    lease_runs_out(chunk)
    assert chunks.take(chunk, "fast") == 2
    assert chunks.lock(chunk, 1) is None
    assert chunks.lock(chunk, 2) is not None


def test_a_done_chunk_is_not_worked_again(chunk: int) -> None:
    assert closing.work(chunk, "test")
    assert not closing.work(chunk, "test")
    done = Chunk.objects.get()
    assert (done.status, done.attempts, done.leased_until, done.error) == ("done", 1, None, "")
    assert done.finished_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_chunk_in_work_is_left_alone_however_old_its_lease(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on = Event(), Event()
    rate = rating.rate

    def slow(requests: Any) -> Any:
        inside.set()
        assert go_on.wait(30)
        return rate(requests)

    monkeypatch.setattr(rating, "rate", slow)

    def meanwhile() -> None:
        assert inside.wait(30)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            assert chunks.takeable() == []
            assert chunks.take(chunk, "impatient") is None
        finally:
            go_on.set()

    monkeypatch.setattr(settings, "INVOICE_LEASE", timedelta(seconds=-1))  # run out from the start
    together(lambda: closing.work(chunk, "slow"), meanwhile)
    assert Chunk.objects.get().status == "done"
    assert Chunk.objects.get().attempts == 1


def fails(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    def broken(requests: Any) -> Any:
        raise OperationalError(message)

    monkeypatch.setattr(rating, "rate", broken)


def test_a_failed_attempt_is_noted_undone_and_tried_later(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, "no route to postgres://root:s3cret@db/x")
    assert not closing.work(chunk, "test")
    failed = Chunk.objects.get()
    assert failed.status == "pending"
    assert failed.error == "OperationalError: no route to postgres://…@db/x"
    assert seconds_left(chunk) == pytest.approx(10, abs=3)
    invoice = Invoice.objects.get()
    assert (invoice.status, invoice.rated_at, invoice.lines.count()) == ("draft", None, 0)

    monkeypatch.undo()
    lease_runs_out(chunk)
    assert closing.work(chunk, "test")
    assert Chunk.objects.get().error == ""
    assert Invoice.objects.get().status == "finalized"


def test_what_always_fails_is_given_up_alone_and_can_be_retried(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, "broken")
    waits = []
    for _ in range(chunks.MAX_ATTEMPTS):
        assert Chunk.objects.get().status == "pending"
        closing.work(chunk, "test")
        if Chunk.objects.get().status == "pending":
            waits.append(round(seconds_left(chunk), -1))
            lease_runs_out(chunk)
    assert waits == [10, 20, 40, 80]
    failed = Chunk.objects.get()
    assert (failed.status, failed.attempts, failed.error) == ("failed", 5, "OperationalError: broken")
    assert chunks.takeable() == []

    monkeypatch.undo()
    subscribed(plan_with(arrears="7"), "other")
    run(NOW)  # the others go on; what was given up is not taken up again by itself
    assert list(Invoice.objects.order_by("id").values_list("status", flat=True)) == ["draft", "finalized"]
    assert chunks.retry([chunk]) == 1
    run(NOW)
    assert list(Invoice.objects.order_by("id").values_list("number", flat=True)) == ["INV-000002", "INV-000001"]


def test_a_chunk_that_kills_its_workers_is_given_up(chunk: int) -> None:
    for _ in range(chunks.MAX_ATTEMPTS):
        assert chunks.take(chunk, "dies") is not None
        lease_runs_out(chunk)
    assert chunks.take(chunk, "dies") is None
    assert chunks.takeable() == []
    failed = Chunk.objects.get()
    assert failed.status == "failed"
    assert "killed" in failed.error


def test_a_preview_that_was_given_up_does_not_keep_its_draft_from_being_finalized(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests = making.meter("requests")
    subscribed(plan_with(requests, arrears="5"))
    planning.plan(utc(2024, 2, 1))
    (preview,) = chunks.takeable()
    fails(monkeypatch, "broken")
    for _ in range(chunks.MAX_ATTEMPTS):
        lease_runs_out(preview)
        closing.work(preview, "test")
    assert Chunk.objects.get().status == "failed"
    invoice = Invoice.objects.get()
    assert invoice.chunk is None
    assert "preview failed" in invoice.hold_reason
    monkeypatch.undo()
    closing.retry_held([invoice.pk])
    run(NOW)
    assert Invoice.objects.get().status == "finalized"


@pytest.mark.django_db(transaction=True)
def test_planners_and_workers_at_the_same_time_make_each_invoice_once(settings: Any) -> None:
    settings.INVOICE_CHUNK_SIZE = 7
    requests = making.meter("requests")
    version = plan_with(requests, advance="3", price="1")
    for number in range(40):
        subscribed(version, f"customer-{number}")
        making.use(f"customer-{number}", requests, utc(2024, 1, 2), number)
    together(*[lambda: run(NOW)] * 4)
    run(NOW)
    assert Invoice.objects.count() == 80
    assert not Invoice.objects.exclude(status="finalized").exists()
    numbers = sorted(Invoice.objects.values_list("number", flat=True))
    assert numbers == [f"INV-{n:06}" for n in range(1, 81)]
    assert not Chunk.objects.exclude(status="done").exists()
    assert not Chunk.objects.filter(attempts__gt=1).exists()


@pytest.mark.django_db(transaction=True)
def test_only_one_plans_at_a_time_and_a_dead_planner_leaves_no_lock() -> None:
    subscribed(plan_with(arrears="5"))

    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [planning.PLANNER_LOCK])
        together(lambda: planning.find_due(NOW))
        assert not Invoice.objects.exists()

    together(ask)  # its connection is closed at the end, and the lock with it
    assert len(planning.find_due(NOW)) == 1
    assert Invoice.objects.count() == 1
