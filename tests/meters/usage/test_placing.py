"""The limit of series for each meter and customer: what is beyond it is counted as `__other__`, and nothing is lost."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from billing_site.foundation.periods import Period
from meters.backfills import backfilling
from meters.backfills.rebuilding import differences, rebuild
from meters.definitions.metering import change, define_meter, draft_of, recount
from meters.measuring import registry
from meters.measuring.counting import SeriesKey
from meters.measuring.folding import OTHER, Fold, Step, folded, too_many
from meters.measuring.preparing import prepare
from meters.models import Bucket, Event, Meter, OverLimit, Series
from meters.usage import interning
from meters.usage import reading as usage
from tests.meters.correcting import amend, event_of, void
from tests.meters.making import NOON, event, read_batch, send, tokens_meter
from tests.meters.usage.test_aggregations import EVERY

DAY = Period(datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC))


def key(subscription: str = "", **dimensions: str) -> SeriesKey:
    return SeriesKey("acme", 1, subscription, tuple(sorted(dimensions.items())))


def test_the_dimensions_with_most_values_are_folded_and_no_more_than_needed() -> None:
    keys = [key(request=f"r{n}", region=f"g{n % 5}", model=f"m{n % 2}", kind="input") for n in range(100)]
    assert too_many(keys, {"kind"}, 10) == {"request"}
    assert too_many(keys, {"kind"}, 9) == {"request", "region"}
    assert too_many(keys, {"kind"}, 1) == {"request", "region", "model"}
    assert too_many([key(f"s{n}", model="a") for n in range(9)], set(), 3) == {"model"}


def test_candidates_of_each_step() -> None:
    given, kept = key("s1", request="r1", model="m", kind="input"), frozenset({"kind"})
    names = folded(given, {"request"})
    assert dict(names.dimensions) == {"request": OTHER, "model": "m", "kind": "input"}
    whole = key(OTHER, request=OTHER, model=OTHER, kind="input")
    assert Fold(Step.NOTHING, frozenset(), kept).candidates(given) == (given,)
    assert Fold(Step.NAMES, frozenset({"request"}), kept).candidates(given) == (given, names)
    assert Fold(Step.ALL, frozenset({"request"}), kept).candidates(given) == (given, names, whole)
    absent = key(kind="input")
    assert Fold(Step.ALL, frozenset({"request"}), kept).candidates(absent) == (absent,)


def by_request(limit: int | None, **changes: Any) -> Meter:
    dimensions = [("model", "model"), ("request", "request")]
    return tokens_meter(dimensions=dimensions, series_limit=limit, **changes)


def call(number: int, model: str = "a", **changes: Any) -> dict[str, Any]:
    properties = {"model": model, "request": f"q{number}", "input_tokens": 100 + number, "output_tokens": 1}
    return event(**{"reference": f"r{number}", "properties": properties, **changes})


def quantities(meter: Meter) -> dict[tuple[str, ...], int]:
    rows = Bucket.objects.filter(series__meter=meter).values_list("series__dimensions", "quantity")
    found: Counter[tuple[str, ...]] = Counter()
    for dimensions, quantity in rows:
        found[tuple(dimensions.get(name, "–") for name in ("model", "request", "token_type"))] += int(quantity)
    return dict(found)


@pytest.mark.django_db(transaction=True)
def test_what_is_beyond_the_limit_is_counted_as_other_and_priced_by_what_is_left() -> None:
    meter = by_request(4)
    with capture_logs() as logs:
        send(*(call(n) for n in range(6)))
        send(*(call(n, model="b") for n in range(6, 8)), event("r8", customer="globex"))

    # Four series: the first two requests, in and out. Of the other four of model a: 102 + 103 + 104 + 105 in, 4 out.
    assert quantities(meter) == {
        ("a", "q0", "input"): 100,
        ("a", "q0", "output"): 1,
        ("a", "q1", "input"): 101,
        ("a", "q1", "output"): 1,
        ("a", OTHER, "input"): 414,
        ("a", OTHER, "output"): 4,
        ("b", OTHER, "input"): 106 + 107,
        ("b", OTHER, "output"): 2,
        ("model-a", "–", "input"): 100,
        ("model-a", "–", "output"): 10,
    }
    assert Event.objects.count() == 9
    over = OverLimit.objects.get()
    assert (over.customer, over.meter, over.step, over.names) == ("acme", meter, OverLimit.Step.NAMES, ["request"])
    assert over.kept == ["token_type"]
    assert over.example == {"model": "a", "request": "q2", "token_type": "input"}
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == ["series_over_limit"]
    assert differences(meter) == rebuild(meter) == []


@pytest.mark.django_db(transaction=True)
def test_buckets_and_raw_events_of_an_hour_say_the_same() -> None:
    meter = by_request(4)
    send(*(call(n) for n in range(6)))

    def read(period: Period) -> dict[str, Decimal]:
        [used] = usage.read([usage.Window(1, ("acme",), meter.pk, period)]).values()
        return {"/".join(each.dimensions.values()): each.quantity for each in used}

    whole = read(DAY)
    assert whole["a/__other__/input"] == 414
    assert read(Period(DAY.start, NOON + timedelta(minutes=1))) == whole


@pytest.mark.django_db(transaction=True)
def test_steps_go_on_when_something_else_explodes_too() -> None:
    meter = by_request(4)
    for n in range(40):
        send(call(n, model=f"m{n}", subscription=f"s{n}"))
    # Up to 4 as they are, up to 8 with the requests folded, then all but the token type and whether there is one.
    assert Series.objects.filter(meter=meter).count() == 8 + 2
    over = OverLimit.objects.get()
    assert over.step == OverLimit.Step.ALL
    assert Series.objects.filter(meter=meter, subscription=OTHER).count() == 2
    assert sum(quantities(meter).values()) == sum(100 + n + 1 for n in range(40))
    assert differences(meter) == []
    send(call(40, model="m0", subscription="s0"))
    assert differences(meter) == []


@pytest.mark.django_db(transaction=True)
def test_levels_are_not_folded_and_said_all_the_same() -> None:
    meter = define_meter(
        code="disk",
        name="Disk",
        event_type="disk",
        aggregation="weighted_sum",
        value_kind="level",
        unit="GB",
        dimensions=[("volume", "volume")],
        series_limit=2,
    )
    send(*(event(f"r{n}", type="disk", value=10, properties={"volume": f"v{n}"}) for n in range(5)))
    assert Series.objects.filter(meter=meter).count() == 5
    assert OverLimit.objects.get().step == OverLimit.Step.NOTHING
    [used] = usage.read([usage.Window(1, ("acme",), meter.pk, DAY, grouping=usage.only([]))]).values()
    assert used[0].quantity == 25  # five levels of 10 that hold for half of the day


@pytest.mark.django_db(transaction=True)
def test_a_raised_limit_and_a_retired_dimension_find_every_place_again() -> None:
    meter = by_request(4)
    send(*(call(n) for n in range(6)))
    _know_by_heart(call(0))

    change(meter, replace(draft_of(meter), series_limit=20))
    backfilling.run(meter)
    assert not OverLimit.objects.exists()
    assert {f"q{n}" for n in range(6)} == {request for _, request, _ in quantities(meter)}
    send(call(6), call(5, reference="again"))
    assert quantities(meter)["a", "q5", "input"] == 105 + 105
    assert differences(meter) == []

    dimensions = draft_of(meter).dimensions
    retired = (dimensions[0], replace(dimensions[1], status="retired"))
    change(meter, replace(draft_of(meter), dimensions=retired, series_limit=4))
    backfilling.run(meter)
    assert quantities(meter) == {("a", "–", "input"): 721 + 105, ("a", "–", "output"): 8}
    send(*(call(n, model=f"m{n}") for n in range(10, 13)))
    assert OverLimit.objects.get().allowed == 4  # the two of model a and two more, none of those of before
    assert differences(meter) == []


def _know_by_heart(sent: dict[str, Any]) -> None:
    """This process remembers the series of an event."""
    definitions = registry.current()
    interning.intern(prepare(read_batch(sent), definitions.by_type).added, [], definitions)


@pytest.mark.django_db(transaction=True)
def test_counting_anew_by_a_setting_that_was_raised(settings: Any) -> None:
    settings.SERIES_LIMIT = 4
    meter = by_request(None)
    send(*(call(n) for n in range(6)))
    settings.SERIES_LIMIT = 8
    send(call(6))
    assert quantities(meter)["a", OTHER, "input"] == 414 + 106  # a step that was taken stays taken
    recount(meter)
    backfilling.run(meter)
    assert OverLimit.objects.get().allowed == 8
    assert Series.objects.filter(meter=meter, generation=2).count() == 8 + 2  # of four requests, and of other ones
    assert sum(quantities(meter).values()) == sum(100 + n + 1 for n in range(7))
    assert differences(meter) == []


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_keep_to_the_limit_and_lose_nothing() -> None:
    meter = by_request(10)
    begin = threading.Barrier(4)

    def work(worker: int) -> None:
        begin.wait()
        for n in range(8):
            send(*(call(1000 * worker + 10 * n + each) for each in range(10)))
        connection.close()

    workers = [threading.Thread(target=work, args=(each,)) for each in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert Event.objects.count() == 4 * 8 * 10
    assert Series.objects.filter(meter=meter).exclude(dimensions__request=OTHER).count() == 10
    assert Series.objects.filter(meter=meter, dimensions__request=OTHER).count() == 2
    assert sum(Bucket.objects.values_list("events", flat=True)) == 2 * 320
    assert differences(meter) == []


@pytest.mark.django_db(transaction=True)
def test_as_many_queries_for_2_as_for_200_beyond_the_limit() -> None:
    by_request(2)
    send(*(call(n) for n in range(5)))

    def queries(first: int, count: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            send(*(call(n) for n in range(first, first + count)))
        return len(captured)

    assert queries(10, 2) == queries(100, 200)


PARTS = st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.sampled_from(["", "s1"]), st.booleans())


@pytest.mark.django_db(transaction=True)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(PARTS, min_size=1, max_size=5), min_size=1, max_size=6), limit=st.integers(1, 6))
def test_any_events_by_any_limit_are_counted_whole(db_now_empty: Any, batches: list[Any], limit: int) -> None:
    meter = by_request(limit, code=f"m{Meter.objects.count()}", event_type=f"t{Meter.objects.count()}")
    number = 100 * Event.objects.count()
    total = 0
    for batch in batches:
        sent = []
        for model, request, subscription, absent in batch:
            number += 1
            properties = {"model": model, "input_tokens": number, **({} if absent else {"request": f"q{request}"})}
            sent.append(
                event(f"r{number}", type=meter.event_type, properties=properties, subscription=subscription or None)
            )
            total += number
        send(*sent)
    assert sum(quantities(meter).values()) == total
    assert differences(meter) == []
    recount(meter)
    backfilling.run(meter)
    assert sum(quantities(meter).values()) == total
    assert differences(meter) == []


@pytest.fixture
def db_now_empty() -> None:
    """Each example makes a meter of its own."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["sum", "max", "min", "unique", "latest"])
def test_what_is_corrected_beyond_a_limit_is_taken_out_of_where_it_was_counted(name: str) -> None:
    """Two models have a series, three are counted together: 30, 40 and 50, then 30 and 7."""
    asked = EVERY[name]
    meter = define_meter(
        code="m",
        name="M",
        event_type="llm.request",
        aggregation=asked.aggregation,
        unit="u",
        values=[("", "v")],
        dimensions=[("model", "model")],
        series_limit=2,
    )
    send(*(event(f"r{n}", properties={"v": 10 * n, "model": f"m{n}"}) for n in range(1, 6)))
    assert OverLimit.objects.exists()
    void(event_of("acme", "r5"))
    amend(event_of("acme", "r4"), {"properties": {"v": 7, "model": "m9"}})
    assert differences(meter) == []
    found = usage.read([usage.Window(1, ("acme",), meter.pk, DAY)])[1]
    [other] = [each.quantity for each in found if each.dimensions == {"model": OTHER}]
    assert other == {"sum": 37, "max": 30, "min": 7, "unique": 2, "latest": 7}[name]
