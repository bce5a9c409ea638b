"""Usage of windows: whole hours from buckets, the rest from events, and never a part twice."""

import itertools
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_site.foundation.periods import Period, midnight
from meters.measuring.aggregation import Hourly
from meters.models import Bucket
from meters.usage.reading import Usage, Window, parts_of_hours, read, whole_hours
from tests.meters.making import NOON, calls_meter, event, send, tokens_meter

pytestmark = pytest.mark.django_db
DAY = Period(NOON.replace(hour=0), NOON.replace(hour=0) + timedelta(days=1))


def at(minutes: float, reference: str, **changes: Any) -> dict[str, Any]:
    return event(reference, timestamp=(NOON + timedelta(minutes=minutes)).isoformat(), **changes)


def test_by_dimension_values_in_order() -> None:
    meter = tokens_meter()
    send(
        event("r1"),
        event("r2"),
        event("r3", properties={"model": "b", "input_tokens": "1.5"}),
        event("r4", status="failed"),
    )
    assert read([Window(7, ("acme",), meter.pk, DAY)]) == {
        7: [
            Usage({"model": "b", "token_type": "input"}, Decimal("1.5"), 1),
            Usage({"model": "model-a", "token_type": "input"}, Decimal(200), 2),
            Usage({"model": "model-a", "token_type": "output"}, Decimal(20), 2),
        ]
    }


def test_nothing_is_an_empty_list() -> None:
    meter = calls_meter()
    empty = Period(NOON, NOON)
    assert read([Window(1, ("nobody",), meter.pk, DAY), Window(2, (), meter.pk, DAY)]) == {1: [], 2: []}
    assert read([Window(1, ("acme",), meter.pk, empty)]) == {1: []}
    assert read([]) == {}


def test_a_meter_that_does_not_exist() -> None:
    with pytest.raises(KeyError):
        read([Window(1, ("acme",), 999_999, DAY)])


def test_aliases_are_read_as_one_and_none_twice() -> None:
    meter = calls_meter()
    send(event("r1"), event("r1", customer="acme-old"), event("r1", customer="globex"))
    both = read([Window(1, ("acme", "acme-old", "acme"), meter.pk, DAY)])
    assert both == {1: [Usage({}, Decimal(2), 2)]}
    part = Period(NOON, NOON + timedelta(minutes=30))
    assert read([Window(1, ("acme", "acme-old", "acme"), meter.pk, part)]) == both


@pytest.mark.parametrize("period", [DAY, Period(NOON, NOON + timedelta(minutes=30))], ids=["buckets", "events"])
def test_named_subscriptions(period: Period) -> None:
    meter = calls_meter()
    send(event("r1"), event("r2", subscription="a"), event("r3", subscription="b"), event("r4", subscription="b"))

    def quantity(**changes: Any) -> Decimal:
        (usage,) = read([Window(1, ("acme",), meter.pk, period, **changes)])[1] or [Usage({}, Decimal(0), 0)]
        return usage.quantity

    assert quantity() == 4
    assert quantity(subscription="b") == 2
    assert quantity(subscription="c") == 0
    assert quantity(named_elsewhere={"b": period}) == 2
    assert quantity(named_elsewhere={"a": period, "b": DAY}) == 1
    assert quantity(subscription="a", named_elsewhere={"a": period}) == 1
    assert quantity(named_elsewhere={"b": Period(DAY.end, DAY.end + timedelta(days=1))}) == 4
    assert quantity(named_elsewhere={"b": Period(DAY.start - timedelta(days=1), NOON)}) == 4
    assert quantity(named_elsewhere={"b": Period(NOON, NOON + timedelta(microseconds=1))}) == 2


def test_events_that_name_a_subscription_are_its_own_to_the_microsecond() -> None:
    """A named subscription runs from 12:10 to 14:20: both bounds lie inside an hour, whole hours on either side."""
    meter = calls_meter()
    taken = Period(NOON + timedelta(minutes=10), NOON + timedelta(minutes=140))
    tick = timedelta(microseconds=1)
    moments = [NOON - timedelta(hours=2), taken.start - tick, taken.start, NOON + timedelta(hours=1)]
    moments += [taken.end - tick, taken.end, NOON + timedelta(hours=5)]
    sent = [event(f"r{n}", timestamp=moment.isoformat(), subscription="b") for n, moment in enumerate(moments)]
    send(*sent, event("r-open"), event("r-other", subscription="c"))
    rest, own = (
        Window(0, ("acme",), meter.pk, DAY, named_elsewhere={"b": taken}),
        Window(1, ("acme",), meter.pk, taken, subscription="b"),
    )
    assert {key: found[0].events for key, found in read([rest, own]).items()} == {0: 4 + 2, 1: 3}


