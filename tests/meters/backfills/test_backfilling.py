"""Stored events are counted by a job, each once, whatever happens to the job and whatever is sent meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.errors import Refused
from meters.backfills import (
    backfilling,
)
from meters.backfills import clearing as backfill_clearing
from meters.backfills import leases as backfill_leases
from meters.backfills import progress as backfills
from meters.backfills import work as backfill_work
from meters.backfills.leases import LostLease
from meters.backfills.rebuilding import rebuild
from meters.definitions.drafts import DimensionDraft, FilterDraft, MeterDraft, ValueDraft
from meters.definitions.metering import change, create, delete, draft_of
from meters.ingestion import additions
from meters.measuring import registry
from meters.models import Backfill, Bucket, Event, Meter, Point, Series, UniqueValue
from meters.usage.reading import StillCounting, Window, only, read
from tests.meters.making import NOON, calls_meter, event, send
from tests.meters.usage.test_aggregations import BY_HAND, DAY, EVERY, SENT, at, quantities, whole

pytestmark = pytest.mark.django_db
CALLS = MeterDraft(code="calls", name="Calls", event_type="llm.request", aggregation="count", unit="call")
TOKENS = replace(
    CALLS,
    code="tokens",
    aggregation="sum",
    values=(ValueDraft("", "v"),),
    dimensions=(DimensionDraft("model", "model"),),
)
NO_TURN = timedelta(0)


@pytest.fixture(autouse=True)
def _small_chunks(settings: Any) -> None:
    settings.BACKFILL_CHUNK_EVENTS = 2


def job_of(meter: Meter) -> Backfill:
    return Backfill.objects.filter(meter=meter).order_by("-id")[0]


def turn(meter: Meter, times: int = 1) -> None:
    """So many chunks, each by another worker."""
    for _ in range(times):
        backfill_work.work(job_of(meter).pk, "w", turn=NO_TURN)


def used(meter: Meter) -> tuple[Decimal, int]:
    (found,) = read([Window(1, ("acme",), meter.pk, DAY, grouping=only(()))])[1]
    return found.quantity, found.events


def buckets(meter: Meter) -> int:
    """Events in the buckets of all generations."""
    return sum(Bucket.objects.filter(series__meter=meter).values_list("events", flat=True))


def draft_for(name: str, code: str = "tokens") -> MeterDraft:
    """A meter of each aggregation by its name in tests."""
    asked = EVERY[name]
    return replace(
        TOKENS,
        code=code,
        aggregation=asked.aggregation,
        value_kind=asked.value_kind,
        rounding=asked.rounding[0],
        rounding_places=asked.rounding[1],
        values=() if name == "count" else TOKENS.values,
        dimensions=(DimensionDraft("model", "model"), DimensionDraft("region", "region")),
    )


@pytest.mark.parametrize("name", BY_HAND)
def test_every_aggregation_by_hand(name: str) -> None:
    send(*SENT)
    meter = create(draft_for(name))
    with pytest.raises(StillCounting):
        quantities(meter, DAY)
    backfilling.run(meter)
    by_model, of_the_day, of_a_part = BY_HAND[name]
    assert quantities(meter, DAY, ["model"]) == by_model
    assert quantities(meter, DAY, []) == {"": of_the_day}
    assert quantities(meter, whole(0.5, 3 + 1 / 3), []) == {"": of_a_part}
    assert rebuild(meter) == []


def test_what_comes_after_the_boundary_is_counted_as_it_comes() -> None:
    send(*(event(f"r{n}") for n in range(5)), event("f", status="failed"), event("o", type="other"))
    by = User.objects.create_user("alice")
    meter = create(CALLS, by)
    job = job_of(meter)
    last = Event.objects.latest("pk").pk
    assert (job.boundary, job.cursor, job.status, job.asked_by) == (last, last - 7, "counting", by)
    send(event("late1"), event("late2"))
    assert buckets(meter) == 2
    turn(meter)
    job.refresh_from_db()
    assert (buckets(meter), job.events, job.leased_until) == (4, 2, None)
    assert rebuild(meter) == [], "what is not counted yet is no difference"
    turn(meter, 5)
    job.refresh_from_db()
    assert (job.status, job.cursor, job.events, job.counted_at is not None) == ("done", last, 5, True)
    assert (used(meter), rebuild(meter)) == ((Decimal(7), 7), [])
    turn(meter)
    assert buckets(meter) == 7


def test_ids_are_given_one_by_one() -> None:
    """Were they given to connections in advance, an event stored later could take an id below a boundary."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seqcache FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('meters_event', 'id')::regclass"
        )
        assert cursor.fetchone() == (1,)


def test_a_type_that_never_came_has_nothing_to_count() -> None:
    send(event("r1", type="other"))
    meter = create(CALLS)
    assert not Backfill.objects.exists()
    assert read([Window(1, ("acme",), meter.pk, DAY)]) == {1: []}


