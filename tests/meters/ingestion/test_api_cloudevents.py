"""CloudEvents 1.0 over HTTP, written by the official package: what is stored, what is rejected, and in which words."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from billing_site.foundation import clock
from meters.models import Bucket, Event
from tests.meters.conftest import Sender
from tests.meters.making import event, tokens_meter

pytestmark = pytest.mark.django_db
STRUCTURED, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
DATA = {"model": "model-a", "input_tokens": 100, "output_tokens": 10}


def cloud_event(event_id: str = "e1", data: Any = DATA, **attributes: Any) -> CloudEvent:
    given = {"type": "llm.request", "source": "/gateways/eu-1", "subject": "acme", "id": event_id, **attributes}
    return CloudEvent({name: value for name, value in given.items() if value is not None}, data)


def written(*events: CloudEvent) -> list[dict[str, Any]]:
    return [json.loads(JSONFormat().write(each)) for each in events]


@pytest.fixture
def post(sender: Callable[..., Sender]) -> Callable[..., Any]:
    """Events of the package, or dictionaries, as a batch."""
    send = sender("ingest")

    def post_batch(*events: Any, content_type: str = BATCH, **headers: str) -> Any:
        items = [written(each)[0] if isinstance(each, CloudEvent) else each for each in events]
        return send(items, content_type=content_type, **headers)

    return post_batch


def test_structured(sender: Callable[..., Sender]) -> None:
    tokens_meter()
    at = clock.now() - timedelta(hours=1)
    message = to_structured(cloud_event(time=at, partitionkey="7", value="2.50", status="succeeded"), JSONFormat())
    answer = sender("ingest")(message.body, content_type=message.headers["content-type"])
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "duplicates": 0, "rejected": []})
    stored = Event.objects.get()
    assert (stored.reference, stored.type, stored.customer) == ("/gateways/eu-1 e1", "llm.request", "acme")
    assert (stored.timestamp, stored.value, stored.status) == (at, Decimal("2.5"), "succeeded")
    kept = {"source": "/gateways/eu-1", "id": "e1", "partitionkey": "7"}
    assert stored.properties == {**DATA, "cloudevent": kept}
    assert sorted(Bucket.objects.values_list("quantity", flat=True)) == [10, 100]


def test_a_batch(post: Callable[..., Any]) -> None:
    answer = post(cloud_event("e1"), cloud_event("e2", status="failed"), cloud_event("e1"))
    assert answer.json() == {"accepted": 2, "duplicates": 1, "rejected": []}
    assert dict(Event.objects.values_list("reference", "status")) == {
        "/gateways/eu-1 e1": "succeeded",
        "/gateways/eu-1 e2": "failed",
    }


def test_an_empty_batch(post: Callable[..., Any]) -> None:
    assert post().json() == {"accepted": 0, "duplicates": 0, "rejected": []}


def test_a_retry_counts_once_and_two_sources_may_use_one_id(post: Callable[..., Any]) -> None:
    """CloudEvents are told apart by source and id together."""
    first, other = cloud_event("e1"), cloud_event("e1", source="/gateways/eu-2")
    assert post(first, other).json()["accepted"] == 2
    assert post(first, other).json() == {"accepted": 0, "duplicates": 2, "rejected": []}


def test_source_and_id_cannot_be_mixed_up(post: Callable[..., Any]) -> None:
    """“a” with the id “b c” and “a b” with the id “c” would be one reference: a source has no space."""
    answer = post(cloud_event("b c", source="a"), cloud_event("c", source="a b"))
    assert answer.json()["accepted"] == 1
    (rejected,) = answer.json()["rejected"]
    assert (rejected["index"], rejected["code"], rejected["field"]) == (1, "invalid_source", "source")
    assert rejected["reference"] == "c"


def test_the_sender_chooses_the_reference(sender: Callable[..., Sender], post: Callable[..., Any]) -> None:
    """So that a call told as plain JSON and as a CloudEvent counts once."""
    assert sender("ingest")([event("call-1", timestamp=None)]).json()["accepted"] == 1
    assert post(cloud_event(reference="call-1")).json() == {"accepted": 0, "duplicates": 1, "rejected": []}


def test_without_data_time_and_content_type(post: Callable[..., Any]) -> None:
    bare = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "acme", "data": None, "time": None}
    assert post(bare).json()["accepted"] == 1
    stored = Event.objects.get()
    assert stored.properties == {"cloudevent": {"id": "1", "source": "s"}}
    assert stored.timestamp - datetime.now(UTC) < timedelta(minutes=1)


@pytest.mark.parametrize("kind", ["application/json", "application/vnd.acme.call+json; charset=utf-8", "text/json"])
def test_kinds_of_json(post: Callable[..., Any], kind: str) -> None:
    assert post(cloud_event(datacontenttype=kind)).json()["accepted"] == 1


def test_numbers_stay_exact(post: Callable[..., Any], sender: Callable[..., Sender]) -> None:
    body = json.dumps(written(cloud_event(data={"x": "N"}))).replace('"N"', "0.1000000000000000055511151231257827")
    assert sender("ingest")(body.encode(), content_type=BATCH).json()["accepted"] == 1
    assert Event.objects.get().properties["x"] == Decimal("0.1000000000000000055511151231257827")


def bad(**attributes: Any) -> dict[str, Any]:
    item = {**written(cloud_event())[0], **attributes}
    return {name: value for name, value in item.items() if value != "gone"}


OLD = "2020-01-01T00:00:00Z"
REJECTED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "no version": (bad(specversion="gone"), "missing_field", "specversion", "specversion is missing"),
    "another version": (
        bad(specversion="0.3"),
        "unsupported_specversion",
        "specversion",
        "“0.3”: only CloudEvents 1.0",
    ),
    "no id": (bad(id="gone"), "missing_field", "id", "id is missing"),
    "a number as id": (bad(id=7), "wrong_type", "id", "id is 7: send a text"),
    "no source": (bad(source=""), "missing_field", "source", "source is missing"),
    "no subject": (bad(subject="gone"), "missing_field", "subject", "subject is missing"),
    "empty subject": (bad(subject=" "), "empty_field", "subject", "subject is empty"),
    "a list as subject": (bad(subject=["acme"]), "wrong_type", "subject", "subject is an object or a list"),
    "no type": (bad(type="gone"), "missing_field", "type", "type is missing"),
    "no time": (bad(time="yesterday"), "invalid_timestamp", "time", "time is “yesterday”"),
    "old": (bad(time=OLD), "too_old", "time", "time is 2020-01-01T00:00:00Z, more than 35 days"),
    "xml": (bad(datacontenttype="application/xml"), "unsupported_data", "datacontenttype", "only JSON"),
    "bytes": (bad(data="gone", data_base64="AAE="), "unsupported_data", "data_base64", "send a JSON object in data"),
    "a text as data": (bad(data="text"), "wrong_type", "data", "data is no JSON object"),
    "our name": (bad(data={"cloudevent": 1}), "reserved_property", "data.cloudevent", "give yours another name"),
    "a capital": (bad(Time=OLD), "unknown_field", "Time", "small letters and digits"),
    "an object beside data": (bad(extra={"a": 1}), "wrong_type", "extra", "put it into data"),
    "too long": (bad(source="s" * 253), "too_long", "source", "253 and 2 characters; at most 254"),
    "a status": (bad(status="done"), "unknown_status", "status", "send “succeeded” or “failed”"),
    "a value": (bad(value=True), "wrong_type", "value", "value is true"),
    "a huge number": (bad(data={"n": 10**40}), "number_out_of_range", "data.n", "data.n is a whole number"),
    "what a meter cannot count": (
        bad(data={"input_tokens": "0.1234567890123"}),
        "value_too_precise",
        "data.input_tokens",
        "data.input_tokens is 0.1234567890123",
    ),
}


@pytest.mark.parametrize("case", REJECTED)
def test_rejected_in_the_words_of_the_cloudevent(post: Callable[..., Any], case: str) -> None:
    tokens_meter()
    item, code, field, message = REJECTED[case]
    answer = post(item, cloud_event("good"))
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    (rejected,) = answer.json()["rejected"]
    assert (rejected["index"], rejected["code"], rejected["field"]) == (0, code, field)
    assert message in rejected["message"]


def test_as_long_as_may_be(post: Callable[..., Any]) -> None:
    assert post(cloud_event("e1", source="s" * 252)).json()["accepted"] == 1
    assert post(cloud_event("e1", source="s" * 300, reference="short")).json()["accepted"] == 1


def test_one_is_not_a_batch(post: Callable[..., Any], sender: Callable[..., Sender]) -> None:
    answer = post(cloud_event(), content_type=STRUCTURED)
    assert (answer.status_code, BATCH in answer.json()["errors"][0]["message"]) == (400, True)
    answer = sender("ingest")(written(cloud_event())[0], content_type=BATCH)
    assert (answer.status_code, STRUCTURED in answer.json()["errors"][0]["message"]) == (400, True)


def test_binary_mode_is_not_taken(sender: Callable[..., Sender]) -> None:
    message = to_binary(cloud_event(datacontenttype="application/json"), JSONFormat())
    headers = {name: value for name, value in message.headers.items() if name != "content-type"}
    answer = sender("ingest")(message.body, content_type="application/json", **headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (415, "unsupported_media_type")
    assert "binary mode" in answer.json()["errors"][0]["message"]