def test_whole_hours_come_from_buckets_alone() -> None:
    """Buckets that say something else show where a quantity came from."""
    meter = calls_meter()
    send(at(-1, "before"), at(0, "first"), at(59.99, "last"), at(60, "after"))
    Bucket.objects.update(quantity=1000)
    hour = Period(NOON, NOON + timedelta(hours=1))
    assert read([Window(1, ("acme",), meter.pk, hour)])[1][0].quantity == 1000
    half = Period(NOON, NOON + timedelta(minutes=30))
    assert read([Window(1, ("acme",), meter.pk, half)])[1][0].quantity == 1


def test_bounds_within_an_hour_in_kolkata() -> None:
    """A day in Asia/Kolkata begins at half past an UTC hour: the events of that hour are told apart."""
    meter = calls_meter()
    start, end = (midnight(day, "Asia/Kolkata") for day in (date(2026, 3, 10), date(2026, 3, 11)))
    assert start == datetime(2026, 3, 9, 18, 30, tzinfo=UTC)
    moments = {
        "before": start - timedelta(microseconds=1),
        "first": start,
        "whole": start + timedelta(hours=5),
        "last": end - timedelta(microseconds=1),
        "after": end,
    }
    send(*(event(name, timestamp=instant.isoformat()) for name, instant in moments.items()))
    days = [Period(start - timedelta(days=1), start), Period(start, end), Period(end, end + timedelta(days=1))]
    found = read([Window(number, ("acme",), meter.pk, day) for number, day in enumerate(days)])
    assert {number: usage[0].events for number, usage in found.items()} == {0: 1, 1: 3, 2: 1}


def test_failed_events_and_other_types_are_not_read_from_events_either() -> None:
    meter = tokens_meter(filters=[("kind", "absent", [])])
    kind = {"input_tokens": 7, "kind": "x"}
    send(event("r1"), event("r2", status="failed"), event("r3", type="other"), event("r4", properties=kind))
    part = Period(NOON, NOON + timedelta(seconds=1))
    assert [usage.events for usage in read([Window(1, ("acme",), meter.pk, part)])[1]] == [1, 1]


def test_values_read_from_events_are_exact() -> None:
    meter = tokens_meter(dimensions=[("tier", "tier")])
    properties = {"input_tokens": 1, "tier": 1.0, "output_tokens": "0.000000000001"}
    send(event("r1", properties=properties))
    whole = read([Window(1, ("acme",), meter.pk, DAY)])
    part = read([Window(1, ("acme",), meter.pk, Period(NOON, NOON + timedelta(seconds=1)))])
    assert whole == part
    assert [(usage.dimensions, usage.quantity) for usage in whole[1]] == [
        ({"tier": "1", "token_type": "input"}, 1),
        ({"tier": "1", "token_type": "output"}, Decimal("0.000000000001")),
    ]


instants = st.integers(0, 6 * 3600).map(lambda second: NOON + timedelta(seconds=second))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(instants, max_size=8), st.lists(instants, min_size=2, max_size=5))
def test_windows_that_touch_add_up(moments: list[datetime], cuts: list[datetime]) -> None:
    """However time is cut, each event is in one window: Σ windows = the whole."""
    meter = calls_meter(code=f"m-{len(moments)}-{id(moments)}-{datetime.now(UTC).timestamp()}")
    customer = meter.code
    sent = [event(f"r{n}", customer=customer, timestamp=moment.isoformat()) for n, moment in enumerate(moments)]
    if sent:
        send(*sent)
    bounds = sorted(cuts)
    windows = [
        Window(n, (customer,), meter.pk, Period(start, end))
        for n, (start, end) in enumerate(itertools.pairwise(bounds))
    ]
    found = read(windows)
    for window in windows:
        expected = sum(moment in window.period for moment in moments)
        assert sum(usage.events for usage in found[window.key]) == expected


