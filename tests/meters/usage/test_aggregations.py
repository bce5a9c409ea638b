"""Every aggregation over stored events: by hand, and against a naive recomputation of random histories."""

import itertools
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing_site.foundation.periods import Period
from meters.backfills.rebuilding import rebuild
from meters.definitions.metering import define_meter
from meters.ingestion.ingest import accept
from meters.models import Event, Meter
from meters.usage.reading import Window, only, read
from tests.meters import naive
from tests.meters.making import NOON, event, read_batch, send
from tests.meters.naive import Asked, Fact

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
DAY = Period(NOON.replace(hour=0), NOON.replace(hour=0) + timedelta(days=1))
codes = itertools.count()
ANY_VALUE = ("count", "unique")
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # making a history shorter would take minutes

EVERY = {
    "count": Asked("count"),
    "sum": Asked("sum"),
    "sum up": Asked("sum", rounding=("ceil", 0)),
    "max": Asked("max"),
    "min": Asked("min"),
    "average": Asked("average"),
    "average down": Asked("average", rounding=("floor", 2)),
    "latest": Asked("latest"),
    "unique": Asked("unique_count"),
    "levels": Asked("weighted_sum", "level"),
    "levels carried": Asked("weighted_sum", "level", recurring=True),
    "deltas": Asked("weighted_sum", "delta"),
    "deltas carried": Asked("weighted_sum", "delta", recurring=True, rounding=("half_up", 3)),
}


def make(asked: Asked, event_type: str, **changes: Any) -> Meter:
    return define_meter(
        **{
            "code": f"m{next(codes)}",
            "name": "M",
            "event_type": event_type,
            "aggregation": asked.aggregation,
            "value_kind": asked.value_kind,
            "recurring": asked.recurring,
            "rounding": asked.rounding,
            "unit": "u",
            "values": [] if asked.aggregation == "count" else [("", "v")],
            "dimensions": [("model", "model"), ("region", "region")],
            **changes,
        }
    )


def at(hours: float, reference: str, value: object, **properties: object) -> dict[str, Any]:
    instant = NOON + timedelta(hours=hours)
    return event(reference, timestamp=instant.isoformat(), properties={"v": value, **properties})


def quantities(meter: Meter, period: Period, names: Sequence[str] | None = None, **window: Any) -> dict[str, str]:
    grouping = None if names is None else only(names)
    found = read([Window(1, ("acme",), meter.pk, period, grouping=grouping, **window)])[1]
    return {"/".join(usage.dimensions.values()): f"{usage.quantity.normalize():f}" for usage in found}


def whole(start: float, end: float) -> Period:
    return Period(NOON + timedelta(hours=start), NOON + timedelta(hours=end))


