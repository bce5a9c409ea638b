"""Batches of several threads in one transaction: each has its own outcome, and nothing is otherwise than one by one."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import OperationalError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meters.backfills.rebuilding import differences
from meters.ingestion import combining, ingest
from meters.ingestion.ingest import Outcome
from meters.measuring import registry
from meters.measuring.preparing import Prepared, merge, prepare
from meters.models import Bucket, Event, UniqueValue
from tests.meters.making import NOON, calls_meter, event, read_batch, send, tokens_meter
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Sent = list[dict[str, Any]]
SendAll = Callable[..., list[Outcome]]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(6) as pool:
        yield pool


def send_in_thread(batch: Sent) -> Outcome:
    try:
        return ingest.accept(read_batch(*batch))
    finally:
        connection.close()


@pytest.fixture
def send_all(threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> SendAll:
    """Send a first batch, which waits for the definitions' lock, and the others, which wait for it."""
    monkeypatch.setattr(combining, "PATIENCE_SECONDS", 20.0)

    def send_all(*batches: Sent) -> list[Outcome]:
        asked = []
        with transaction.atomic():
            registry.lock()
            for number, batch in enumerate(batches):
                asked.append(threads.submit(send_in_thread, batch))
                wait_until(
                    lambda number=number: (  # type: ignore[misc]
                        ingest._together._at_work and len(ingest._together._waiting) == number
                    ),
                    what="its wait",
                )
        return [each.result(30) for each in asked]

    return send_all


@pytest.fixture
def stored() -> Iterator[mock.Mock]:
    with mock.patch.object(ingest, "_store", wraps=ingest._store) as stored:
        yield stored


def of(name: str, count: int, **changes: Any) -> Sent:
    return [event(f"{name}{n}", **changes) for n in range(count)]


def told(outcomes: list[Outcome]) -> list[tuple[int, int, int]]:
    return [(each.accepted, each.duplicates, len(each.rejected)) for each in outcomes]


def sizes(stored: mock.Mock) -> list[int]:
    return [len(call.args[0].prepared.events) for call in stored.call_args_list]


def warm() -> None:
    """What this process knows by heart needs no transaction before that of the events."""
    for customer in ("acme", "bolt"):
        send(event(f"warm-{customer}", customer=customer))
    registry.current()


@pytest.mark.parametrize("count", [1, 20])
def test_who_waits_is_stored_in_one_transaction(count: int, send_all: SendAll, stored: mock.Mock) -> None:
    meter, calls = tokens_meter(), calls_meter()
    warm()
    stored.reset_mock()
    bad = event("bad", properties={"input_tokens": 10**40})
    outcomes = send_all([event("first")], of("a", count), [*of("b", count, customer="bolt"), bad], of("c", count))
    assert told(outcomes) == [(1, 0, 0), (count, 0, 0), (count, 0, 1), (count, 0, 0)]
    assert sizes(stored) == [1, 3 * count]
    assert Event.objects.count() == 3 * count + 3
    assert differences(meter) == differences(calls) == []


def test_what_was_there_is_a_duplicate_of_its_own_sender(send_all: SendAll, stored: mock.Mock) -> None:
    """The transaction of three fails as a whole; then they are stored together with care."""
    meter = tokens_meter()
    warm()
    send(*of("b", 10))
    stored.reset_mock()
    outcomes = send_all([event("first")], of("a", 20), of("b", 20), of("c", 20))
    assert told(outcomes) == [(1, 0, 0), (20, 0, 0), (10, 10, 0), (20, 0, 0)]
    assert sizes(stored) == [1, 60, 60]
    assert Event.objects.count() == 63
    assert differences(meter) == []


def test_single_events_share_a_transaction_with_duplicates(send_all: SendAll, stored: mock.Mock) -> None:
    meter = tokens_meter()
    warm()
    send(event("b"))
    stored.reset_mock()
    assert told(send_all([event("first")], [event("a")], [event("b")], [event("c")])) == [
        (1, 0, 0),
        (1, 0, 0),
        (0, 1, 0),
        (1, 0, 0),
    ]
    assert sizes(stored) == [1, 3, 3]
    assert differences(meter) == []


def test_one_reference_of_two_senders_counts_once(send_all: SendAll) -> None:
    meter = tokens_meter()
    warm()
    outcomes = send_all([event("first")], of("a", 3), [event("a2"), event("b")])
    assert sum(each.accepted for each in outcomes) == 1 + 4
    assert sorted(each.duplicates for each in outcomes) == [0, 0, 1]
    assert Event.objects.count() == 7
    assert differences(meter) == []


