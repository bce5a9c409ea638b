"""Every odd thing that a body can hold has one answer."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from meters.events.bodies import Malformed, split
from meters.events.decoding import MAX_EVENT_BYTES, Batch, Limits, TooManyEvents, decode

OF_CLOUDEVENTS = {"unsupported_specversion", "unsupported_data", "invalid_source", "reserved_property"}
DOCS = Path(__file__).parents[3] / "docs" / "events.md"
NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
LIMITS = Limits(max_events=3, future=timedelta(minutes=5), past=timedelta(days=35))
GOOD = '{"reference": "r1", "type": "call", "customer": "acme", "timestamp": "2026-03-10T11:00:00Z"}'


def with_field(text: str) -> str:
    """The good event with one more field, as raw JSON."""
    return GOOD[:-1] + ", " + text + "}"


def read(text: str | bytes, limits: Limits = LIMITS) -> Batch:
    return decode(text if isinstance(text, bytes) else text.encode(), NOW, limits)


def test_an_event_with_everything() -> None:
    batch = read(
        '{"reference": "r1", "type": "call", "customer": "acme", "timestamp": "2026-03-10T12:30:00.1234567+05:30",'
        ' "properties": {"model": "é😀", "n": 1.50, "deep": {"list": [1, null, true]}}, "value": 2.5,'
        ' "status": "failed", "subscription": "s1"}'
    )
    (sent,) = batch.events
    assert (sent.index, sent.reference, sent.type, sent.customer) == (0, "r1", "call", "acme")
    assert sent.timestamp == datetime(2026, 3, 10, 7, 0, 0, 123456, tzinfo=UTC)
    assert (sent.value, sent.status, sent.subscription) == (Decimal("2.5"), "failed", "s1")
    assert sent.properties == {"model": "é😀", "n": Decimal("1.50"), "deep": {"list": [1, None, True]}}


def test_what_is_left_out_or_null_takes_its_default() -> None:
    nulls = '"timestamp": null, "properties": null, "value": null, "status": null, "subscription": null'
    for body in (
        '{"reference": "r1", "type": "call", "customer": "acme"}',
        '{"reference": "r1", "type": "call", "customer": "acme", ' + nulls + "}",
    ):
        (sent,) = read(body).events
        assert (sent.timestamp, sent.properties, sent.value) == (NOW, {}, None)
        assert (sent.status, sent.subscription) == ("succeeded", "")


def test_one_object_and_an_array_of_one_are_the_same() -> None:
    assert read(GOOD) == read(f" [\n{GOOD}\t] ")


REJECTED = {
    "no reference": ('{"type": "call", "customer": "acme"}', "missing_field", "reference"),
    "null customer": ('{"reference": "r1", "type": "call", "customer": null}', "missing_field", "customer"),
    "empty reference": ('{"reference": "", "type": "call", "customer": "acme"}', "empty_field", "reference"),
    "blank type": ('{"reference": "r1", "type": " ", "customer": "acme"}', "empty_field", "type"),
    "number for a customer": ('{"reference": "r1", "type": "call", "customer": 42}', "wrong_type", "customer"),
    "256 characters": (json.dumps({"reference": "é" * 256, "type": "c", "customer": "a"}), "too_long", "reference"),
    "unknown field": (with_field('"model": "a"'), "unknown_field", "model"),
    "unknown status": (with_field('"status": "ok"'), "unknown_status", "status"),
    "status that is no text": (with_field('"status": ["failed"]'), "unknown_status", "status"),
    "value that is a boolean": (with_field('"value": true'), "wrong_type", "value"),
    "value that is a word": (with_field('"value": "many"'), "wrong_type", "value"),
    "value NaN in quotes": (with_field('"value": "NaN"'), "wrong_type", "value"),
    "13 decimal places": (with_field('"value": 0.1234567890123'), "value_too_precise", "value"),
    "1e-13": (with_field('"value": 1e-13'), "value_too_precise", "value"),
    "13 places as text": (with_field('"value": "0.1234567890123"'), "value_too_precise", "value"),
    "19 digits": (with_field('"value": 1000000000000000000'), "value_too_large", "value"),
    "1e18": (with_field('"value": 1e18'), "value_too_large", "value"),
    "huge exponent": (with_field('"value": 1e100000'), "number_out_of_range", "value"),
    "huge negative exponent": (with_field('"value": 1e-100000'), "number_out_of_range", "value"),
    "zero with a huge exponent": (with_field('"value": 0e99999'), "number_out_of_range", "value"),
    "exponent beyond reading": (with_field('"value": 1e99999999999999999999'), "number_out_of_range", ""),
    "nested huge exponent": (
        with_field('"properties": {"a": [{"b": 1e400}]}'),
        "number_out_of_range",
        "properties.a[0].b",
    ),
    "39 digits": (with_field(f'"properties": {{"id": {"9" * 39}}}'), "number_out_of_range", "properties.id"),
    "39 significant digits": (
        with_field(f'"properties": {{"n": 1.{"1" * 38}}}'),
        "number_out_of_range",
        "properties.n",
    ),
    "5,000 digits": (with_field(f'"properties": {{"id": {"9" * 5_000}}}'), "number_out_of_range", ""),
    "properties that are a list": (with_field('"properties": []'), "wrong_type", "properties"),
    "NUL in a text": (with_field('"properties": {"a": ["x\\u0000"]}'), "nul_character", "properties.a[0]"),
    "NUL in a name": (with_field('"properties": {"a\\u0000": 1}'), "nul_character", "properties"),
    "NUL in a reference": ('{"reference": "\\u0000", "type": "c", "customer": "a"}', "nul_character", "reference"),
    "half a surrogate pair": (with_field('"properties": {"a": "\\ud800"}'), "lone_surrogate", ""),
    "a key twice": (with_field('"customer": "other"'), "duplicate_key", "customer"),
    "a nested key twice": (with_field('"properties": {"a": {"b": 1, "b": 2}}'), "duplicate_key", "b"),
    "a key twice, once escaped": (with_field('"properties": {"a": 1, "\\u0061": 2}'), "duplicate_key", "a"),
    "a key twice beside a quotation mark": (
        with_field('"properties": {"a": "\\"", "b": 1, "b": 2}'),
        "duplicate_key",
        "b",
    ),
    "1001 names": (
        with_field('"properties": {' + ", ".join(f'"n{n}": 1' for n in range(1_001)) + "}"),
        "too_many_properties",
        "properties",
    ),
    "a long name": (with_field('"properties": {"' + "n" * 201 + '": 1}'), "name_too_long", "properties"),
    "21 levels": (with_field('"properties": {"a": ' + "[" * 20 + "]" * 20 + "}"), "too_deep", None),
    "no offset": (
        '{"reference": "r", "type": "c", "customer": "a", "timestamp": "2026-03-10T11:00:00"}',
        "timestamp_without_offset",
        "timestamp",
    ),
    "a date": (
        '{"reference": "r", "type": "c", "customer": "a", "timestamp": "2026-03-10"}',
        "invalid_timestamp",
        "timestamp",
    ),
    "30 February": (
        '{"reference": "r", "type": "c", "customer": "a", "timestamp": "2026-02-30T11:00:00Z"}',
        "invalid_timestamp",
        "timestamp",
    ),
    "seconds since 1970": (
        '{"reference": "r", "type": "c", "customer": "a", "timestamp": 1773140400}',
        "wrong_type",
        "timestamp",
    ),
    "a 60th second at noon": (
        '{"reference": "r", "type": "c", "customer": "a", "timestamp": "2026-03-09T12:00:60Z"}',
        "invalid_timestamp",
        "timestamp",
    ),
    "before the year 1 in UTC": (
        '{"reference": "r", "type": "c", "customer": "a", "timestamp": "0001-01-01T00:00:00+05:00"}',
        "invalid_timestamp",
        "timestamp",
    ),
    "a year of six digits": (
        '{"reference": "r", "type": "c", "customer": "a", "timestamp": "202603-03-10T11:00:00Z"}',
        "invalid_timestamp",
        "timestamp",
    ),
    "in the future": (
        '{"reference": "r", "type": "c", "customer": "a", "timestamp": "2026-03-10T12:05:01Z"}',
        "in_the_future",
        "timestamp",
    ),
    "too old": (
        '{"reference": "r", "type": "c", "customer": "a", "timestamp": "2026-02-03T11:59:59Z"}',
        "too_old",
        "timestamp",
    ),
    "too large": (with_field('"properties": {"a": "' + "x" * MAX_EVENT_BYTES + '"}'), "event_too_large", ""),
    "a number": ("3", "not_an_object", ""),
    "null": ("null", "not_an_object", ""),
    "a list": ("[]", "not_an_object", ""),
}


@pytest.mark.parametrize(("item", "code", "field"), REJECTED.values(), ids=REJECTED)
def test_a_bad_item_is_rejected_alone(item: str, code: str, field: str | None) -> None:
    batch = read(f"[{GOOD}, {item}, {GOOD}]")
    assert [sent.index for sent in batch.events] == [0, 2]
    (rejected,) = batch.rejected
    assert (rejected.index, rejected.code) == (1, code)
    assert rejected.message.endswith((".", "…"))
    if field is not None:
        assert rejected.field == field


def test_rejected_items_name_their_reference() -> None:
    batch = read('[{"reference": "mine", "type": 1, "customer": "acme"}, {"reference": 5}]')
    assert [rejected.reference for rejected in batch.rejected] == ["mine", None]


def test_bytes_that_are_not_utf8_spoil_one_item() -> None:
    batch = read(f"[{GOOD}, ".encode() + b'{"reference": "\xff", "type": "c", "customer": "a"}]')
    assert [sent.index for sent in batch.events] == [0]
    assert [rejected.code for rejected in batch.rejected] == ["invalid_utf8"]


TAKEN = {
    "12 places": ('"value": 0.123456789012', Decimal("0.123456789012")),
    "zeros beyond 12 places": ('"value": 1.0000000000000', Decimal(1)),
    "18 digits": ('"value": 999999999999999999.999999999999', Decimal("999999999999999999.999999999999")),
    "an exponent": ('"value": 1.5e3', Decimal(1500)),
    "a text": ('"value": "-12.5"', Decimal("-12.5")),
    "zero": ('"value": -0.0', Decimal(0)),
}


@pytest.mark.parametrize(("text", "value"), TAKEN.values(), ids=TAKEN)
def test_values_are_exact(text: str, value: Decimal) -> None:
    (sent,) = read(with_field(text)).events
    assert sent.value == value


@pytest.mark.parametrize(
    "properties",
    [
        '{"latency": 0.30000000000000004}',
        '{"id": 18446744073709551615}',
        f'{{"id": {"9" * 38}}}',
        '{"text": "\\ud83d\\ude00 \\" \\\\u0000"}',
        '{"a": 1, "A": 2, "": 3}',
        '{"a": {"b": 1}, "b": {"a": 1}}',
        '{"a": ' + "[" * 19 + "]" * 19 + "}",
    ],
)
def test_properties_that_are_odd_and_right(properties: str) -> None:
    (sent,) = read(with_field(f'"properties": {properties}')).events
    assert sent.properties == json.loads(properties, parse_float=Decimal)


@pytest.mark.parametrize(
    ("timestamp", "instant"),
    [
        ("2026-03-10T12:05:00Z", datetime(2026, 3, 10, 12, 5, tzinfo=UTC)),
        ("2026-02-03T12:00:00Z", datetime(2026, 2, 3, 12, 0, tzinfo=UTC)),
        ("2026-03-01t00:00:00z", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01 00:00:00-00:00", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T05:30:00+05:30", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-02-28T23:59:59.9999999Z", datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-02-28T23:59:60Z", datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-03-01T05:29:60.5+05:30", datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)),
    ],
)
def test_timestamps(timestamp: str, instant: datetime) -> None:
    body = json.dumps({"reference": "r", "type": "c", "customer": "a", "timestamp": timestamp})
    (sent,) = read(body).events
    assert sent.timestamp == instant


def test_the_backfill_scope_lifts_the_age() -> None:
    old = '{"reference": "r", "type": "c", "customer": "a", "timestamp": "1999-12-31T23:00:00-01:00"}'
    (sent,) = read(old, Limits(3, timedelta(minutes=5), None)).events
    assert sent.timestamp == datetime(2000, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"\xef\xbb\xbf[]", "must be a JSON object"),
        (b"[1, 2", "ends too early, at byte 5"),
        (b'[{"a": 1} {}]', "at byte 10"),
        (b"[{}] {}", "trailing characters"),
        (b'[{"a": NaN}]', "no NaN or Infinity"),
        (b'[{"a": -Infinity}]', "no NaN or Infinity"),
        (b'[{"a": "\\u00"}]', "not valid JSON"),
        (b'["\\ud800", NaN]', "not valid JSON"),
        (b"{'a': 1}", "at byte 1"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_not_json(body: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        read(body)


def test_too_many_events() -> None:
    assert len(read(f"[{GOOD}, {GOOD}, {GOOD}]")) == 3
    with pytest.raises(TooManyEvents, match="holds 4 events; at most 3"):
        read(f"[{GOOD}, {GOOD}, {GOOD}, 1]")


def test_no_events() -> None:
    assert len(read("[]")) == 0


def test_items_around_half_a_surrogate_pair_stay_whole() -> None:
    items = split(b' [ {"a": "]\\ud800"} ,\n[1, {"b": 2}],"\\"," , 3 ]')
    assert items == [b'{"a": "]\\ud800"}', b'[1, {"b": 2}]', b'"\\","', b"3"]
    assert split(b' {"a": "\\ud800"} ') == [b'{"a": "\\ud800"}']


def test_every_code_is_documented() -> None:
    """`docs/events.md` names each code that an event can be rejected with, and no other."""
    codes = {code for _, code, _ in REJECTED.values()} | {"invalid_utf8", "dimension_too_long"} | OF_CLOUDEVENTS
    documented = DOCS.read_text(encoding="utf-8").partition("| code | why |")[2].partition("## Correcting an event")[0]
    assert set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+)+)`", documented)) == codes


def test_as_many_and_as_long_names_as_there_may_be() -> None:
    names = {f"{n:04d}".rjust(40, "n"): 1 for n in range(1_000)} | {"0999".rjust(40, "n"): 2}
    (sent,) = read(with_field(f'"properties": {json.dumps(names)}')).events
    assert sent.properties == names
    assert len(read(with_field('"properties": {"' + "n" * 200 + '": 1}')).events) == 1


@pytest.mark.parametrize(
    ("lies", "code"),
    [
        (timedelta(minutes=5), None),
        (timedelta(minutes=5, microseconds=1), "in_the_future"),
        (-timedelta(days=35), None),
        (-timedelta(days=35, microseconds=1), "too_old"),
    ],
)
def test_the_bounds_of_the_clock_to_the_microsecond(lies: timedelta, code: str | None) -> None:
    given = {"reference": "r", "type": "c", "customer": "a", "timestamp": (NOW + lies).isoformat()}
    batch = read(json.dumps(given))
    assert [each.code for each in batch.rejected] == ([code] if code else [])
    assert len(batch.events) == (code is None)
