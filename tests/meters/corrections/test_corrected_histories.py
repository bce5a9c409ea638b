"""Any sequence of sending, voiding and amending: usage is what a naive recomputation makes of the surviving events."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_site.foundation.errors import Refused
from billing_site.foundation.periods import Period
from meters.backfills.rebuilding import rebuild
from meters.corrections import correcting as corrections
from meters.ingestion.ingest import accept
from meters.usage.reading import Window, only, read
from tests.meters import naive
from tests.meters.correcting import amend, by_a_key, void
from tests.meters.making import NOON, read_batch
from tests.meters.naive import Fact
from tests.meters.usage.test_aggregations import ANY_VALUE, EVERY, PHASES, codes, instants, make, values

pytestmark = pytest.mark.django_db

rows = st.tuples(
    instants,
    values,
    st.sampled_from(["a", "b", None]),
    st.sampled_from(["eu", None]),
    st.sampled_from(["c", "d"]),
    st.sampled_from(["", "", "s"]),
    st.sampled_from(["succeeded", "succeeded", "succeeded", "failed"]),
)
references = st.integers(0, 6)
amendments = st.fixed_dictionaries(
    {}, optional={"timestamp": instants, "properties": st.tuples(values, st.sampled_from(["a", None]))}
)
steps = st.lists(
    st.tuples(st.just("send"), st.lists(st.tuples(references, rows), min_size=1, max_size=4))
    | st.tuples(st.just("void"), references)
    | st.tuples(st.just("amend"), references, amendments),
    min_size=4,
    max_size=16,
)


@settings(max_examples=25, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(data=st.data(), history=steps)
def test_any_corrected_history_equals_a_naive_recomputation(data: st.DataObject, history: list[Any]) -> None:
    """Over any period, also inside an hour; by any dimensions; meters made before the history, in it and after it."""
    run = f"h{next(codes)}"
    made_at = {name: data.draw(st.sampled_from([0, 0, 0, len(history) // 2, len(history)])) for name in EVERY}
    by = by_a_key()
    meters = {}
    alive: dict[tuple[str, int], list[Any]] = {}  # customer, reference → place of receipt, row, voided, amended
    for place in range(len(history) + 1):
        meters |= {name: make(EVERY[name], run) for name, at in made_at.items() if at == place}
        if place < len(history):
            _do(run, history[place], alive, by)
    facts = [(order, row) for order, row, voided, _ in alive.values() if not voided]
    for _ in range(3):
        start, end = sorted((data.draw(instants), data.draw(instants)))
        period = Period(NOON + start, NOON + end)
        names = data.draw(st.sampled_from([None, (), ("model",), ("region",), ("model", "region")]))
        grouping = None if names is None else only(names)
        for name, meter in meters.items():
            window = Window(1, (f"{run}c", f"{run}d"), meter.pk, period, grouping=grouping)
            found = {tuple(each.dimensions.items()): (each.quantity, each.events) for each in read([window])[1]}
            expected = naive.usage(EVERY[name], _facts(name, facts), period, names) if start < end else {}
            assert found == expected, name
    for name, meter in meters.items():
        assert rebuild(meter) == [], name


def _do(run: str, step: tuple[Any, ...], alive: dict[tuple[str, int], list[Any]], by: corrections.By) -> None:
    """One step, in the database and in what should come of it."""
    if step[0] == "send":
        outcome = accept(read_batch(*(_event(run, number, row) for number, row in step[1])))
        assert not outcome.rejected
        for number, row in step[1]:
            alive.setdefault((row[4], number), [len(alive), row, False, None])
        return
    for customer in ("c", "d"):
        key = (customer, step[1])
        pair = (f"{run}{customer}", f"r{step[1]}")
        event = corrections.find([pair]).get(pair)
        assert (event is None) == (key not in alive)
        if event is None:
            continue
        if step[0] == "void":
            assert void(event, by=by).kind == "void"
            alive[key][2] = True
        else:
            _amend(event, {**step[2]}, alive[key], by)


def _amend(event: int, changed: dict[str, Any], known: list[Any], by: corrections.By) -> None:
    _, row, voided, amended = known
    after = (changed.get("timestamp", row[0]), *changed.get("properties", row[1:3]), *row[3:])
    if "properties" in changed:
        after = (*after[:3], None, *after[4:])
    if changed and not voided and amended and _sent(after) == _sent(row):
        assert amend(event, _body(changed), by=by) == amended, "the same again, for the same reason"
    elif voided or not changed or _sent(after) == _sent(row):
        with pytest.raises(Refused):
            amend(event, _body(changed), by=by)
    else:
        known[1], known[3] = after, amend(event, _body(changed), by=by)


def _body(changed: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if "timestamp" in changed:
        body["timestamp"] = (NOON + changed["timestamp"]).isoformat()
    if "properties" in changed:
        value, model = changed["properties"]
        body["properties"] = _properties(value, model, None)
    return body


def _sent(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return row[0], _properties(*row[1:4])


def _properties(value: Any, model: str | None, region: str | None) -> dict[str, Any]:
    return {"v": str(value) if isinstance(value, Decimal) else value, "model": model, "region": region}


def _event(run: str, number: int, row: tuple[Any, ...]) -> dict[str, Any]:
    offset, value, model, region, customer, subscription, status = row
    return {
        "reference": f"r{number}",
        "type": run,
        "customer": f"{run}{customer}",
        "timestamp": (NOON + offset).isoformat(),
        "properties": _properties(value, model, region),
        "subscription": subscription,
        "status": status,
    }


def _facts(name: str, survivors: list[tuple[int, Any]]) -> list[Fact]:
    """What a meter reads of the surviving events. An amended one keeps its place in the order of receipt."""
    texts: dict[str, int] = {}
    facts = []
    for order, (offset, value, model, region, _, subscription, status) in survivors:
        if status == "failed" or (name != "count" and value is None) or (value == "many" and name not in ANY_VALUE):
            continue
        read_as = {"count": 1, "unique": texts.setdefault(str(value), len(texts))}.get(name, value)
        named = tuple((key, text) for key, text in (("model", model), ("region", region)) if text is not None)
        facts.append(Fact((subscription, named), NOON + offset, order, Decimal(read_as)))
    return facts


def test_the_strategy_reaches_every_kind_of_step() -> None:
    """A history by hand: it is one that the test above may draw."""
    row = (timedelta(minutes=5), 3, "a", "eu", "c", "", "succeeded")
    alive: dict[tuple[str, int], list[Any]] = {}
    run, by = f"h{next(codes)}", by_a_key()
    meter = make(EVERY["max"], run)
    _do(run, ("send", [(1, row), (2, (timedelta(minutes=6), 2, "a", "eu", "c", "", "succeeded"))]), alive, by)
    _do(run, ("amend", 1, {"properties": (5, "b")}), alive, by)
    _do(run, ("void", 2), alive, by)
    period = Period(NOON, NOON + timedelta(hours=1))
    found = read([Window(1, (f"{run}c",), meter.pk, period)])[1]
    assert json.dumps([(dict(each.dimensions), int(each.quantity), each.events) for each in found]) == (
        '[[{"model": "b"}, 5, 1]]'
    )
