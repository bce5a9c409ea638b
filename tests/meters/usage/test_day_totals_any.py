"""With and without day totals, usage is the same to the digit: whatever comes when, and whoever works meanwhile."""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing_site.foundation.periods import Period, midnight
from meters.backfills.rebuilding import differences
from meters.events.decoding import decode
from meters.ingestion.ingest import accept
from meters.models import DayClosing, DayTotal, Meter
from meters.usage import day_checks, day_totals
from meters.usage.reading import Window, only, read
from tests.meters import naive
from tests.meters.making import LIMITS, event
from tests.meters.naive import Asked, Fact
from tests.meters.usage.test_aggregations import EVERY, make

FIRST = datetime(2026, 3, 28, tzinfo=UTC)  # Berlin has 23 hours on the 29th
LAST = 5
DAY = timedelta(days=1)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York")
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # making a history shorter would take minutes
runs = itertools.count()

seconds = st.integers(0, LAST * 24 * 3600 - 1)
sent = st.lists(
    st.tuples(
        seconds, st.integers(-3, 5) | st.decimals(-9, 9, places=12), st.sampled_from("ab"), st.sampled_from("cd")
    ),
    min_size=1,
    max_size=6,
)


@st.composite
def periods(draw: st.DrawFn) -> Period:
    """From local midnight to local midnight of some timezone, or from any second to any other."""
    if draw(st.integers(0, 3)):
        zone = draw(st.sampled_from(ZONES))
        bounds = [midnight(date(2026, 3, 28) + timedelta(draw(st.integers(-1, LAST))), zone) for _ in range(2)]
    else:
        bounds = [FIRST + timedelta(seconds=draw(seconds)) for _ in range(2)]
    return Period(min(bounds), max(bounds))


STEPS = st.sampled_from(["send", "send", "close", "build", "build", "renew", "read"])


