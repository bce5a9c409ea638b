"""Columns become fields of events: guessed, checked, and with times of a chosen timezone."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from meters.events.values import Unfit
from meters.files.guessing import guess
from meters.files.local_times import to_utc
from meters.files.mapping import Mapping, faults, form_of

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2023-11-16 18:17:03.9799600", UTC_ZONE, "2023-11-16T18:17:03.9799600Z"),
        ("2023-11-16 18:17:03.9799600", BERLIN, "2023-11-16T17:17:03.9799600Z"),
        ("2026-07-01T12:00", BERLIN, "2026-07-01T10:00:00Z"),
        ("2026-07-01", BERLIN, "2026-06-30T22:00:00Z"),
        ("2026-07-01 12:00:00Z", BERLIN, "2026-07-01T12:00:00Z"),
        ("2026-07-01 12:00:00 UTC", BERLIN, "2026-07-01T12:00:00Z"),
        ("2026-07-01 12:00:00.5+0530", BERLIN, "2026-07-01T12:00:00.5+05:30"),
        ("2026-07-01T12:00:00 -03", BERLIN, "2026-07-01T12:00:00-03:00"),
        ("2016-12-31 23:59:60", UTC_ZONE, "2016-12-31T23:59:60Z"),
    ],
)
def test_times(text: str, zone: ZoneInfo, expected: str) -> None:
    assert to_utc(text, zone, "at") == expected


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("16/11/2023 18:17", "invalid_timestamp", "at is “16/11/2023 18:17”: write it as"),
        ("1700158623", "invalid_timestamp", "write it as"),
        ("2026-02-30 12:00", "invalid_timestamp", "does not exist"),
        ("2026-10-25 02:30:00", "ambiguous_timestamp", "happens twice in Europe/Berlin"),
        ("2026-03-29 02:30:00", "invalid_timestamp", "does not exist in Europe/Berlin"),
        ("0001-01-01 00:00", "invalid_timestamp", "does not exist"),
    ],
)
def test_times_that_are_refused(text: str, code: str, message: str) -> None:
    with pytest.raises(Unfit) as refused:
        to_utc(text, BERLIN, "at")
    assert (refused.value.code, refused.value.field) == (code, "at")
    assert message in refused.value.message


def test_the_hours_around_a_change_of_clocks() -> None:
    assert to_utc("2026-03-29 01:59:59", BERLIN, "at") == "2026-03-29T00:59:59Z"
    assert to_utc("2026-03-29 03:00:00", BERLIN, "at") == "2026-03-29T01:00:00Z"
    assert to_utc("2026-10-25 01:59:59", BERLIN, "at") == "2026-10-24T23:59:59Z"
    assert to_utc("2026-10-25 03:00:00", BERLIN, "at") == "2026-10-25T02:00:00Z"


def test_guesses() -> None:
    assert guess(
        ["Event Type", "request_id", "ID", "Customer-Id", "TIMESTAMP", "time", "Model", "properties.x"]
    ).columns == {
        "Event Type": "type",
        "request_id": "reference",
        "ID": "properties.ID",
        "Customer-Id": "customer",
        "TIMESTAMP": "timestamp",
        "time": "properties.time",
        "Model": "properties.Model",
        "properties.x": "properties.x",
    }


@pytest.mark.parametrize("name", ["when", "Usage date", "event_timestamp", "started_at"])
def test_a_time_is_seen_by_many_names(name: str) -> None:
    assert guess([name, "tokens"]).columns[name] == "timestamp"


GOOD = {"t": "type", "c": "customer"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"columns": {}, "constants": {"type": "x", "customer": "y"}}, []),
        ({"columns": {"t": "type"}}, [("missing_field", "customer")]),
        ({"columns": {}}, [("missing_field", "type"), ("missing_field", "customer")]),
        ({"columns": {**GOOD, "z": "value"}}, [("unknown_column", "z")]),
        ({"columns": {**GOOD, "a": "type"}}, [("repeated", "type")]),
        ({"constants": {"type": "x"}}, [("repeated", "type")]),
        ({"columns": {**GOOD, "a": "price"}}, [("unknown_field", "a")]),
        ({"columns": {**GOOD, "a": "properties"}}, [("unknown_field", "a")]),
        ({"columns": {**GOOD, "a": "properties. "}}, [("missing_name", "a")]),
        ({"columns": {**GOOD, "a": "properties.\0"}}, [("invalid_name", "a")]),
        ({"columns": {**GOOD, "a": "properties." + "x" * 201}}, [("invalid_name", "a")]),
        ({"constants": {"reference": "x"}}, [("no_constant", "reference")]),
        ({"constants": {"timestamp": "x"}}, [("no_constant", "timestamp")]),
        ({"constants": {"status": "ok"}}, [("unknown_status", "status")]),
        ({"constants": {"value": "many"}}, [("wrong_type", "value")]),
        ({"constants": {"properties.model": "x" * 256}}, [("too_long", "properties.model")]),
        ({"timezone": "Berlin"}, [("unknown_timezone", "timezone")]),
        ({"timezone": "localtime"}, [("unknown_timezone", "timezone")]),
        ({"timezone": "../../etc/passwd"}, [("unknown_timezone", "timezone")]),
    ],
)
def test_what_is_wrong_with_a_mapping(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    mapping = Mapping(**{"columns": GOOD, **changes})
    assert [(fault.code, fault.field) for fault in faults(mapping, ["t", "c", "a", "b"])] == expected


def test_rows_become_events() -> None:
    columns = {"Time": "timestamp", "Who": "customer", "In": "properties.input", "Id": "reference", "How": "status"}
    form = form_of(
        Mapping(columns, {"type": "llm.request", "properties.model": "m"}, "Europe/Berlin"), lambda at: f"row {at}"
    )
    sent = {"Time": "2026-07-01 12:00", "Who": "acme", "In": "007", "Left out": "x"}
    assert form.translate(4, sent) == {
        "reference": "row 4",
        "type": "llm.request",
        "customer": "acme",
        "timestamp": "2026-07-01T10:00:00Z",
        "properties": {"model": "m", "input": "007"},
    }
    assert form.translate(4, {"Id": "own", "How": "failed"})["reference"] == "own"
    assert form.names["timestamp"] == "Time"