SENT = [
    at(0, "r1", 4, model="a", region="eu"),
    at(0.5, "r2", "10.5", model="a", region="us"),
    at(2, "r3", 4, model="b", region="eu"),
    at(3.25, "r4", -2, model="a", region="eu"),
    at(3.5, "r5", "many", model="a", region="eu"),
]
# By model, then all of the day, then all from 12:30 to 15:20, which holds 10.5, 4 and −2.
BY_HAND = {
    "count": ({"a": "4", "b": "1"}, "5", "3"),
    "sum": ({"a": "12.5", "b": "4"}, "16.5", "12.5"),
    "sum up": ({"a": "13", "b": "4"}, "17", "13"),
    "max": ({"a": "10.5", "b": "4"}, "10.5", "10.5"),
    "min": ({"a": "-2", "b": "4"}, "-2", "-2"),
    "average": ({"a": "4.166666666667", "b": "4"}, "4.125", "4.166666666667"),
    "average down": ({"a": "4.16", "b": "4"}, "4.12", "4.16"),
    "latest": ({"a": "-2", "b": "4"}, "-2", "-2"),
    "unique": ({"a": "4", "b": "1"}, "4", "3"),  # “many” is a value, too
    # Levels: a·eu 4 × 3.25 h − 2 × 8.75 h, a·us 10.5 × 11.5 h, b·eu 4 × 10 h, in 24 h.
    # The part: 10.5 × 2 h 50 min, 4 × 1 h 20 min, −2 × 5 min, in 2 h 50 min.
    "levels": ({"a": "4.84375", "b": "1.666666666667"}, "6.510416666667", "12.323529411765"),
    # Changes: 4 × 12 h + 10.5 × 11.5 h − 2 × 8.75 h, and 4 × 10 h, in 24 h.
    "deltas": ({"a": "6.302083333333", "b": "1.666666666667"}, "7.96875", "12.323529411765"),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    meter = make(EVERY[name], "llm.request")
    send(*SENT)
    by_model, of_the_day, of_a_part = BY_HAND[name]
    assert quantities(meter, DAY, ["model"]) == by_model
    assert quantities(meter, DAY, []) == {"": of_the_day}
    assert quantities(meter, whole(0.5, 3 + 1 / 3), []) == {"": of_a_part}
    assert rebuild(meter) == []


def test_a_level_is_carried_into_the_next_period_when_the_meter_says_so() -> None:
    carried, fresh = make(EVERY["levels carried"], "llm.request"), make(EVERY["levels"], "llm.request")
    changes = make(Asked("weighted_sum", "delta", recurring=True), "llm.request")
    send(at(-30, "r1", 4, model="a"), at(-4.5, "r2", 1, model="a"), at(-4, "r3", 8, model="b"))
    next_hours = whole(-6, -2)
    # a: 4 for 1.5 h, then 1 for 2.5 h; b: 8 for 2 h; ÷ 4 h
    assert quantities(carried, next_hours) == {"a": "2.125", "b": "4"}
    assert quantities(fresh, next_hours) == {"a": "0.625", "b": "4"}
    # 4 for 4 h, and 1 more for 2.5 h
    assert quantities(changes, next_hours) == {"a": "4.625", "b": "4"}
    long_after = whole(1000.25, 1000.75)
    assert quantities(carried, long_after) == {"a": "1", "b": "8"}
    assert quantities(fresh, long_after) == {}
    assert quantities(changes, long_after) == {"a": "5", "b": "8"}
    found = read([Window(1, ("acme",), carried.pk, long_after)])[1]
    assert [usage.events for usage in found] == [0, 0]
    send(at(1, "r4", 0, model="a"), at(1, "r5", -5, model="a", region="eu"))
    assert quantities(carried, long_after) == {"a/eu": "-5", "b": "8"}
    assert quantities(carried, long_after, ["model"]) == {"a": "-5", "b": "8"}


def test_of_two_values_at_one_instant_the_one_received_last_is_the_latest() -> None:
    latest, levels = make(EVERY["latest"], "llm.request"), make(EVERY["levels"], "llm.request")
    send(at(0, "z", 1), at(0, "m", 2), at(0, "a", 3))
    assert quantities(latest, DAY) == {"": "3"}
    assert quantities(levels, whole(0, 1)) == {"": "3"}
    send(at(0, "b", 4))
    assert (quantities(latest, DAY), quantities(latest, whole(0, 0.5))) == ({"": "4"}, {"": "4"})
    send(at(-1, "late", 5))
    assert quantities(latest, DAY) == {"": "4"}
    assert quantities(levels, whole(-1, 1)) == {"": "4.5"}
    assert rebuild(latest) == []


@pytest.mark.parametrize("size", [3, 60])
@pytest.mark.parametrize("meets", ["nothing", "a duplicate"])
@pytest.mark.parametrize("noted", [False, True])
def test_a_meter_that_comes_later_knows_which_value_was_received_last(size: int, meets: str, noted: bool) -> None:
    """Whichever way a batch is stored: its references are in the opposite order of its body."""
    sent = [at(0, f"r{size - n:02}", n) for n in range(size)]
    if meets == "a duplicate":
        send(sent[1])
    accept(read_batch(*sent), (lambda outcome: None) if noted else None)
    received = list(Event.objects.order_by("id").values_list("reference", flat=True))
    others = [each["reference"] for place, each in enumerate(sent) if meets == "nothing" or place != 1]
    assert received[-len(others) :] == others
    assert quantities(make(EVERY["latest"], "llm.request"), DAY) == {"": str(size - 1)}


def test_values_stored_with_care_know_which_was_received_last() -> None:
    latest = make(EVERY["latest"], "llm.request")
    send(at(0, "m", 7))
    send(at(0, "z", 1), at(0, "m", 2), at(0, "a", 3))
    assert quantities(latest, DAY) == {"": "3"}
    assert rebuild(latest) == []


def test_zero_has_no_sign() -> None:
    lowest = make(EVERY["min"], "llm.request")
    send(at(0.25, "r1", "-0.0"))
    for period in (DAY, whole(0.2, 0.3)):
        [usage] = read([Window(1, ("acme",), lowest.pk, period)])[1]
        assert not usage.quantity.is_signed()


def test_a_level_is_weighed_over_another_period_when_it_is_asked_for() -> None:
    levels, deltas = make(EVERY["levels"], "llm.request"), make(EVERY["deltas"], "llm.request")
    send(at(0, "r1", 6))
    for meter in (levels, deltas):
        assert quantities(meter, whole(0, 4), weighed_over=whole(-8, 4)) == {"": "2"}


def test_aliases_are_one_customer_and_one_level() -> None:
    meters = {name: make(EVERY[name], "llm.request") for name in ("max", "latest", "unique", "levels", "deltas")}
    send(at(0, "r1", 4), {**at(1, "r2", 4), "customer": "acme-old"}, {**at(2, "r3", 1), "customer": "acme-old"})

    def together(name: str, period: Period) -> str:
        window = Window(1, ("acme", "acme-old"), meters[name].pk, period)
        return f"{read([window])[1][0].quantity.normalize():f}"

    assert [together(name, whole(0, 4)) for name in meters] == ["4", "1", "2", "2.5", "7.5"]
    # From 12:30 to 14:30: 4 from 13:00 and 1 from 14:00; 4 × 1.5 h + 1 × 0.5 h.
    assert [together(name, whole(0.5, 2.5)) for name in meters] == ["4", "1", "2", "2.25", "3.25"]


def test_named_subscriptions_have_levels_of_their_own() -> None:
    levels, latest, unique = (make(EVERY[name], "llm.request") for name in ("levels", "latest", "unique"))
    send(at(0, "r1", 4), {**at(1, "r2", 8), "subscription": "s"})
    period = whole(0, 2)
    assert [quantities(meter, period) for meter in (levels, latest, unique)] == [{"": "8"}, {"": "8"}, {"": "2"}]
    for meter, named, others in ((levels, "4", "4"), (latest, "8", "4"), (unique, "1", "1")):
        assert quantities(meter, period, subscription="s") == {"": named}
        assert quantities(meter, period, named_elsewhere={"s": period}) == {"": others}


def test_what_names_another_subscription_is_read_before_and_after_that_one_reads_it() -> None:
    """s reads its own from 13:00 until 15:00; its level of 8 from 12:00 and the 2 from 15:00 are the open one's."""
    levels, latest, unique = (make(EVERY[name], "llm.request") for name in ("levels", "latest", "unique"))
    highest = make(EVERY["max"], "llm.request")
    named = [{**at(hours, f"n{hours}", value), "subscription": "s"} for hours, value in ((0, 8), (1.5, 99), (3, 2))]
    send(at(0, "r1", 4), *named)
    period, elsewhere = whole(0, 4), {"s": whole(1, 3)}
    read_open = [quantities(each, period, named_elsewhere=elsewhere) for each in (levels, latest, unique, highest)]
    # 4 all the time, 8 for one hour of four and 2 for one: 4 + 2 + 0.5.
    assert read_open == [{"": "6.5"}, {"": "2"}, {"": "3"}, {"": "8"}]
    read_named = [quantities(each, whole(1, 3), subscription="s") for each in (levels, latest, unique, highest)]
    # Not carried over: nothing for half an hour of two, then 99.
    assert read_named == [{"": "74.25"}, {"": "99"}, {"": "1"}, {"": "99"}]


def test_a_total_of_labels_without_sending_it_twice() -> None:
    meter = make(
        Asked("sum"),
        "llm.request",
        values=[("input", "in"), ("output", "out"), ("total", "in", ["out"])],
        label_dimension="token_type",
        dimensions=[],
    )
    send(event("r1", properties={"in": 374, "out": 44}), event("r2", properties={"in": 5}))
    assert quantities(meter, DAY) == {"input": "379", "output": "44", "total": "423"}
    assert quantities(meter, whole(0, 0.5)) == quantities(meter, DAY)
    assert rebuild(meter) == []


instants = st.integers(0, 5 * 60).map(lambda minute: timedelta(minutes=minute)) | st.integers(0, 5 * 3600 * 10**6).map(
    lambda micros: timedelta(microseconds=micros)
)
values = st.integers(-3, 5) | st.decimals(-100, 100, places=12) | st.none() | st.just("many")
sent_events = st.lists(
    st.tuples(
        instants,
        values,
        st.sampled_from(["a", "b", None]),
        st.sampled_from(["eu", None]),
        st.sampled_from(["c", "d"]),
        st.sampled_from(["", "", "s"]),
        st.sampled_from(["succeeded", "succeeded", "succeeded", "failed"]),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=20, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(data=st.data(), rows=sent_events)
def test_any_history_equals_a_naive_recomputation(data: st.DataObject, rows: list[tuple[Any, ...]]) -> None:
    """Late, duplicated, in any order, split into batches; over any period, also inside an hour; by any dimensions."""
    run = f"t{next(codes)}"
    late_meters = {name for name in EVERY if data.draw(st.integers(0, 9)) == 0}
    meters = {name: make(asked, run) for name, asked in EVERY.items() if name not in late_meters}
    order = _send_in_batches(data, run, rows)
    meters |= {name: make(EVERY[name], run) for name in late_meters}
    for _ in range(3):
        start, end = sorted((data.draw(instants), data.draw(instants)))
        period = Period(NOON + start, NOON + end)
        names = data.draw(st.sampled_from([None, (), ("model",), ("region",), ("model", "region")]))
        for name, meter in meters.items():
            window = Window(
                1, (f"{run}c", f"{run}d"), meter.pk, period, grouping=None if names is None else only(names)
            )
            found = {tuple(each.dimensions.items()): (each.quantity, each.events) for each in read([window])[1]}
            expected = naive.usage(EVERY[name], _facts(name, rows, order), period, names) if start < end else {}
            assert found == expected, name
    for name, meter in meters.items():
        assert rebuild(meter) == [], name


def _send_in_batches(data: st.DataObject, run: str, rows: list[tuple[Any, ...]]) -> dict[int, int]:
    """Send every row, some of them again; the place of each in the order of receipt."""
    numbers = data.draw(st.permutations(range(len(rows))))
    repeated = data.draw(st.lists(st.sampled_from(numbers), max_size=4))
    queue = [*numbers, *repeated]
    references = data.draw(st.permutations(range(len(rows))))
    order: dict[int, int] = {}
    while queue:
        size = data.draw(st.integers(1, len(queue)))
        part, queue = queue[:size], queue[size:]
        outcome = accept(read_batch(*(_event(run, f"r{references[number]:03}", rows[number]) for number in part)))
        assert not outcome.rejected
        for number in part:
            order.setdefault(number, len(order))
    return order


def _event(run: str, reference: str, row: tuple[Any, ...]) -> dict[str, Any]:
    offset, value, model, region, customer, subscription, status = row
    return {
        "reference": reference,
        "type": run,
        "customer": f"{run}{customer}",
        "timestamp": (NOON + offset).isoformat(),
        "properties": {"v": str(value) if isinstance(value, Decimal) else value, "model": model, "region": region},
        "subscription": subscription,
        "status": status,
    }


def _facts(name: str, rows: list[tuple[Any, ...]], order: dict[int, int]) -> list[Fact]:
    """What a meter reads: of every event one, of every text its number among all texts, or the value that is one."""
    texts: dict[str, int] = {}
    facts = []
    for number, (offset, value, model, region, _, subscription, status) in enumerate(rows):
        if status == "failed" or (name != "count" and value is None) or (value == "many" and name not in ANY_VALUE):
            continue
        read = {"count": 1, "unique": texts.setdefault(str(value), len(texts))}.get(name, value)
        named = tuple((key, text) for key, text in (("model", model), ("region", region)) if text is not None)
        facts.append(Fact((subscription, named), NOON + offset, order[number], Decimal(read)))
    return facts


@pytest.mark.parametrize("first", ["c", "d"])
@pytest.mark.parametrize("name", ["latest", "levels"])
def test_of_two_at_one_instant_the_one_received_last_counts_whoever_it_names(name: str, first: str) -> None:
    """Over several combinations, and over several references of a customer."""
    meter = make(EVERY[name], "llm.request", dimensions=[("model", "model")] if name == "latest" else [])
    second = "d" if first == "c" else "c"
    for reference, value in ((first, 5), (second, 9)):
        send({**at(0, reference, value, model=reference), "customer": reference})
    window = Window(1, ("c", "d"), meter.pk, whole(0, 1), grouping=only(()))
    assert [each.quantity for each in read([window])[1]] == [9]