def test_a_changed_meter_shows_nothing_of_before() -> None:
    send(*(at(hour, f"r{hour}", 10, model="ab"[hour % 2]) for hour in range(5)))
    meter = create(TOKENS)
    backfilling.run(meter)
    assert used(meter) == (50, 5)
    before = set(Series.objects.values_list("pk", flat=True))
    changed = change(meter, replace(draft_of(meter), filters=(FilterDraft("model", "one_of", ("b",)),), dimensions=()))
    send(at(6, "r6", 5, model="b"))
    assert (changed.generation, job_of(meter).status) == (2, "counting")
    shown = read([Window(1, ("acme",), meter.pk, DAY)], told=[meter.pk])[1]
    assert [(each.quantity, each.events) for each in shown] == [(5, 1)]
    turn(meter, 9)
    assert (job_of(meter).status, used(meter), rebuild(meter)) == ("done", (Decimal(25), 3), [])
    assert not Bucket.objects.filter(series__in=before).exists()
    assert set(Series.objects.filter(generation=1).values_list("pk", flat=True)) == before, "empty, but there"


@pytest.mark.parametrize("keeps", ["latest", "unique_count"])
def test_points_and_values_of_before_are_cleared_a_few_at_a_time(keeps: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill_clearing, "SERIES_AT_ONCE", 1)
    monkeypatch.setattr(backfill_clearing, "ROWS_AT_ONCE", 2)
    send(*(at(hour, f"r{hour}", hour, model="ab"[hour % 2]) for hour in range(7)))
    meter = create(replace(TOKENS, aggregation=keeps))
    backfilling.run(meter)
    rows = {"latest": Point, "unique_count": UniqueValue}[keeps].objects
    assert rows.count() == 7
    change(meter, replace(draft_of(meter), aggregation="sum", dimensions=()))
    turn(meter, 4)
    assert (job_of(meter).status, used(meter)) == ("clearing", (Decimal(21), 7)), "known before all is cleared away"
    turn(meter, 3)
    assert 0 < rows.count() < 7
    turn(meter, 20)
    assert (job_of(meter).status, rows.count(), used(meter)) == ("done", 0, (Decimal(21), 7))
    assert list(Bucket.objects.values_list("series__generation", flat=True).distinct()) == [2]


def test_what_does_not_change_the_count_counts_nothing() -> None:
    send(at(0, "r1", "1.5", model="a"))
    meter = create(TOKENS)
    backfilling.run(meter)
    pending = replace(TOKENS.dimensions[0], status="pending")
    for changes in ({"rounding": "ceil"}, {"unit": "mega"}, {"name": "New"}, {"dimensions": (pending,)}):
        meter = change(meter, replace(draft_of(meter), **changes))
    assert (meter.generation, Backfill.objects.count(), used(meter)) == (1, 1, (Decimal(2), 1))


def test_changed_again_while_it_is_counted() -> None:
    send(*(at(hour, f"r{hour}", 10, model="ab"[hour % 2]) for hour in range(6)))
    meter = create(TOKENS)
    turn(meter)
    first = backfill_leases.take(job_of(meter).pk, "slow")
    assert first is not None
    change(meter, replace(draft_of(meter), dimensions=()))
    with pytest.raises(LostLease):
        backfill_work._step(first)
    send(at(7, "r7", 1))
    turn(meter)
    change(meter, replace(draft_of(meter), filters=(FilterDraft("model", "present", ()),)))
    turn(meter, 12)
    assert [(job.generation, job.status) for job in Backfill.objects.order_by("id")] == [
        (1, "replaced"),
        (2, "replaced"),
        (3, "done"),
    ]
    assert (used(meter), rebuild(meter), buckets(meter)) == ((Decimal(60), 6), [], 6)


def test_deleted_while_it_is_counted() -> None:
    send(*(event(f"r{n}", properties={}) for n in range(6)))
    meter = create(TOKENS)  # which finds no value, so nothing is counted
    turn(meter)
    job = backfill_leases.take(job_of(meter).pk, "w")
    assert job is not None
    delete(meter)
    with pytest.raises(LostLease):
        backfill_work._step(job)
    assert not Backfill.objects.exists()


def test_one_worker_at_a_time_and_a_late_one_changes_nothing() -> None:
    send(*(event(f"r{n}") for n in range(6)))
    meter = create(CALLS)
    slow = backfill_leases.take(job_of(meter).pk, "slow")
    assert slow is not None
    assert backfill_leases.take(slow.pk, "other") is None
    assert backfill_leases.takeable() == []
    Backfill.objects.update(leased_until=NOON)  # its lease ran out while it slept
    assert backfill_leases.takeable() == [slow.pk]
    assert backfill_leases.take(slow.pk, "other") is not None
    with pytest.raises(LostLease):
        backfill_work._step(slow)
    assert buckets(meter) == 0
    Backfill.objects.update(leased_until=None)
    backfilling.run(meter)
    assert used(meter) == (6, 6)


