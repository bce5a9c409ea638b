"""POST /v1/events: every status, and what is in the database after it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

import psycopg
import pytest
import time_machine
from django.db import OperationalError, connection
from redis.exceptions import ConnectionError as RedisConnectionError
from rest_framework.test import APIClient

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key, revoke_key
from meters.ingestion import limiting
from meters.models import Bucket, Event, UsageChange
from tests.meters.conftest import Sender
from tests.meters.making import event, tokens_meter

pytestmark = pytest.mark.django_db


def fresh(reference: str = "r1", **changes: Any) -> dict[str, Any]:
    """An event of just now."""
    return event(reference, timestamp=clock.now().isoformat(), **changes)


@pytest.fixture
def post(sender: Callable[..., Sender]) -> Sender:
    return sender("ingest")


def test_accepted_means_stored_and_counted(post: Sender) -> None:
    tokens_meter()
    answer = post([fresh("r1"), fresh("r2"), fresh("r1")])
    assert answer.status_code == 200
    assert answer.json() == {"accepted": 2, "duplicates": 1, "rejected": []}
    assert sorted(Event.objects.values_list("reference", flat=True)) == ["r1", "r2"]
    assert sorted(Bucket.objects.values_list("quantity", "events")) == [(20, 2), (200, 2)]
    assert UsageChange.objects.count() == 1


def test_one_object(post: Sender) -> None:
    assert post(fresh()).json() == {"accepted": 1, "duplicates": 0, "rejected": []}


def test_all_duplicates_are_fine(post: Sender) -> None:
    sent = [fresh("r1"), fresh("r2")]
    post(sent)
    answer = post(sent)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "duplicates": 2, "rejected": []})


def test_no_events(post: Sender) -> None:
    answer = post([])
    assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "duplicates": 0, "rejected": []})


def test_good_ones_are_kept_beside_bad_ones(post: Sender) -> None:
    answer = post([fresh("r1"), fresh("r2", status="done"), {"reference": 3}])
    assert answer.status_code == 200
    assert answer.json() == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": [
            {
                "index": 1,
                "reference": "r2",
                "code": "unknown_status",
                "message": 'status is "done": send “succeeded” or “failed”.',
                "field": "status",
            },
            {
                "index": 2,
                "reference": None,
                "code": "wrong_type",
                "message": "reference is 3: send a text, in quotes.",
                "field": "reference",
            },
        ],
    }
    assert Event.objects.get().reference == "r1"


def test_nothing_but_bad_ones(post: Sender) -> None:
    answer = post([fresh(status="done"), 1])
    assert answer.status_code == 422
    assert (answer.json()["accepted"], [each["index"] for each in answer.json()["rejected"]]) == (0, [0, 1])
    assert not Event.objects.exists()


def test_what_a_meter_cannot_count_exactly_is_rejected(post: Sender) -> None:
    tokens_meter()
    precise = fresh("r1", properties={"input_tokens": "0.1234567890123"})
    answer = post([precise, fresh("r2", type="other", properties=precise["properties"])])
    assert answer.json()["accepted"] == 1
    (rejected,) = answer.json()["rejected"]
    assert (rejected["code"], rejected["field"]) == ("value_too_precise", "properties.input_tokens")


@pytest.mark.parametrize("body", [b"", b"[", b'[{"a": NaN}]', b"3", b"\xff"])
def test_malformed(post: Sender, body: bytes) -> None:
    answer = post(body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "malformed_json"


def test_no_key() -> None:
    answer = APIClient().post("/v1/events", [fresh()], format="json")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("state", ["unknown", "revoked", "expired"])
def test_keys_that_may_not(state: str) -> None:
    row, secret = create_key("gateway", ["ingest"], expires_at=clock.now() + timedelta(days=1))
    if state == "revoked":
        revoke_key(row)
    if state == "unknown":
        secret += "x"
    later = clock.now() + timedelta(days=2 if state == "expired" else 0)
    with time_machine.travel(later):
        headers = {"Authorization": f"Bearer {secret}"}
        answer = APIClient().post("/v1/events", [fresh()], format="json", headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, f"api_key_{state}")
    assert not Event.objects.exists()


def test_another_scope(sender: Callable[..., Sender]) -> None:
    answer = sender("read", "write", "backfill")([fresh()])
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, "scope_missing")
    assert not Event.objects.exists()


def test_only_post(post: Sender) -> None:
    _, secret = create_key("gateway", ["ingest"])
    assert APIClient().get("/v1/events", headers={"Authorization": f"Bearer {secret}"}).status_code == 405


def test_old_events_need_the_backfill_scope(sender: Callable[..., Sender]) -> None:
    old = event(timestamp=(clock.now() - timedelta(days=36)).isoformat())
    refused = sender("ingest")([old])
    assert refused.status_code == 422
    assert refused.json()["rejected"][0]["code"] == "too_old"
    assert sender("ingest", "backfill")([old]).json()["accepted"] == 1


def test_too_many_events(post: Sender, settings: Any) -> None:
    settings.INGEST_MAX_EVENTS = 2
    assert post([fresh("r1"), fresh("r2")]).status_code == 200
    answer = post([fresh("r3"), fresh("r4"), fresh("r5")])
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "too_many_events")
    assert Event.objects.count() == 2


def test_too_many_bytes(post: Sender, settings: Any) -> None:
    settings.INGEST_MAX_BYTES = 100
    answer = post(b"[" + b" " * 99 + b"]")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (413, "body_too_large")
    assert post(b"[" + b" " * 98 + b"]").status_code == 200


def test_a_body_that_is_said_to_be_too_long_is_not_read(post: Sender, settings: Any) -> None:
    with mock.patch("django.http.request.HttpRequest.read", side_effect=AssertionError):
        assert post(b"[]", **{"Content-Length": str(settings.INGEST_MAX_BYTES + 1)}).status_code == 413


def test_no_length(post: Sender) -> None:
    answer = post(b"[]", **{"Transfer-Encoding": "chunked"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (411, "length_required")
    answer = post(b"[]", **{"Content-Length": "²"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid_content_length")


@pytest.mark.parametrize(
    ("content_type", "headers", "code"),
    [
        ("text/plain", {}, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", {}, "unsupported_media_type"),
        ("application/json; charset=latin-1", {}, "unsupported_charset"),
        ("application/json", {"Content-Encoding": "br"}, "unsupported_content_encoding"),
        ("application/json", {"Content-Encoding": "gzip, gzip"}, "unsupported_content_encoding"),
        ("application/json", {"ce-specversion": "1.0"}, "unsupported_media_type"),
        ("application/cloudevents+xml", {}, "unsupported_media_type"),
    ],
)
def test_another_kind_of_body(post: Sender, content_type: str, headers: dict[str, str], code: str) -> None:
    answer = post([fresh()], content_type=content_type, **headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (415, code)


def test_a_charset_that_is_utf8(post: Sender) -> None:
    assert post([fresh()], content_type='application/json; charset="UTF-8"').status_code == 200


def test_too_fast(sender: Callable[..., Sender], settings: Any) -> None:
    settings.INGEST_EVENTS_PER_SECOND = 1
    post, other = sender("ingest"), sender("ingest")
    with time_machine.travel("2026-03-10T12:00:03Z", tick=False):
        assert post([fresh(f"a{n}") for n in range(9)]).status_code == 200
        assert post([fresh(f"b{n}") for n in range(5)]).status_code == 200
        answer = post([fresh("c1")])
        assert (answer.status_code, answer["Retry-After"]) == (429, "8")
        assert answer.json()["errors"][0]["code"] == "too_many_requests"
        assert other([fresh("d1")]).status_code == 200
    counted = limiting._redis(settings.REDIS_URL)
    assert all(counted.ttl(name) > 0 for name in counted.scan_iter("ingest:*"))
    with time_machine.travel("2026-03-10T12:00:10Z", tick=False):
        assert post([fresh("c1")]).status_code == 200
    assert Event.objects.count() == 16


def test_the_limit_is_let_go_when_redis_is_away(post: Sender, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.INGEST_EVENTS_PER_SECOND = 0
    assert post([fresh("r1")]).status_code == 429
    monkeypatch.setattr(limiting._Pause, "until", 0.0)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert post([fresh("r2")]).status_code == 200
    assert limiting._Pause.until > 0
    with mock.patch.object(limiting, "_redis", side_effect=RedisConnectionError("asked again at once")):
        assert post([fresh("r3")]).status_code == 200
    monkeypatch.setattr(limiting._Pause, "until", 0.0)


def test_a_database_that_is_away(post: Sender) -> None:
    with mock.patch("meters.api.accept", side_effect=OperationalError("connection refused")):
        answer = post([fresh()])
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "database_unavailable")
    assert int(answer["Retry-After"]) > 0


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_breaks_inside(post: Sender) -> None:
    """The server ends the connection; the sender is told to come again, and then all is well."""
    connection.ensure_connection()
    assert connection.connection is not None
    victim = connection.connection.info.backend_pid
    original = psycopg.Connection.pipeline

    def cut(self: Any) -> Any:
        with psycopg.connect(connection.connection.info.dsn, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 1000)", [victim])
        return original(self)

    with mock.patch("psycopg.Connection.pipeline", cut):
        answer = post([fresh()])
    assert answer.status_code == 503
    connection.close()
    assert not Event.objects.exists()
    assert post([fresh()]).json()["accepted"] == 1


def test_the_schema_describes_every_answer(client: Any) -> None:
    schema = client.get("/v1/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    operation = schema["paths"]["/v1/events"]["post"]
    assert set(operation["responses"]) >= {"200", "400", "401", "403", "411", "413", "415", "422", "429", "503"}
    assert "oneOf" in operation["requestBody"]["content"]["application/json"]["schema"]
