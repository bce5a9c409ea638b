"""Day totals: closing days, adding them up, and reading by them what the hours come to."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.periods import Period
from meters.backfills import backfilling
from meters.backfills.rebuilding import rebuild
from meters.definitions.drafts import FilterDraft
from meters.definitions.metering import change, draft_of
from meters.ingestion import ingest
from meters.models import Bucket, DayClosing, DayTotal, Meter, Series
from meters.usage import day_checks, day_totals
from meters.usage.reading import Window, read
from tests.meters.making import calls_meter, event, read_batch, send, tokens_meter

pytestmark = pytest.mark.django_db
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def at(hours: float, reference: str, value: object = 1, **changes: Any) -> dict[str, Any]:
    instant = FIRST + timedelta(hours=hours)
    return event(reference, timestamp=instant.isoformat(), properties={"v": value}, **changes)


def value_meter(aggregation: str = "sum", **changes: Any) -> Meter:
    values = [] if aggregation == "count" else [("", "v")]
    same = {"dimensions": [], "label_dimension": "", "aggregation": aggregation, "values": values}
    return tokens_meter(**{**same, **changes})


def total_until(days: int) -> None:
    """Close the first so many days of March, and add up all there is."""
    day_totals.close(FIRST + days * DAY)
    while day_totals.build() or day_totals.renew():
        pass


def usage(meter: Meter, start: float, end: float, *customers: str) -> list[tuple[Decimal, int]]:
    """Quantity and events of the hours from `start` to `end` of March."""
    period = Period(FIRST + start * HOUR, FIRST + end * HOUR)
    return [(each.quantity, each.events) for each in read([Window(1, customers or ("acme",), meter.pk, period)])[1]]


def totals() -> list[tuple[int, Decimal | None, int, bool]]:
    """Day of March, quantity, events, whether stale."""
    rows = DayTotal.objects.order_by("customer", "series", "day").values_list("day", "quantity", "events", "stale")
    return [(day.day, quantity, events, stale) for day, quantity, events, stale in rows]


def test_closed_days_are_added_up_and_read_by_their_totals() -> None:
    meter = value_meter()
    send(at(0, "a", 1), at(23.9, "b", 2), at(24, "c", "0.5"), at(60, "d", 7), at(72, "e", 100))
    before = [usage(meter, *hours) for hours in ((0, 96), (1, 71), (23.5, 60.5))]
    total_until(3)
    assert totals() == [(1, 3, 2, False), (2, Decimal("0.5"), 1, False), (3, 7, 1, False)]
    assert [usage(meter, *hours) for hours in ((0, 96), (1, 71), (23.5, 60.5))] == before
    assert before == [[(Decimal("110.5"), 5)], [(Decimal("9.5"), 3)], [(Decimal("9.5"), 3)]]
    # What totals say shows where a quantity came from: whole days from them, the hours around from buckets.
    DayTotal.objects.update(quantity=1000)
    assert [usage(meter, *hours)[0][0] for hours in ((0, 72), (1, 71), (23, 73), (0, 23))] == [
        *(Decimal(3000), Decimal(1009)),
        *(Decimal(2102), Decimal(1)),
    ]


def test_an_event_of_a_closed_day_counts_at_once_and_in_the_total_later() -> None:
    meter = value_meter()
    send(at(1, "a", 1), at(30, "b", 5))
    total_until(2)
    send(at(2, "late", 10), at(50, "in time", 100), at(3, "new", 3, customer="globex"))
    assert totals() == [(1, 1, 1, True), (2, 5, 1, False), (1, None, 0, True)]
    assert (usage(meter, 0, 48), usage(meter, 0, 48, "globex")) == ([(16, 3)], [(3, 1)])
    total_until(2)
    assert totals() == [(1, 11, 2, False), (2, 5, 1, False), (1, 3, 1, False)]
    assert (usage(meter, 0, 48), usage(meter, 0, 48, "globex")) == ([(16, 3)], [(3, 1)])


@pytest.mark.parametrize(
    ("aggregation", "quantity"), [("count", "4"), ("max", "9"), ("min", "-3"), ("average", "3.75"), ("latest", "4")]
)
def test_totals_are_merged_as_the_meter_aggregates(aggregation: str, quantity: str) -> None:
    meter = value_meter(aggregation)
    send(at(1, "a", 9), at(2, "b", -3), at(30, "c", 5), at(31, "d", 4))
    assert usage(meter, 0, 72) == [(Decimal(quantity), 4)]
    total_until(2)
    assert usage(meter, 0, 72) == [(Decimal(quantity), 4)]
    Bucket.objects.update(events=1000)  # events, too, are counted by days
    assert usage(meter, 0, 72) == [(Decimal(quantity), 4)]


def test_a_carried_level_is_read_by_days() -> None:
    meter = value_meter("weighted_sum", value_kind="delta", recurring=True)
    send(at(1, "a", 9), at(30, "b", -3), at(49, "c", 1))
    total_until(2)
    # 6 from before, 1 more for half of the two hours.
    assert usage(meter, 48, 50) == [(Decimal("6.5"), 1)]
    Bucket.objects.filter(hour__lt=FIRST + 2 * DAY).update(quantity=1000)
    assert usage(meter, 48, 50) == [(Decimal("6.5"), 1)]
    fresh = value_meter("weighted_sum", value_kind="delta", code="fresh")
    assert usage(fresh, 48, 50) == [(Decimal("0.5"), 1)]


def test_days_are_closed_an_hour_after_their_end_and_once() -> None:
    value_meter()
    send(at(1, "a"))
    for hours, closed in ((24.9, 0), (25, 1), (48.9, 1), (49.1, 2)):
        with time_machine.travel(FIRST + timedelta(hours=hours), tick=False):
            assert not day_totals.work(timedelta(minutes=1))
        assert DayClosing.objects.get().built_until == DayClosing.objects.get().closed_until == FIRST + closed * DAY
    assert not day_totals.close(FIRST + DAY)
    assert DayClosing.objects.get().closed_until == FIRST + 2 * DAY


@pytest.mark.django_db(transaction=True)
def test_no_day_is_closed_while_a_batch_that_knows_nothing_of_it_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_totals, "LONGEST_WAIT_MS", 300)
    meter = value_meter()
    stored, go_on = threading.Event(), threading.Event()

    def count_later(_: ingest.Outcome) -> None:
        """Stored, and not yet counted."""
        stored.set()
        assert go_on.wait(30)

    def send_slowly() -> None:
        ingest.accept(read_batch(at(1, "a", 5)), count_later)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_slowly)
        assert stored.wait(30)
        with pytest.raises(OperationalError, match="lock timeout"):
            day_totals.close(FIRST + DAY)
        while day_totals.build():
            pass
        go_on.set()
        sending.result(timeout=30)
    assert usage(meter, 0, 24) == [(5, 1)]
    total_until(1)
    assert (usage(meter, 0, 24), totals()) == ([(5, 1)], [(1, 5, 1, False)])


def test_a_turn_that_ends_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_totals, "SERIES_AT_ONCE", 2)
    meter = value_meter()
    send(*(at(1, f"r{n}", n, customer=f"c{n}") for n in range(5)))
    assert day_totals.close(FIRST + DAY)
    assert day_totals.build()
    assert DayTotal.objects.count() == 2
    # Half built: nothing is read by days, no further day is closed, and what comes late is not lost.
    assert usage(meter, 0, 24, "c0", "c4") == [(4, 2)]
    assert not day_totals.close(FIRST + 2 * DAY)
    send(at(2, "late 0", 10, customer="c0"), at(2, "late 4", 20, customer="c4"))
    assert usage(meter, 0, 24, "c0", "c4") == [(34, 4)]
    assert not day_totals.work(timedelta(minutes=1))
    assert DayTotal.objects.filter(stale=False).count() == 5
    assert (usage(meter, 0, 24, "c0", "c4"), day_checks.differences(meter)) == ([(34, 4)], [])
    assert day_totals.work(timedelta(0)), "a turn of no time leaves its work to the next"


def test_a_batch_of_open_days_costs_no_query_more() -> None:
    meter = value_meter()
    send(at(1, "a"), at(80, "b"))

    def queries(hours: float, reference: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            ingest.accept(read_batch(*(at(hours, f"{reference}{n}") for n in range(50))))
        return len(captured)

    nothing_closed = queries(81, "first")
    total_until(2)
    send(at(81, "c"))  # it notices that days were closed
    assert queries(81, "open") == nothing_closed
    assert queries(1, "closed") == nothing_closed + 1
    assert (usage(meter, 0, 48), usage(meter, 48, 96)) == ([(51, 51)], [(102, 102)])


def test_what_is_counted_otherwise_is_added_up_otherwise() -> None:
    """Two days of one event an hour: no bucket changes when a sum becomes a maximum, but every day does."""
    meter = value_meter()
    send(*(at(hours, f"r{hours}", hours) for hours in range(48)))
    total_until(2)
    assert usage(meter, 0, 48) == [(1128, 48)]
    change(meter, replace(draft_of(meter), aggregation="max"))
    backfilling.run(meter)
    assert usage(meter, 0, 48) == [(47, 48)]
    assert {stale for *_, stale in totals()} == {True}
    total_until(2)
    assert totals() == [(1, 23, 24, False), (2, 47, 24, False)]
    assert usage(meter, 0, 48) == [(47, 48)]


def test_a_rebuild_of_buckets_reaches_the_totals() -> None:
    meter = value_meter()
    send(at(1, "a", 5), at(30, "b", 6))
    total_until(2)
    Bucket.objects.filter(hour__lt=FIRST + DAY).update(quantity=7)
    Bucket.objects.create(series=Series.objects.get(), hour=FIRST + 26 * HOUR, slot=0, events=1)
    assert len(rebuild(meter)) == 2
    assert {stale for *_, stale in totals()} == {True}
    total_until(2)
    assert totals() == [(1, 5, 1, False), (2, 6, 1, False)]


def test_a_day_without_buckets_loses_its_total() -> None:
    value_meter()
    send(at(1, "a", 5), at(30, "b", 6), at(50, "c", 7))
    total_until(2)
    Bucket.objects.filter(hour__lt=FIRST + DAY).delete()
    Bucket.objects.filter(hour__gte=FIRST + 2 * DAY).delete()
    assert totals() == [(1, 5, 1, True), (2, 6, 1, False)]
    total_until(2)
    assert totals() == [(2, 6, 1, False)]


@pytest.mark.django_db(transaction=True)
def test_the_command_finds_wrong_totals_and_puts_them_right() -> None:
    meter = value_meter()
    send(at(1, "a", 5), at(30, "b", 6), at(50, "c", 7), at(51, "d", 8))
    total_until(3)
    DayTotal.objects.filter(day=FIRST).update(quantity=50)
    DayTotal.objects.filter(day=FIRST + 2 * DAY).delete()
    found = StringIO()
    with pytest.raises(CommandError, match=r"^2 days differ"):
        call_command("rebuild_usage", "--check", stdout=found)
    assert found.getvalue().splitlines() == [
        "llm_tokens: buckets = events",
        "llm_tokens: the totals of 2 days differ",
        "  acme · no dimensions · 2026-03-01: total 50 of 1 events, buckets 5 of 1",
        "  acme · no dimensions · 2026-03-03: total 0 of 0 events, buckets 15 of 2",
    ]
    assert usage(meter, 0, 72) == [(56, 2)], "wrong until it is put right"
    call_command("rebuild_usage", stdout=StringIO())
    assert totals() == [(1, 5, 1, False), (2, 6, 1, False), (3, 15, 2, False)]
    assert usage(meter, 0, 72) == [(26, 4)]
    call_command("rebuild_usage", "--check", stdout=(right := StringIO()))
    assert right.getvalue() == "llm_tokens: buckets = events\n"


def test_what_is_left_of_before_a_meter_was_changed_is_no_difference() -> None:
    """Added up while it was cleared away."""
    meter = value_meter()
    send(at(1, "a", 5))
    before = Series.objects.get()
    change(meter, replace(draft_of(meter), filters=(FilterDraft("v", "present"),)))
    backfilling.run(meter)
    total_until(1)
    DayTotal.objects.create(customer="acme", series_id=before.pk, day=FIRST, quantity=5, events=1, stale=False)
    assert day_checks.differences(Meter.objects.get()) == []
    DayTotal.objects.exclude(series=before).update(quantity=6)
    assert [each.series.generation for each in day_checks.differences(Meter.objects.get())] == [2]


def test_a_month_of_a_busy_series_costs_some_thirty_rows() -> None:
    """744 hours of 8 slots: read by buckets they are 5,952 rows, by days 31; two stale days cost their hours."""
    meter = calls_meter()
    send(event("r1", timestamp=FIRST.isoformat()))
    series = Series.objects.get()
    Bucket.objects.bulk_create(
        Bucket(series=series, hour=FIRST + hour * HOUR, slot=slot + 10, quantity=2, events=2)
        for hour in range(744)
        for slot in range(8)
    )
    month = Period(FIRST, FIRST + 31 * DAY)
    assert rows_read(meter, month) == 5_953
    total_until(31)
    assert rows_read(meter, month) == 31
    assert usage(meter, 0, 744) == [(2 * 5_952 + 1, 2 * 5_952 + 1)]
    send(event("late", timestamp=(FIRST + 30 * HOUR).isoformat()), event("in", timestamp=(FIRST + HOUR).isoformat()))
    assert rows_read(meter, month) == 31 + 2 * 24 * 8 + 3
    # From half past five: an hour's events, 18 hours, then days.
    assert rows_read(meter, Period(FIRST + 5.5 * HOUR, month.end)) == 18 * 8 + 30 + 24 * 8 + 1


def rows_read(meter: Meter, period: Period) -> int:
    """Rows of buckets and day totals that reading a window takes up, by what PostgreSQL itself counts."""
    from meters.usage import reading as reader

    sent: list[tuple[str, Any]] = []

    def fetch(statement: str, *parameters: object, **_: bool) -> Any:
        sent.append((statement, parameters))
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "fetch", fetch)
        read([Window(1, ("acme",), meter.pk, period)])
    statement, parameters = next(each for each in sent if "meters_bucket" in each[0])
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement.replace("%b", "%s"), parameters)
        return _rows(cursor.fetchone()[0][0]["Plan"])


def _rows(plan: dict[str, Any]) -> int:
    mine = round(plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0))
    taken = mine if plan.get("Relation Name") in ("meters_bucket", "meters_daytotal") else 0
    return taken + sum(_rows(each) for each in plan.get("Plans", ()))


def test_what_a_transaction_takes_back_is_not_marked() -> None:
    meter = value_meter()
    send(at(1, "a", 5))
    total_until(1)
    try:
        with transaction.atomic():
            Bucket.objects.all().delete()
            raise RuntimeError
    except RuntimeError:
        pass
    assert (totals(), usage(meter, 0, 24)) == ([(1, 5, 1, False)], [(5, 1)])
