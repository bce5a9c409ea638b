"""Each event once, counted exactly, whoever else sends at the same time."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meters.backfills import backfilling
from meters.backfills.rebuilding import differences
from meters.definitions.drafts import DimensionDraft
from meters.definitions.metering import change, define_meter, draft_of
from meters.ingestion import ingest
from meters.measuring import registry
from meters.models import Bucket, DefinitionRevision, Event, Meter, Series, Stream, UsageChange
from meters.usage import interning
from tests.meters.making import NOON, calls_meter, event, read_batch, send, tokens_meter
from tests.processes import wait_until

THREADS = 8


def buckets(meter: Meter) -> dict[tuple[str, str, str, int], tuple[Decimal, int]]:
    """Quantity and events by (customer, subscription, dimension values, hour)."""
    rows = (
        Bucket.objects.filter(series__meter=meter)
        .values("series__customer", "series__subscription", "series__dimensions", "hour")
        .annotate(total=Sum("quantity"), count=Sum("events"))
    )
    return {
        (
            row["series__customer"],
            row["series__subscription"],
            "/".join(sorted(row["series__dimensions"].values())),
            row["hour"].hour,
        ): (
            row["total"],
            row["count"],
        )
        for row in rows
    }


@pytest.mark.django_db
def test_a_batch_is_stored_and_counted() -> None:
    tokens, calls = tokens_meter(), calls_meter()
    sent = [
        event("r1"),
        event("r2", timestamp=(NOON + timedelta(minutes=59, seconds=59)).isoformat()),
        event("r3", timestamp=(NOON + timedelta(hours=1)).isoformat()),
        event("r4", properties={"input_tokens": 5}),
        event("r5", subscription="s1"),
        event("r6", customer="globex", value=3),
        event("r7", status="failed"),
        event("r8", type="other"),
        event("r9", properties={}),
    ]
    outcome = send(*sent)
    assert (outcome.accepted, outcome.duplicates, outcome.rejected) == (9, 0, [])
    assert buckets(tokens) == {
        ("acme", "", "input/model-a", 12): (200, 2),
        ("acme", "", "model-a/output", 12): (20, 2),
        ("acme", "", "input/model-a", 13): (100, 1),
        ("acme", "", "model-a/output", 13): (10, 1),
        ("acme", "", "input", 12): (5, 1),
        ("acme", "s1", "input/model-a", 12): (100, 1),
        ("acme", "s1", "model-a/output", 12): (10, 1),
        ("globex", "", "input/model-a", 12): (100, 1),
        ("globex", "", "model-a/output", 12): (10, 1),
    }
    assert buckets(calls) == {
        ("acme", "", "", 12): (4, 4),
        ("acme", "", "", 13): (1, 1),
        ("acme", "s1", "", 12): (1, 1),
        ("globex", "", "", 12): (3, 1),
    }
    assert Event.objects.count() == 9
    changed = set(UsageChange.objects.values_list("customer", "meter_id", "hour"))
    assert changed == {(customer, meter.pk, NOON) for customer in ("acme", "globex") for meter in (tokens, calls)}
    assert UsageChange.objects.count() == 4
    assert set(Stream.objects.values_list("customer", "type")) == {
        ("acme", "llm.request"),
        ("globex", "llm.request"),
        ("acme", "other"),
    }


@pytest.mark.django_db
def test_what_was_sent_is_kept_digit_by_digit() -> None:
    properties = {"n": "0.10", "deep": [{"x": None}], "text": 'é😀"\\'}
    batch = read_batch(event(value="0.123456789012", properties=properties, subscription="s1"))
    batch.events[0].properties["exact"] = Decimal("1.234567890123456789012345678901")
    ingest.accept(batch)
    stored = Event.objects.get()
    assert stored.value == Decimal("0.123456789012")
    assert stored.properties == {**properties, "exact": Decimal("1.234567890123456789012345678901")}
    assert (stored.timestamp, stored.subscription, stored.status) == (NOON, "s1", "succeeded")


@pytest.mark.django_db
def test_a_reference_counts_once_for_each_customer() -> None:
    meter = calls_meter()
    first = send(event("r1"), event("r1", value=5), event("r1", customer="globex"))
    assert (first.accepted, first.duplicates) == (2, 1)
    again = send(event("r1", value=9), event("r2"))
    assert (again.accepted, again.duplicates) == (1, 1)
    assert buckets(meter) == {("acme", "", "", 12): (2, 2), ("globex", "", "", 12): (1, 1)}


@pytest.mark.django_db
def test_duplicates_alone_write_nothing() -> None:
    calls_meter()
    send(event("r1"))
    UsageChange.objects.all().delete()
    before = list(Bucket.objects.values())
    assert send(event("r1")).duplicates == 1
    assert (list(Bucket.objects.values()), UsageChange.objects.count()) == (before, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [True, False])
def test_as_many_queries_for_2_events_as_for_500(known: bool) -> None:
    tokens_meter()
    calls_meter()

    def queries(count: int, prefix: str) -> int:
        sent = [event(f"{prefix}{n:03}", customer=f"c{n % 50:02}") for n in range(count)]
        if known:
            send(*(event(f"{prefix}-{n}", customer=f"c{n:02}") for n in range(50)))
        else:
            interning.forget()
        with CaptureQueriesContext(connection) as captured:
            assert send(*sent).accepted == count
        return len(captured)

    send(event("warm"))
    assert queries(2, "a") == queries(500, "b") == (6 if known else 18)


@pytest.mark.django_db
def test_a_meter_made_by_another_process_counts_at_once() -> None:
    """Whatever this process remembers of the meters, it notices that they have changed."""
    send(event("r1"))
    stale = registry.cached()
    meter = calls_meter()
    with mock.patch.object(registry._Cache, "registry", stale):
        send(event("r2"))
    assert buckets(meter) == {("acme", "", "", 12): (2, 2)}


@pytest.mark.django_db
def test_a_meter_changed_by_sql_is_noticed() -> None:
    meter = calls_meter()
    send(event("r1"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE meters_meter SET event_type = 'other' WHERE id = %s", [meter.pk])
    send(event("r2"), event("r3", type="other"))
    assert buckets(meter) == {("acme", "", "", 12): (2, 2)}


@pytest.mark.django_db
def test_a_new_name_is_no_new_definition() -> None:
    meter = calls_meter()
    before = DefinitionRevision.objects.get().revision
    Meter.objects.update(name="Requests")
    assert DefinitionRevision.objects.get().revision == before
    meter.dimensions.create(name="model", property="model")
    assert DefinitionRevision.objects.get().revision != before


@pytest.mark.django_db(transaction=True)
def test_counting_waits_for_a_change_of_meters_and_counts_by_it() -> None:
    """The event is sent while the change has not committed: it must not be counted by the old definition."""
    meter = calls_meter()
    send(event("r0"))
    sent = threading.Event()

    def sender() -> int:
        try:
            sent.set()
            return send(event("r1")).accepted
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            change(meter, replace_dimensions(meter, ("model", "model")))
            accepted = pool.submit(sender)
            assert sent.wait(10)
            assert_waiting_for_lock()
        assert accepted.result(timeout=30) == 1
    backfilling.run(meter)
    assert differences(meter) == []
    assert buckets(meter) == {("acme", "", "model-a", 12): (2, 2)}


def replace_dimensions(meter: Meter, *dimensions: tuple[str, str]) -> Any:
    return replace(draft_of(meter), dimensions=tuple(DimensionDraft(*each) for each in dimensions))


def assert_waiting_for_lock() -> None:
    """Somebody waits for the lock on the definitions."""
    for _ in range(200):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            if cursor.fetchone()[0]:
                return
        threading.Event().wait(0.05)
    raise AssertionError("Nobody waited.")


def in_threads(work: list[Callable[[], Any]]) -> list[Any]:
    """Run all at once, each thread with a connection of its own, which it closes."""
    barrier = threading.Barrier(len(work))

    def run(each: Callable[[], Any]) -> Any:
        try:
            barrier.wait(10)
            return each()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))


plans = st.lists(
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 2)), min_size=1, max_size=40),
    min_size=THREADS,
    max_size=THREADS,
)


@pytest.mark.django_db(transaction=True)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=plans)
def test_any_interleaving_counts_each_event_once(plan: list[list[tuple[int, int]]]) -> None:
    """Eight senders, the same events over and over, in any order, forwards and backwards."""
    run = str(uuid4())  # earlier examples leave their rows
    meter = Meter.objects.filter(code="llm_tokens").first() or tokens_meter()

    def one(number: int, customer: int) -> dict[str, Any]:
        hour = (NOON + timedelta(hours=number % 3)).isoformat()
        return event(f"{run}-{number}", customer=f"{run}-{customer}", timestamp=hour)

    def sender(batch: list[tuple[int, int]]) -> Callable[[], int]:
        events = [one(*each) for each in batch]
        return lambda: sum(send(*each).accepted for each in (events, events[::-1], sorted(events, key=str)))

    accepted = in_threads([sender(batch) for batch in plan])
    distinct = {each for batch in plan for each in batch}
    assert sum(accepted) == len(distinct) == Event.objects.filter(customer__startswith=run).count()
    counted = Bucket.objects.filter(series__customer__startswith=run).aggregate(
        total=Sum("quantity"), count=Sum("events")
    )
    assert counted == {"total": 110 * len(distinct), "count": 2 * len(distinct)}
    assert differences(meter) == []


@pytest.mark.django_db(transaction=True)
def test_opposite_orders_leave_no_deadlock_error() -> None:
    """Large batches of the same events, each thread in another order: nobody sees an error."""
    meter = tokens_meter()
    events = [event(f"r{n}", customer=f"c{n % 20}") for n in range(400)]

    def sender(seed: int) -> Callable[[], int]:
        mine = events.copy()
        random.Random(seed).shuffle(mine)  # noqa: S311
        return lambda: sum(send(*mine[n : n + 100]).accepted for n in range(0, 400, 100))

    accepted = in_threads([sender(seed) for seed in range(THREADS)])
    assert sum(accepted) == 400
    assert differences(meter) == []
    assert Series.objects.count() == 40


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_is_tried_again() -> None:
    calls_meter()
    real, failures = ingest.store_new, [_error("40P01"), _error("40001")]

    def sometimes(*arguments: Any) -> Any:
        stored = real(*arguments)
        if failures:
            raise failures.pop()
        return stored

    crossed = mock.patch.object(ingest, "send_all", side_effect=_error("40P01"))
    with crossed as as_new, mock.patch.object(ingest, "store_new", sometimes):
        assert send(event("r1")).accepted == 1
    assert as_new.call_count == 1  # from then on with care, in the order in which everybody locks
    assert (failures, Event.objects.count(), Bucket.objects.get().events) == ([], 1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_real_deadlock_ends_with_every_event_counted_once() -> None:
    """Somebody stores b and then a, while a batch of a and b has stored a and waits for b."""
    meter = calls_meter()
    send(event("warm"))
    fields = {"customer": "acme", "type": "other", "timestamp": NOON, "status": "succeeded", "properties": {}}

    def send_both() -> int:
        try:
            return send(event("a"), event("b"), event("c")).accepted
        finally:
            connection.close()

    with mock.patch.object(ingest, "_try_again", wraps=ingest._try_again) as tried, ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Event.objects.create(reference="b", **fields)
            sender = pool.submit(send_both)
            wait_until(_somebody_waits, what="the batch's wait for b")
            Event.objects.create(reference="a", **fields)
        assert sender.result(30) == 1
    assert [ingest._sqlstate(call.args[0]) for call in tried.call_args_list] == ["40P01"]
    assert sorted(Event.objects.values_list("reference", flat=True)) == ["a", "b", "c", "warm"]
    assert differences(meter) == []


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid')")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_who_has_met_a_duplicate_begins_with_care_until_there_is_none() -> None:
    tokens_meter()
    send(event("r1"), event("r2"), event("r3"))
    with mock.patch.object(ingest, "send_all", wraps=ingest.send_all) as as_new:
        assert [send(event(name)).duplicates for name in ("r1", "r2", "r3")] == [1, 1, 1]
        assert as_new.call_count == 1
        assert [send(event(name)).accepted for name in ("r4", "r5")] == [1, 1]
        assert as_new.call_count == 2


@pytest.mark.django_db(transaction=True)
def test_another_error_is_not() -> None:
    calls_meter()
    with mock.patch.object(ingest, "send_additions", side_effect=_error("53100")), pytest.raises(OperationalError):
        send(event("r1"))
    assert not Event.objects.exists()


def _error(sqlstate: str) -> OperationalError:
    error = OperationalError(sqlstate)
    error.__cause__ = type("Cause", (Exception,), {"sqlstate": sqlstate})()
    return error


@pytest.mark.django_db(transaction=True)
def test_series_deleted_behind_its_back_are_made_again() -> None:
    meter = calls_meter()
    send(event("r1"))
    Bucket.objects.all().delete()
    Series.objects.all().delete()
    assert send(event("r2")).accepted == 1
    assert buckets(meter) == {("acme", "", "", 12): (1, 1)}


@pytest.mark.django_db(transaction=True)
def test_what_it_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interning, "CACHE_LIMIT", 10)
    meter = define_meter(
        code="m", name="M", event_type="llm.request", aggregation="count", unit="u", dimensions=[("n", "n")]
    )
    for start in range(0, 60, 20):
        send(*(event(f"r{n}", customer=f"c{n}", properties={"n": n}) for n in range(start, start + 20)))
    assert len(interning._series) == len(interning._streams) == 20
    assert len(buckets(meter)) == 60


@pytest.mark.django_db(transaction=True)
def test_it_owns_its_transaction() -> None:
    """What is called accepted is committed: inside somebody else's transaction it could not be."""
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        send(event("r1"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("size", "way"), [(10, "send_all"), (60, "copy_all")])
def test_a_batch_with_one_duplicate_is_stored_with_care(size: int, way: str) -> None:
    """The unique index refuses it as a whole; then each event is stored that is new, and counted."""
    meter = tokens_meter()
    send(event("r2"))
    sent = [event(f"r{n}", timestamp=(NOON + timedelta(hours=n // 5)).isoformat()) for n in range(size)]
    with (
        mock.patch.object(ingest, way, wraps=getattr(ingest, way)) as at_once,
        mock.patch.object(ingest, "store_new", wraps=ingest.store_new) as carefully,
    ):
        outcome = send(*sent)
    assert (outcome.accepted, outcome.duplicates, outcome.rejected) == (size - 1, 1, [])
    assert (at_once.call_count, carefully.call_count) == (1, 1)
    # r2 was counted at noon before: five events an hour, 100 tokens in and 10 out each.
    assert buckets(meter) == {
        ("acme", "", place, hour): (total, 5)
        for hour in range(12, 12 + size // 5)
        for place, total in (("input/model-a", 500), ("model-a/output", 50))
    }
    assert differences(meter) == []


@pytest.mark.django_db(transaction=True)
def test_events_that_are_new_need_no_second_look() -> None:
    tokens_meter()
    with mock.patch.object(ingest, "store_new", wraps=ingest.store_new) as carefully:
        assert send(*(event(f"r{n}") for n in range(50))).accepted == 50
    assert carefully.call_count == 0


@pytest.mark.django_db(transaction=True)
@given(
    numbers=st.lists(st.integers(-(10**18) + 1, 10**18 - 1) | st.decimals(-(10**6), 10**6, places=12), min_size=1),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whole_numbers_and_others_add_up_exactly(numbers: list[int | Decimal]) -> None:
    meter = Meter.objects.filter(code="llm_tokens").first() or tokens_meter()
    customer = str(uuid4())  # earlier examples leave their rows
    batch = read_batch(*(event(f"r{n}", customer=customer) for n in range(len(numbers))))
    for sent, number in zip(batch.events, numbers, strict=True):
        sent.properties["input_tokens"] = number
    ingest.accept(batch)
    kept = Bucket.objects.filter(series__customer=customer, series__dimensions__token_type="input").get()
    assert kept.quantity == sum(map(Fraction, numbers))
    assert differences(meter) == []