def test_trouble_with_all_is_nobodys(send_all: SendAll, monkeypatch: pytest.MonkeyPatch) -> None:
    """Say a lock that one of them waits for in vain: then each has its own attempt, and its own error."""
    meter = tokens_meter()
    warm()
    store = ingest._store

    def fails(ready: Any, *arguments: Any, **options: Any) -> Any:
        if any(each.customer == "bolt" for each in ready.prepared.events):
            raise OperationalError("canceling statement due to lock timeout")
        return store(ready, *arguments, **options)

    monkeypatch.setattr(ingest, "_store", fails)
    with pytest.raises(OperationalError, match="lock timeout"):
        send_all([event("first")], of("a", 2), of("b", 2, customer="bolt"), of("c", 2))
    wait_until(lambda: Event.objects.count() == 2 + 1 + 4, what="what the others sent")
    assert differences(meter) == []
    assert not ingest._together._at_work


def test_definitions_that_change_are_read_by_each(send_all: SendAll, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = tokens_meter()
    warm()
    real = registry.held
    calls = iter(range(1_000))

    @contextmanager
    def held(definitions: registry.Registry) -> Iterator[None]:
        with real(definitions):
            if next(calls) < 2:  # of the first, and of those who waited for it
                raise registry.DefinitionsChanged
            yield

    monkeypatch.setattr(registry, "held", held)
    assert told(send_all([event("first")], of("a", 2), of("b", 2))) == [(1, 0, 0), (2, 0, 0), (2, 0, 0)]
    assert differences(meter) == []


def test_the_latest_is_what_came_last(send_all: SendAll, stored: mock.Mock) -> None:
    """Values at one instant, whose references are in another order than the senders."""
    latest = calls_meter(code="latest", aggregation="latest", values=[("", "seats")])
    users = calls_meter(code="users", aggregation="unique_count", values=[("", "user")])
    for customer in ("acme", "bolt"):
        send(event(f"warm-{customer}", customer=customer, properties={"seats": 1, "user": "u0"}))
    stored.reset_mock()
    batches = [[event(f"{'cba'[n]}", properties={"seats": n, "user": f"u{n % 2}"})] for n in range(3)]
    big = [event(f"z{n}", properties={"seats": 50 - n, "user": f"u{n}"}) for n in range(9, -1, -1)]
    assert told(send_all([event("first")], *batches, big)) == [(1, 0, 0), *[(1, 0, 0)] * 3, (10, 0, 0)]
    assert sizes(stored) == [1, 13]
    received = list(Event.objects.order_by("id").values_list("reference", flat=True))
    assert received[3:] == ["c", "b", "a", *(each["reference"] for each in big)]
    assert differences(latest) == differences(users) == []
    assert UniqueValue.objects.filter(customer="acme").count() == 10


def test_large_batches_and_uploads_have_their_own(stored: mock.Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens_meter()
    monkeypatch.setattr(ingest, "SMALL", 5)
    with mock.patch.object(ingest, "_together", wraps=ingest._together) as together:
        send(*of("a", 6))
        ingest.accept(read_batch(*of("b", 2)), lambda outcome: None)
        assert together.call_count == 0
        send(*of("c", 5))
        assert together.call_count == 1
    assert sizes(stored) == [6, 2, 5]


def test_who_was_at_work_in_another_process_is_not_in_this_one() -> None:
    tokens_meter()
    ingest._together._at_work = True
    try:
        child = os.fork()
        if child == 0:
            os._exit(1 if ingest._together._at_work or ingest._together._lock.locked() else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        ingest._together._at_work = False


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 9)), max_size=6), min_size=2, max_size=4
    )
)
def test_batches_add_up_to_what_one_of_all_of_them_adds(batches: list[list[tuple[int, int, int]]]) -> None:
    if not registry.current().by_id:
        tokens_meter()
        calls_meter(aggregation="max", values=[("", "input_tokens")])
    by_type = registry.current().by_type
    sent = [
        [
            event(
                f"r{place}-{n}",
                customer=f"c{customer}",
                timestamp=(NOON + timedelta(hours=hour)).isoformat(),
                properties={"model": "m", "input_tokens": tokens, **({"output_tokens": 1} if tokens % 2 else {})},
            )
            for n, (customer, hour, tokens) in enumerate(batch)
        ]
        for place, batch in enumerate(batches)
    ]

    def tallied(prepared: Prepared) -> Any:
        ids = {key: number for number, key in enumerate(sorted(prepared.added.series()))}
        counted = prepared.added.counted(prepared.added.located(ids), {})
        return counted.tallies, counted.changes, [each.reference for each in prepared.events]

    at_once = prepare(read_batch(*(each for batch in sent for each in batch)), by_type)
    merged = merge([prepare(read_batch(*batch), by_type) for batch in sent])
    assert tallied(merged) == tallied(at_once)


def test_nothing_is_left_of_the_buckets_lock() -> None:
    """What is committed with the last statement is seen by others, and the connection goes on."""
    tokens_meter()
    send(*of("a", 7))
    assert connection.connection.info.transaction_status.name == "IDLE"
    assert sum(Bucket.objects.values_list("events", flat=True)) == 14
