"""Batches come in while others void and amend: whatever the order, buckets are what the surviving events come to."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.db import connections

from billing_site.foundation.errors import Refused
from meters.backfills.rebuilding import differences
from meters.corrections import correcting as corrections
from meters.database import fetch
from meters.ingestion import additions, ingest
from meters.models import Correction, Meter
from meters.usage import buckets
from tests.meters.correcting import amend, by_a_key, event_of, void
from tests.meters.making import event, send
from tests.meters.usage.test_aggregations import EVERY, at, make, quantities, whole

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.faults]
SENDERS, ROUNDS, BATCH = 8, 12, 12
CORRECTORS, CORRECTIONS = 3, 30


def together(*work: Callable[[], None]) -> None:
    """Run all at once; the first failure is raised."""
    failures: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


def test_eight_senders_and_three_correctors() -> None:
    meters = [make(asked, "llm.request") for name, asked in EVERY.items() if " " not in name]
    sent: list[str] = []
    by = by_a_key()
    together(
        *(partial(_send_all, number, sent) for number in range(SENDERS)),
        *(partial(_correct_some, number, sent, by) for number in range(CORRECTORS)),
    )
    assert Correction.objects.count() >= CORRECTORS * CORRECTIONS
    for meter in meters:
        assert differences(meter) == [], meter.aggregation


def _send_all(number: int, sent: list[str]) -> None:
    chance = random.Random(number)  # noqa: S311
    for turn in range(ROUNDS):
        batch = [_event(chance, f"s{number}-{turn}-{each}") for each in range(BATCH)]
        send(*batch)
        sent.extend(each["reference"] for each in batch)


def _correct_some(number: int, sent: list[str], by: corrections.By) -> None:
    chance, done = random.Random(1000 + number), 0  # noqa: S311
    while done < CORRECTIONS:
        if not sent:
            time.sleep(0.01)
            continue
        key = event_of("acme", chance.choice(sent))
        with suppress(Refused):  # it was voided, or is so already
            if chance.random() < 0.5:
                void(key, by=by)
            else:
                amend(key, {"properties": {"v": chance.randint(-3, 9), "model": chance.choice("ab")}}, by=by)
            done += 1


def _event(chance: random.Random, reference: str) -> dict[str, Any]:
    """Few hours, few values, one customer: everybody meets everybody."""
    hours = chance.choice([0, 0.25, 0.5, 1.25])
    return at(hours, reference, chance.randint(-3, 9), model=chance.choice("ab"))


class _Held:
    """Holds up one thread at a statement, until another is done or has had the time to wait for it."""

    def __init__(self) -> None:
        self.in_flight, self.go_on, self.mine = threading.Event(), threading.Event(), threading.local()

    def around(self, usual: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            answer = usual(*given, **named) if after else None
            if after:
                fetch("SELECT 1")  # nothing waits for what was sent, but this does
            if getattr(self.mine, "sends", False):
                self.in_flight.set()
                self.go_on.wait(1.5)
            return answer if after else usual(*given, **named)

        return wrapped


@pytest.mark.parametrize("name", ["max", "min", "unique", "sum", "latest"])
@pytest.mark.parametrize("point", ["send_rows", "send_values", "send_additions"])
def test_a_batch_in_flight_is_neither_lost_nor_counted_twice(
    name: str, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has stored the value that is about to be voided, and is held up before, in between or after counting it."""
    meter = make(EVERY[name], "llm.request", dimensions=[])
    send(at(0, "r1", 5), at(0.1, "r2", 4))
    key = event_of("acme", "r1")
    held = _Held()
    for owner in (ingest, additions) if point == "send_additions" else (buckets,):
        monkeypatch.setattr(owner, point, held.around(getattr(owner, point), after=point == "send_additions"))

    def batch() -> None:
        held.mine.sends = True
        send(at(0.2, "r3", 5))

    def correction() -> None:
        assert held.in_flight.wait(30)
        void(key)
        held.go_on.set()

    together(batch, correction)
    assert differences(meter) == []
    expected = {"max": "5", "min": "4", "unique": "2", "sum": "9", "latest": "5"}[name]
    assert quantities(meter, whole(0, 1)) == {"": expected}


def test_two_corrections_of_one_event_leave_one() -> None:
    meter = make(EVERY["sum"], "llm.request", dimensions=[])
    send(at(0, "r1", 5), at(0.1, "r2", 4))
    key, by = event_of("acme", "r1"), by_a_key()
    outcomes: list[str] = []

    def one(reason: str) -> None:
        try:
            outcomes.append(void(key, reason, by).reason)
        except Refused:
            outcomes.append("refused")

    together(*(lambda reason=f"reason {number}": one(reason) for number in range(4)))
    assert sorted(outcomes)[-3:] == ["refused"] * 3
    assert Correction.objects.count() == 1
    assert quantities(meter, whole(0, 1)) == {"": "4"}


def test_a_meter_made_meanwhile_counts_survivors() -> None:
    send(*(event(f"r{number}", properties={"v": number}) for number in range(20)))
    keys, by = [event_of("acme", f"r{number}") for number in range(20)], by_a_key()
    together(
        lambda: [void(key, by=by) for key in keys[:10]] and None,
        lambda: make(EVERY["max"], "llm.request") and None,
        lambda: [amend(key, {"properties": {"v": 1}}, by=by) for key in keys[12:]] and None,
    )
    [meter] = Meter.objects.all()
    assert differences(meter) == []
