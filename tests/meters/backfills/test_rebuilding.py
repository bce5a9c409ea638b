"""Buckets are what the events come to, and a rebuild makes them so to the digit."""

import tracemalloc
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meters.backfills import rebuilding
from meters.backfills.rebuilding import differences, rebuild
from meters.definitions.metering import define_meter
from meters.models import Bucket, Meter, UsageChange
from tests.meters.making import NOON, calls_meter, event, send, tokens_meter

pytestmark = pytest.mark.django_db(transaction=True)


def content(meter: Meter) -> list[tuple[Any, ...]]:
    rows = Bucket.objects.filter(series__meter=meter).order_by("series__customer", "series", "hour")
    return list(rows.values_list("series__customer", "series", "hour", "quantity", "events"))


def test_right_buckets_are_left_alone() -> None:
    meter = tokens_meter()
    send(event("r1"), event("r2", customer="globex"))
    UsageChange.objects.all().delete()
    before = content(meter)
    assert rebuild(meter) == differences(meter) == []
    assert (content(meter), UsageChange.objects.count()) == (before, 0)


def test_wrong_missing_and_surplus_buckets_are_found_and_mended() -> None:
    meter, other = tokens_meter(), calls_meter()
    later = (NOON + timedelta(hours=2)).isoformat()
    send(event("r1"), event("r2", timestamp=later), event("r3", customer="globex"), event("r4", subscription="s1"))
    right, others = content(meter), content(other)
    mine = Bucket.objects.filter(series__meter=meter)
    mine.filter(series__customer="acme", hour=NOON, series__subscription="").update(
        quantity=F("quantity") + Decimal("1e-12")
    )
    mine.filter(series__customer="globex").delete()
    surplus = mine.filter(hour__gt=NOON).first()
    assert surplus is not None
    Bucket.objects.create(series=surplus.series, hour=NOON - timedelta(hours=3), slot=1, quantity=5, events=1)
    UsageChange.objects.all().delete()

    found = differences(meter)
    assert [(each.series.customer, each.hour.hour, each.events.events - each.buckets.events) for each in found] == [
        ("acme", 9, -1),
        ("acme", 12, 0),
        ("acme", 12, 0),
        ("globex", 12, 1),
        ("globex", 12, 1),
    ]
    assert rebuild(meter) == found
    assert differences(meter) == []
    assert (content(meter), content(other)) == (right, others)
    changes = set(UsageChange.objects.values_list("customer", "meter_id", "hour"))
    assert changes == {("acme", meter.pk, NOON - timedelta(hours=3)), ("globex", meter.pk, NOON)}


def test_differences_of_many_customers_are_found_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "CUSTOMERS_AT_ONCE", 2)
    meter = calls_meter()
    send(*(event(f"r{n}", customer=f"c{n}") for n in range(5)))
    Bucket.objects.filter(series__customer__in=["c0", "c3"]).update(events=F("events") + 1)
    Bucket.objects.filter(series__customer="c4").delete()
    with connection.cursor() as cursor:  # usage of somebody who sent nothing
        cursor.execute("UPDATE meters_series SET customer = 'stray' WHERE customer = 'c1'")
    found = rebuild(meter)
    assert [(each.series.customer, each.buckets.events, each.events.events) for each in found] == [
        *(("c0", 2, 1), ("c1", 0, 1), ("c3", 2, 1)),
        *(("c4", 0, 1), ("stray", 1, 0)),
    ]
    assert rebuild(meter) == []


def test_memory_does_not_grow_with_the_customers(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = calls_meter(aggregation="latest", values=[("", "input_tokens")])
    send(*(event(f"r{n}", customer=f"c{n % 50}") for n in range(3_000)))

    def peak(customers: int) -> int:
        monkeypatch.setattr(rebuilding, "CUSTOMERS_AT_ONCE", customers)
        tracemalloc.start()
        try:
            assert rebuild(meter) == []
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50)
    assert peak(1) < peak(50) / 4


def test_a_meter_made_after_its_events_counts_them() -> None:
    send(
        event("r1"),
        event("r2", status="failed"),
        event("r3", type="other"),
        event("r4", properties={"model": "b" * 256}),
    )
    meter = define_meter(
        code="late",
        name="Late",
        event_type="llm.request",
        aggregation="count",
        unit="u",
        dimensions=[("model", "model")],
    )
    assert [(row[3], row[4]) for row in content(meter)] == [(1, 1), (1, 1)]
    assert UsageChange.objects.get().hour == NOON
    assert differences(meter) == []


values = st.decimals(min_value=-1000, max_value=1000, places=12)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(values, st.integers(0, 3), st.sampled_from(["a", 1, 1.0, True, None, "é"])), min_size=1, max_size=30
    )
)
def test_a_rebuild_reproduces_what_ingestion_counted(rows: list[tuple[Decimal, int, object]]) -> None:
    code = f"m{Meter.objects.count()}"
    meter = define_meter(
        code=code, name="M", event_type=code, aggregation="sum", unit="u", values=[("", "n")], dimensions=[("d", "d")]
    )
    send(
        *(
            event(
                f"r{n}",
                type=code,
                customer=code,
                properties={"n": str(value), "d": d},
                timestamp=(NOON + timedelta(hours=hour)).isoformat(),
            )
            for n, (value, hour, d) in enumerate(rows)
        )
    )
    counted = content(meter)
    Bucket.objects.filter(series__customer=code).delete()
    assert len(rebuild(meter)) == len(counted)
    assert content(meter) == counted
    assert sum(row[3] for row in counted) == sum(value for value, _, _ in rows)


def test_the_command() -> None:
    meter = tokens_meter()
    calls_meter()
    send(event("r1"))

    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("rebuild_usage", *arguments, stdout=out)
        return out.getvalue()

    assert run("--check") == "api_calls: buckets = events\nllm_tokens: buckets = events\n"
    Bucket.objects.filter(series__meter=meter, quantity=100).update(quantity=90)
    out = StringIO()
    with pytest.raises(CommandError, match="1 hours differ"):
        call_command("rebuild_usage", "--check", "--meter", "llm_tokens", stdout=out)
    assert out.getvalue() == (
        "llm_tokens: 1 hours differ\n"
        "  acme · model=model-a, token_type=input · 2026-03-10 12h: buckets 90 of 1 events, events 100 of 1\n"
    )
    assert run().startswith("api_calls: buckets = events\nllm_tokens: 1 hours differ\n")
    assert run("--check", "--meter", "llm_tokens") == "llm_tokens: buckets = events\n"
    with pytest.raises(CommandError, match="no meter “nope”"):
        run("--meter", "nope")
