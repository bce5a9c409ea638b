"""What is read at once is what would have been read with care."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meters.events import quick
from meters.events.decoding import Batch, Limits, decode
from meters.events.sent import MAX_EVENT_BYTES, SentEvent
from meters.events.timestamps import parse
from meters.events.values import Unfit
from tests.meters.making import LIMITS, NOON, event

NOW = NOON + timedelta(hours=1)
NARROW = Limits(max_events=100, future=timedelta(minutes=5), past=timedelta(days=35))


def with_care(body: bytes, limits: Limits) -> Batch:
    with mock.patch.object(quick.Reader, "read", return_value=None):
        return decode(body, NOW, limits)


def at_once(raw: str | bytes, limits: Limits = LIMITS) -> list[SentEvent] | None:
    return quick.Reader(NOW, limits).read(raw.encode() if isinstance(raw, str) else raw)


texts = st.text(max_size=4) | st.sampled_from(["r1", " ", "\t", "x" * 255, "x" * 256, "\\", '"', "é", "\0", ""])
numbers = st.sampled_from(
    [
        "0",
        "1",
        "-7",
        "1.50",
        "-0.0",
        "1e3",
        "1E-13",
        "0.1234567890123",
        "1.0000000000000",
        "9" * 18,
        "9" * 19,
        "9" * 39,
        "1e400",
        "1e-40",
        "0e99",
        "-0",
        "1.5e-3",
        "123456789012345678.123456789012",
    ]
)
timestamps = st.sampled_from(
    [
        "2026-03-10T12:00:00Z",
        "2026-03-10T12:00:00.123456789+02:00",
        "2026-03-10 12:00:00Z",
        "2026-03-10T12:00:00",
        "2026-03-10T13:04:59.999Z",
        "2026-03-10T13:05:00.000001Z",
        "2026-02-03T12:59:59Z",
        "2025-12-31T23:59:60Z",
        "2026-03-10T12:00:00.Z",
        "0001-01-01T00:00:00+01:00",
        "now",
        "",
        "2026-W10-2T12:00:00Z",
        "2026-03-10t12:00:00z",
        "2026-03-10T12:00:00+0200",
        "2026-03-10T12:00:00+00",
        "2026-03-10T12:00:00.1234560Z",
    ]
)
leaves = texts.map(json.dumps) | numbers | st.sampled_from(["null", "true", "false"])
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: f"[{', '.join(found)}]")
        | st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
        )
    ),
    max_leaves=8,
)
fields = {
    "reference": texts.map(json.dumps) | leaves,
    "type": st.just('"llm.request"') | leaves,
    "customer": texts.map(json.dumps) | leaves,
    "timestamp": timestamps.map(json.dumps) | leaves,
    "properties": values,
    "value": leaves,
    "status": st.sampled_from(['"succeeded"', '"failed"', '"unknown"', "null"]),
    "subscription": texts.map(json.dumps) | leaves,
    "other": leaves,
}
usual = ["reference", "type", "customer"]


@st.composite
def items(draw: st.DrawFn) -> str:
    """Fields as JSON, nearly always with those that an event needs, sometimes with one twice."""
    names = usual + draw(st.lists(st.sampled_from(list(fields)), max_size=5))
    return "{" + ", ".join(f'"{name}": {draw(fields[name])}' for name in draw(st.permutations(names))) + "}"


@given(item=items(), limits=st.sampled_from([LIMITS, NARROW]))
def test_it_takes_nothing_that_would_be_read_otherwise(item: str, limits: Limits) -> None:
    careful = with_care(f"[{item}]".encode(), limits)
    assert at_once(item, limits) in (None, careful.events)
    assert decode(f"[{item}]".encode(), NOW, limits) == careful


@given(several=st.lists(items(), max_size=4), gap=st.sampled_from(["", " ", "\n"]))
def test_a_body_is_read_as_its_items_are(several: list[str], gap: str) -> None:
    body = f"{gap}[{f'{gap},'.join(several)}]{gap}".encode()
    careful = with_care(body, LIMITS)
    assert at_once(body) in (None, careful.events)
    assert decode(body, NOW, LIMITS) == careful


@pytest.mark.parametrize(
    "body",
    ['{"reference": "r", "type": "t", "customer": "c"}, {"reference": "s", "type": "t", "customer": "c"}', "1", ""],
)
def test_a_body_that_is_no_json_is_left_alone(body: str) -> None:
    assert at_once(body) is None


@given(text=st.from_regex(r"20\d\d-[01]\d-[0-3]\d[Tt ][0-2]\d:[0-5]\d:[0-6]\d(\.\d{0,10})?(Z|z|[+-]\d\d:?\d\d)?"))
def test_a_timestamp_is_the_same_instant(text: str) -> None:
    read = at_once(json.dumps(event(timestamp=text)))
    try:
        careful: datetime | None = parse(text, "timestamp")
    except Unfit:
        careful = None
    assert read is None or [each.timestamp for each in read] == [careful]
    assert read is None or read[0].timestamp.tzinfo is UTC


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"timestamp": "2026-03-10T12:00:00.123456Z"},
        {"timestamp": "2026-03-10T14:00:00+02:00"},
        {"value": 12, "status": "failed", "subscription": "s1"},
        {"properties": {"cost": 0.125, "deep": {"list": [1, "é", None, True]}}},
    ],
)
def test_the_usual_is_read_at_once(changes: dict[str, Any]) -> None:
    raw = json.dumps(event(**changes), ensure_ascii=False)
    assert at_once(raw) is not None
    assert at_once(raw) == with_care(raw.encode(), LIMITS).events


@pytest.mark.parametrize("name", usual)
def test_what_an_event_needs_is_asked_for_with_care(name: str) -> None:
    whole = event()
    del whole[name]
    assert at_once(json.dumps(whole)) is None
    assert [each.code for each in decode(json.dumps([whole]).encode(), NOW, LIMITS).rejected] == ["missing_field"]


def test_one_event_that_is_too_long_among_many_is_looked_at_closely() -> None:
    long = event(reference="long", properties={"text": "x" * (MAX_EVENT_BYTES - 400)})
    longer = event(reference="longer", properties={"text": "x" * MAX_EVENT_BYTES})
    assert at_once(json.dumps([event(), long])) is not None
    assert at_once(json.dumps([event(), longer])) is None
    assert at_once(json.dumps(longer)) is None