def test_a_failure_is_told_and_can_be_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    send(*(event(f"r{n}") for n in range(6)))
    meter = create(CALLS)
    turn(meter)
    real = backfill_work.add_up
    monkeypatch.setattr(backfill_work, "add_up", lambda *_, **__: 1 / 0)
    for _ in range(backfill_leases.MAX_FAILURES):
        with pytest.raises(ZeroDivisionError):
            turn(meter)
        Backfill.objects.update(leased_until=None)
    job = job_of(meter)
    assert (job.status, job.error, buckets(meter)) == ("failed", "ZeroDivisionError: division by zero", 2)
    with pytest.raises(StillCounting):
        used(meter)
    (told,) = backfills.unfinished([meter.pk]).values()
    assert str(told) == "The meter “calls” could not count all stored events (33 %): resume it on its page."
    monkeypatch.setattr(backfill_work, "add_up", real)
    backfilling.resume(meter)
    backfilling.run(meter)
    assert used(meter) == (6, 6)
    with pytest.raises(Refused):
        backfilling.resume(meter)


def test_workers_that_end_without_a_word_give_up_in_the_end() -> None:
    send(event("r1"))
    meter = create(CALLS)
    for _ in range(backfill_leases.MAX_FAILURES):
        assert backfill_leases.take(job_of(meter).pk, "w") is not None
        Backfill.objects.update(leased_until=None)
    assert backfill_leases.takeable() == []
    assert (job_of(meter).status, job_of(meter).error) == ("failed", backfill_leases.SILENT)


def test_queries_do_not_grow_with_events(settings: Any) -> None:
    send(*(event(f"r{n}", properties={"v": n, "model": f"m{n % 7}"}) for n in range(200)))
    counts = []
    for events in (3, 90):
        settings.BACKFILL_CHUNK_EVENTS = events
        meter = create(replace(TOKENS, code=f"of{events}"))
        registry.load()
        with CaptureQueriesContext(connection) as queries:
            turn(meter)
        assert job_of(meter).events == events
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 24


def test_a_wrong_bucket_is_found_and_mended_while_it_is_counted() -> None:
    send(*(event(f"r{n}") for n in range(6)))
    meter = create(CALLS)
    turn(meter)
    Bucket.objects.update(quantity=99)
    assert [(each.buckets.quantity, each.events.quantity) for each in rebuild(meter)] == [(99, 2)]
    backfilling.run(meter)
    assert (used(meter), rebuild(meter)) == ((Decimal(6), 6), [])


def test_the_database_lets_no_job_be_whole_before_its_time() -> None:
    send(event("r1"), event("r2"), event("r3"))
    meter = create(CALLS)
    for wrong in ({"status": "done"}, {"cursor": 10**9}, {"status": "no"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Backfill.objects.filter(meter=meter).update(**wrong)
    with pytest.raises(IntegrityError), transaction.atomic():
        Backfill.objects.create(meter=meter, generation=2, start=0, cursor=0, boundary=3)


@pytest.mark.django_db(transaction=True)
def test_whoever_corrects_an_event_and_the_job_wait_for_each_other() -> None:
    send(*(event(f"r{n}") for n in range(6)))
    other, meter = calls_meter(), create(CALLS)
    turn(meter)
    ids = list(Event.objects.order_by("pk").values_list("pk", flat=True))
    done = threading.Event()

    def work() -> None:
        try:
            turn(meter)
        finally:
            done.set()
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            waiting = backfilling.uncounted([meter.pk, other.pk])
            asked = [ids[0], ids[1], ids[2], ids[5], ids[5] + 1]
            assert {(key, each) for key in asked for each, span in waiting.items() if span.holds(key)} == {
                (ids[2], meter.pk),
                (ids[5], meter.pk),
            }
            working = pool.submit(work)
            assert not done.wait(0.5)
            assert buckets(meter) == 2
        working.result(timeout=30)
    assert buckets(meter) == 4


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    send(*(event(f"r{n}") for n in range(3)))
    meter = create(CALLS)
    real, left = additions.add, iter([True, True, False, False])

    class Deadlock(Exception):
        sqlstate = "40P01"

    def add(*counted: Any) -> None:
        real(*counted)
        if next(left):
            raise OperationalError from Deadlock()

    monkeypatch.setattr(additions, "add", add)
    backfilling.run(meter)
    assert (used(meter), rebuild(meter)) == ((Decimal(3), 3), [])


def test_a_meter_that_changes_while_usage_is_read_is_never_read_as_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between learning which definitions are in force and reading what is kept by them."""
    send(event("r1"), event("r2"))
    meter = calls_meter()
    known, changes = registry.current, iter([True])

    def changed_behind_its_back() -> registry.Registry:
        found = known()
        if next(changes, False):
            change(meter, replace(draft_of(meter), filters=(FilterDraft("model", "present"),)))
        return found

    monkeypatch.setattr(registry, "current", changed_behind_its_back)
    with pytest.raises(StillCounting):
        used(meter)
    backfilling.run(meter)
    assert used(meter) == (Decimal(2), 2)