@pytest.mark.django_db
@settings(max_examples=15, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(data=st.data(), steps=st.lists(STEPS, min_size=4, max_size=14))
def test_any_history_read_at_any_moment(data: st.DataObject, steps: list[str]) -> None:
    """Events of any day at any time, days closed, built and renewed in any order, two series at a time."""
    with (example := transaction.atomic()):
        example._from_testcase = True  # a durable transaction may begin inside
        _any_history(data, steps)
        transaction.set_rollback(True)


def _any_history(data: st.DataObject, steps: list[str]) -> None:
    run = f"d{next(runs)}"
    meters = {name: make(asked, run) for name, asked in EVERY.items()}
    facts: list[Fact] = []
    numbers = itertools.count()
    closed = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(day_totals, "SERIES_AT_ONCE", 20)
        patch.setattr(day_totals, "DAYS_AT_ONCE", 15)
        for step in [*steps, "read"]:
            if step == "send":
                facts += _send(run, data.draw(sent), numbers)
            elif step == "close":
                closed = max(closed, data.draw(st.integers(0, LAST)))
                day_totals.close(FIRST + closed * DAY)
            elif step == "build":
                day_totals.build()
            elif step == "renew":
                day_totals.renew()
            else:
                _check(data, run, meters, facts)
    for meter in meters.values():
        assert day_checks.differences(meter) == []


def _check(data: st.DataObject, run: str, meters: dict[str, Meter], facts: list[Fact]) -> None:
    period, names = data.draw(periods()), data.draw(st.sampled_from([None, (), ("model",)]))
    grouping = None if names is None else only(names)
    windows = [
        Window(meter.pk, (f"{run}c", f"{run}d"), meter.pk, period, grouping=grouping) for meter in meters.values()
    ]
    found = read(windows)
    for name, meter in meters.items():
        usages = {tuple(each.dimensions.items()): (each.quantity, each.events) for each in found[meter.pk]}
        assert usages == _expected(EVERY[name], name, facts, period, names), name


def _expected(asked: Asked, name: str, facts: list[Fact], period: Period, names: Iterable[str] | None) -> Any:
    if period.start == period.end:
        return {}
    if name == "count":
        facts = [Fact(fact.stream, fact.at, fact.order, Decimal(1)) for fact in facts]
    return naive.usage(asked, facts, period, names)


def _send(run: str, rows: list[tuple[int, Any, str, str]], numbers: Iterable[int]) -> list[Fact]:
    facts, events = [], []
    for number, (second, value, model, customer) in zip(numbers, rows, strict=False):
        instant = FIRST + timedelta(seconds=second)
        events.append(
            event(
                f"r{number:05}",
                type=run,
                customer=f"{run}{customer}",
                timestamp=instant.isoformat(),
                properties={"v": str(value), "model": model},
            )
        )
        facts.append(Fact(("", (("model", model),)), instant, number, Decimal(value)))
    outcome = accept(decode(json.dumps(events).encode(), FIRST + 30 * DAY, LIMITS))
    assert outcome.accepted == len(rows), outcome
    return facts


SENDERS, BATCHES, DAYS = 4, 25, 6


@pytest.mark.django_db(transaction=True)
def test_late_events_while_days_are_closed_and_added_up() -> None:
    """Four senders of events of six days, for the same series; one that closes day after day, and two that build."""
    run = "busy"
    meters = {name: make(EVERY[name], run) for name in ("sum", "max", "unique", "deltas carried")}
    facts = _sender(run, itertools.count(10_000), SENDERS)
    day_totals.close(FIRST + 2 * DAY)
    while day_totals.build():
        pass
    facts += _in_threads(run, meters)
    assert len(facts) == (1 + SENDERS) * BATCHES * 3
    windows = [
        Period(FIRST, FIRST + DAYS * DAY),
        Period(midnight(date(2026, 3, 29), "Europe/Berlin"), midnight(date(2026, 4, 1), "Europe/Berlin")),
    ]

    def all_right() -> None:
        for period in windows:
            for name, meter in meters.items():
                found = read([Window(1, (f"{run}c", f"{run}d"), meter.pk, period)])[1]
                usages = {tuple(each.dimensions.items()): (each.quantity, each.events) for each in found}
                assert usages == naive.usage(EVERY[name], facts, period, None), name
        for meter in meters.values():
            assert (differences(meter), day_checks.differences(meter)) == ([], [])

    all_right()  # with whatever is stale just now
    day_totals.close(FIRST + DAYS * DAY)
    while day_totals.work(timedelta(seconds=5)):
        pass
    assert DayTotal.objects.filter(stale=True).count() == 0
    assert DayTotal.objects.values("day").distinct().count() == DAYS
    all_right()


def _sender(run: str, numbers: Iterator[int], seed: int) -> list[Fact]:
    facts = []
    for batch in range(BATCHES):
        hours = [(batch * 7 + seed * 3 + n * 29) % (DAYS * 24) for n in range(3)]
        rows = [(hour * 3600 + seed, batch % 5 - n, "ab"[n % 2], "cd"[seed % 2]) for n, hour in enumerate(hours)]
        facts += _send(run, rows, [next(numbers) for _ in rows])
    return facts


def _in_threads(run: str, meters: dict[str, Meter]) -> list[Fact]:
    """What the senders sent, while the others did their work over and over."""
    done, numbers = threading.Event(), itertools.count()
    whole, seen = Window(1, (f"{run}c", f"{run}d"), meters["sum"].pk, Period(FIRST, FIRST + DAYS * DAY)), [0]
    days = iter(range(3, DAYS))

    def close() -> None:
        closed = DayClosing.objects.first()
        if closed is None or closed.built_until == closed.closed_until:
            day_totals.close(FIRST + next(days, 0) * DAY)
        time.sleep(0.05)

    def read_all() -> None:
        """Whatever is built meanwhile, the number of events never falls."""
        seen.append(sum(each.events for each in read([whole])[1]))

    def until_done(work: Callable[[], object]) -> None:
        while not done.is_set():
            work()

    def closing(work: Any, argument: Any) -> Any:
        try:
            return work(argument)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(SENDERS + 5) as pool:
        works = (day_totals.build, day_totals.renew, day_totals.renew, close, read_all)
        others = [pool.submit(closing, until_done, work) for work in works]
        try:
            sent_by = [pool.submit(closing, partial(_sender, run, numbers), seed) for seed in range(SENDERS)]
            facts = [fact for each in sent_by for fact in each.result()]
        finally:
            done.set()
        for each in others:
            each.result()
    assert seen == sorted(seen)
    return facts
