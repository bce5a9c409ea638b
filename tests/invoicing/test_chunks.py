"""Chunks: who takes them, how long they are held, and what happens when one fails."""

from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.conf import settings
from django.db import DataError, OperationalError, connection, transaction
from django.db.models import Sum

from customers.rating import chunks as rating
from invoicing import chunks, closing, lines, locks, planning
from invoicing.models import Chunk, Invoice, Run
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

    def hold() -> None:
        with transaction.atomic():
            assert locks.is_planner()
            together(lambda: planning.find_due(NOW))
            assert not Invoice.objects.exists()

    together(hold)
    assert len(planning.find_due(NOW)) == 1
    assert Invoice.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_planning_holds_no_lock_beyond_a_transaction() -> None:
    """A pooler of transactions may run the unlocking of a session's lock on another connection."""
    subscribed(plan_with(arrears="5"))
    statements: list[str] = []

    def note(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(statement)
        return execute(statement, params, many, context)

    with connection.execute_wrapper(note):
        planning.find_due(NOW)
    assert any("pg_try_advisory_xact_lock" in each for each in statements)
    assert not any("advisory" in each and "xact" not in each for each in statements)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [locks.PLANNER],
        )
        assert cursor.fetchone()[0] == 0


# What one invoice does to the others of its chunk.


def breaks_on(monkeypatch: pytest.MonkeyPatch, customer: str, kind: str = "period") -> None:
    """Lines that the table refuses: an error of the whole statement, as a figure too large for its column is."""
    replace = lines.replace

    def refused(rated: Any) -> None:
        bad = Invoice.objects.filter(customer__reference=customer, kind=kind, pk__in=[each.key for each in rated])
        if bad.exists():
            raise DataError("numeric field overflow")
        replace(rated)

    monkeypatch.setattr(lines, "replace", refused)


def work_until_nothing_waits() -> None:
    for _ in range(40):
        Chunk.objects.filter(status="pending").update(leased_until=None)
        for waiting in chunks.takeable():
            closing.work(waiting, "test")
        if not Chunk.objects.filter(status="pending").exists():
            return
    pytest.fail("chunks are still waiting")


def test_one_bad_invoice_is_held_alone_and_the_others_of_its_chunk_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    version = plan_with(arrears="5")
    for number in range(7):
        subscribed(version, f"customer-{number}")
    breaks_on(monkeypatch, "customer-4")
    planning.plan(NOW)
    work_until_nothing_waits()

    held = Invoice.objects.get(status="draft")
    assert (held.customer.reference, held.chunk, held.lines.count()) == ("customer-4", None, 0)
    assert "DataError: numeric field overflow" in held.hold_reason
    assert Invoice.objects.filter(status="finalized").count() == 6
    assert sorted(Invoice.objects.exclude(number="").values_list("place", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert Run.objects.get().chunks.aggregate(all=Sum("invoices")) == {"all": 7}
    failed = Chunk.objects.get(status="failed")
    assert (failed.invoices, failed.error) == (1, "DataError: numeric field overflow")

    assert run(NOW) == []  # not again and again
    monkeypatch.undo()
    closing.retry_held([held.pk])
    run(NOW)
    assert Invoice.objects.filter(status="finalized").count() == 7


def test_a_chunk_is_tried_whole_a_second_time_before_it_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    version = plan_with(arrears="5")
    for number in range(4):
        subscribed(version, f"customer-{number}")
    breaks_on(monkeypatch, "customer-0")
    planning.plan(NOW)
    (whole,) = chunks.takeable()
    closing.work(whole, "test")
    assert Chunk.objects.get().attempts == 1
    lease_runs_out(whole)
    closing.work(whole, "test")
    halves = Chunk.objects.order_by("id")
    assert [(half.invoices, half.attempts, half.leased_until) for half in halves] == [(2, 1, None), (2, 1, None)]
    assert [half.held_invoices.count() for half in halves] == [2, 2]
    assert chunks.take(whole, "late") is None


def test_a_chunk_that_the_database_was_away_for_stays_whole_until_its_last_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = plan_with(arrears="5")
    for number in range(2):
        subscribed(version, f"customer-{number}")
    planning.plan(NOW)
    fails(monkeypatch, "canceling statement due to statement timeout")
    (whole,) = chunks.takeable()
    for _ in range(chunks.MAX_ATTEMPTS - 1):
        closing.work(whole, "test")
        lease_runs_out(whole)
        assert Chunk.objects.get().pk == whole
    closing.work(whole, "test")
    assert list(Chunk.objects.values_list("invoices", flat=True)) == [1, 1]


def test_a_chunk_that_kills_its_workers_is_split_too() -> None:
    version = plan_with(arrears="5")
    for number in range(3):
        subscribed(version, f"customer-{number}")
    planning.plan(NOW)
    (whole,) = chunks.takeable()
    for _ in range(chunks.MAX_ATTEMPTS):
        chunks.take(whole, "dies")
        lease_runs_out(whole)
    assert len(chunks.takeable()) == 2
    assert sorted(Chunk.objects.values_list("invoices", flat=True)) == [1, 2]