def test_as_many_queries_for_200_windows_as_for_2() -> None:
    meters = [calls_meter(), tokens_meter()]
    send(*(event(f"r{n}", customer=f"c{n % 40}") for n in range(200)))
    part = Period(NOON - timedelta(minutes=30), NOON + timedelta(minutes=90))

    def queries(count: int) -> int:
        windows = [Window(n, (f"c{n % 40}", f"d{n}"), meters[n % 2].pk, part) for n in range(count)]
        with CaptureQueriesContext(connection) as captured:
            assert read(windows)[count - 1][0].events == 5
        return len(captured)

    assert queries(2) == queries(200) == 4


def test_hours_of_periods() -> None:
    def hours(start: float, end: float) -> tuple[tuple[float, float], list[tuple[float, float]]]:
        period = Period(NOON + timedelta(hours=start), NOON + timedelta(hours=end))
        first, last = whole_hours(period)
        parts = [(part.start, part.end) for part in parts_of_hours(period)]
        return (_hours(first), _hours(last)), [(_hours(low), _hours(high)) for low, high in parts]

    assert hours(0, 2) == ((0, 2), [])
    assert hours(0.5, 2.25) == ((1, 2), [(0.5, 1), (2, 2.25)])
    assert hours(0.5, 1) == ((1, 1), [(0.5, 1)])
    assert hours(0.5, 1.5) == ((1, 1), [(0.5, 1), (1, 1.5)])
    assert hours(0.25, 0.5) == ((1, 0), [(0.25, 0.5)])
    assert hours(1, 1) == ((1, 1), [])


def _hours(instant: datetime) -> float:
    return (instant - NOON) / timedelta(hours=1)


def test_a_window_is_read_by_index_whatever_else_there_is() -> None:
    """100,000 events and buckets of 40 customers: a window reads its own hours, and the events of its bounds."""
    from meters.usage import reading as usage

    meter = calls_meter()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO meters_event (customer, reference, type, timestamp, status, subscription, properties)"
            " SELECT 'c' || n %% 40, n::text, 'llm.request', %s::timestamptz + n * interval '26 seconds', 'succeeded',"
            " '', '{}' FROM generate_series(1, 100000) n",
            [DAY.start],
        )
        cursor.execute(
            "INSERT INTO meters_series (customer, meter_id, subscription, dimensions)"
            " SELECT 'c' || n, %s, '', '{}' FROM generate_series(0, 39) n",
            [meter.pk],
        )
        cursor.execute(
            "INSERT INTO meters_bucket (series_id, hour, slot, quantity, events)"
            " SELECT id, %s::timestamptz + n * interval '1 hour', slot, 1, 1"
            " FROM meters_series, generate_series(0, 311) n, generate_series(0, 7) slot",
            [DAY.start],
        )
        cursor.execute("ANALYZE meters_event, meters_series, meters_bucket")

        def plan(query: str, *values: object) -> str:
            cursor.execute("EXPLAIN " + query.replace("%b", "%s"), values)
            return "\n".join(row[0] for row in cursor.fetchall())

        customers = [f"c{n}" for n in range(40)]
        ordinals, no_name, start, end = range(40), [""] * 40, [DAY.start] * 40, [DAY.end] * 40
        days = [DAY.start] * 40, [DAY.end] * 40
        sums = usage._MERGED_BY[Hourly.SUM]
        buckets = plan(sums, list(ordinals), customers, [meter.pk] * 40, no_name, start, end, *days)
        half = [DAY.start + timedelta(minutes=30)] * 40
        types = ["llm.request"] * 40
        events = plan(usage._EVENTS, list(ordinals), customers, types, no_name, start, half, "succeeded")
    assert "meters_bucket_pkey" in buckets
    assert "Seq Scan on meters_bucket" not in buckets
    assert "event_customer_type_time" in events
    assert "Seq Scan on meters_event" not in events


def test_memory_does_not_grow_with_the_events_of_a_part_of_an_hour() -> None:
    """A month in Kolkata begins and ends on the half hour."""
    meter = calls_meter(dimensions=[("model", "model")])
    kept = {"model": "model-a", "note": "x" * 1_000}
    for first in range(0, 6_000, 1_000):
        send(*(event(f"r{n}", properties=kept) for n in range(first, first + 1_000)))
    window = Window(1, ("acme",), meter.pk, Period(NOON, NOON + timedelta(minutes=30)))
    tracemalloc.start()
    try:
        [found] = read([window])[1]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found.quantity, found.events) == (6_000, 6_000)
    assert peak < 3_000_000, f"{peak / 1e6:.1f} MB for 6 MB of events"
