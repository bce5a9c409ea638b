"""What is read from many events at once is what would have been read from each."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meters.events.decoding import Batch, SentEvent
from meters.measuring import counting, summing
from meters.measuring.aggregation import AVERAGE, COUNT, MAX, SUM, UNIQUE_COUNT, WEIGHTED_DELTAS, Aggregation
from meters.measuring.bands import Band
from meters.measuring.counting import SeriesKey
from meters.measuring.extraction import Condition, Definition, DimensionSource, Operator, Value
from meters.measuring.preparing import Prepared, merge, prepare
from tests.meters.making import NOON

TOKENS = (Value("input", "in"), Value("output", "out"))
MODEL, REGION = DimensionSource("model", "model"), DimensionSource("region", "where.region")
AGGREGATIONS = (SUM, COUNT, AVERAGE, MAX, UNIQUE_COUNT, WEIGHTED_DELTAS)


def meter(number: int = 1, aggregation: Aggregation = SUM, **changes: Any) -> Definition:
    fields = {"values": TOKENS, "label_dimension": "token_type", "dimensions": (MODEL,), **changes}
    return Definition(id=number, code=f"m{number}", event_type="call", aggregation=aggregation, **fields)


def call(number: int, **changes: Any) -> SentEvent:
    fields = {
        "index": number,
        "reference": f"r{number}",
        "type": "call",
        "customer": "acme",
        "timestamp": NOON,
        "value": None,
        "status": "succeeded",
        "subscription": "",
        "properties": {"in": 100, "out": 10, "model": "a"},
        **changes,
    }
    return SentEvent(**fields)


def said(prepared: Prepared) -> Any:
    """What is counted where, once series have ids."""
    ids = {key: number for number, key in enumerate(sorted(prepared.added.series()), start=1)}
    stored = {(event.customer, event.reference): event.index for event in prepared.events}
    counted = prepared.added.counted(prepared.added.located(ids), stored)
    batch = prepared.events, prepared.rejected, prepared.repeated
    return ids, batch, counted.tallies, counted.changes, sorted(counted.points), counted.values


def one_by_one(events: list[SentEvent], by_type: dict[str, tuple[Definition, ...]]) -> Any:
    with mock.patch.object(counting, "AT_LEAST", 10**6):
        return said(prepare(Batch(events), by_type))


plain = st.fixed_dictionaries({"in": st.integers(-5, 5), "out": st.integers(0, 5), "model": st.sampled_from("ab")})
any_properties = st.fixed_dictionaries(
    {},
    optional={
        "in": st.integers(-5, 5) | st.sampled_from([10**18 - 1, 10**18, -(10**18), True, "7", None, Decimal("2.5")]),
        "out": st.integers(0, 5),
        "model": st.sampled_from(["a", "b", "", "x" * 255, "x" * 256, 1, True]),
        "where": st.fixed_dictionaries({"region": st.sampled_from(["eu", "us"])}),
        "where.region": st.just("named"),
    },
)
events = st.lists(
    st.builds(
        call,
        number=st.integers(0, 30),
        customer=st.sampled_from(["acme", "other"]),
        subscription=st.sampled_from(["", "s1"]),
        status=st.sampled_from(["succeeded", "succeeded", "failed"]),
        type=st.sampled_from(["call", "call", "another"]),
        timestamp=st.sampled_from([NOON, NOON + timedelta(minutes=59), NOON - timedelta(hours=2)]),
        value=st.sampled_from([None, None, Decimal(2)]),
        properties=plain | plain | any_properties,
    ),
    max_size=20,
)
meters = st.lists(
    st.builds(
        dict,
        aggregation=st.sampled_from(AGGREGATIONS),
        values=st.sampled_from([TOKENS, TOKENS[:1], (), (Value("total", "in", ("out",)),)]),
        dimensions=st.sampled_from([(), (MODEL,), (MODEL, REGION)]),
        bands=st.sampled_from([(), (), (Band("size", ("in",), (Decimal(2),)),)]),
        conditions=st.sampled_from([(), (), (Condition("model", Operator.PRESENT),)]),
    ),
    max_size=2,
)


@given(events=events, meters=meters)
def test_any_events_by_any_meters(events: list[SentEvent], meters: list[dict[str, Any]]) -> None:
    by_type = {"call": tuple(meter(number, **fields) for number, fields in enumerate(meters, start=1))}
    with mock.patch.object(counting, "AT_LEAST", 1):
        at_once = said(prepare(Batch(events), by_type))
    assert at_once == one_by_one(events, by_type)


@pytest.mark.parametrize("aggregation", [SUM, AVERAGE])
def test_labels_are_added_up_by_customer_hour_and_dimensions(aggregation: Aggregation) -> None:
    several = [
        *(call(number) for number in range(8)),
        call(8, properties={"in": 1, "out": 2, "model": "b"}),
        call(9, timestamp=NOON + timedelta(hours=1)),
        call(10, status="failed"),
    ]
    prepared = prepare(Batch(several), {"call": (meter(aggregation=aggregation),)})
    assert not prepared.added.tallies, "read at once"
    a, b = (("model", "a"),), (("model", "b"),)
    [sums] = prepared.added.sums
    assert sums.labels == ("input", "output")
    hours = {hour for _, hour, _, _ in sums.rows}
    assert [(where[3], hour - min(hours), totals, count) for where, hour, totals, count in sums.rows] == [
        (a, 0, [800, 80], 8),
        (b, 0, [1, 2], 1),
        (a, 1, [100, 10], 1),
    ]


def test_events_without_a_value_count_as_one() -> None:
    prepared = prepare(Batch([call(number) for number in range(9)]), {"call": (meter(aggregation=COUNT, values=()),)})
    [sums] = prepared.added.sums
    assert [(sums.labels, totals, count) for _, _, totals, count in sums.rows] == [(("",), [9], 9)]


@pytest.mark.parametrize(
    "properties",
    [
        {"in": 1, "out": 1},
        {"in": 1, "out": 1, "model": 7},
        {"in": 1, "out": 1, "model": "x" * 256},
        {"in": Decimal("0.5"), "out": 1, "model": "a"},
        {"in": True, "out": 1, "model": "a"},
        {"in": 10**18, "out": 1, "model": "a"},
        {"in": 1, "model": "a"},
    ],
)
def test_one_that_is_unusual_has_all_of_its_type_looked_at(properties: dict[str, Any]) -> None:
    several = [*(call(number) for number in range(9)), call(9, properties=properties)]
    assert summing.read_all([meter()], several[:9], [0] * 9) is not None
    assert summing.read_all([meter()], several, [0] * 10) is None


def test_calls_that_failed_add_nothing() -> None:
    prepared = prepare(Batch([call(number, status="failed") for number in range(9)]), {"call": (meter(),)})
    assert len(prepared.events) == 9
    assert not prepared.added.series()


def test_of_two_with_one_reference_the_first_that_is_fit_is_taken() -> None:
    too_large = {"in": 10**18, "out": 1, "model": "a"}
    several = [
        call(0, properties=too_large),
        call(1),
        call(2, reference="r0"),
        call(3, reference="r1", properties=too_large),
    ]
    prepared = prepare(Batch([*several, call(4, reference="r0")]), {"call": (meter(),)})
    assert [event.index for event in prepared.events] == [1, 2]
    assert ([each.index for each in prepared.rejected], prepared.repeated) == ([0, 3], 1)


def test_batches_are_merged_after_they_were_read() -> None:
    one, other = ([call(number) for number in range(start, start + 9)] for start in (0, 9))
    by_type = {"call": (meter(),)}
    merged = merge([prepare(Batch(one), by_type), prepare(Batch(other), by_type)])
    ids = {key: number for number, key in enumerate(sorted(merged.added.series()))}
    tallies = merged.added.counted(merged.added.located(ids), {}).tallies
    key = SeriesKey("acme", 1, "", (("model", "a"), ("token_type", "input")))
    assert [tuple(tally) for (_, series, _), tally in tallies[SUM.hourly].items() if series == ids[key]] == [(1800, 18)]
