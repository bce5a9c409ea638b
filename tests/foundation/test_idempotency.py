"""Writes that are sent twice happen once."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from billing_site.foundation import idempotency
from billing_site.foundation.api_keys import create_key
from billing_site.foundation.models import ApiKey, IdempotentRequest
from tests.foundation import sample_api

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.foundation.sample_api")]


def send(caller: APIClient, body: dict[str, Any], key: str | None = "k1", address: str = "/v1/rename") -> Any:
    headers = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    return caller.post(address, json.dumps(body), content_type="application/json", **headers)


def test_the_same_request_gives_the_same_answer_once(caller: APIClient, key: ApiKey) -> None:
    first = send(caller, {"name": "one"})
    ApiKey.objects.filter(pk=key.pk).update(name="changed since")
    second = send(caller, {"name": "one"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content == '{"name":"one","zebra":1,"amount":"12.30","angle":"é"}'.encode()
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    key.refresh_from_db()
    assert key.name == "changed since"


def test_an_answer_without_a_body_is_repeated_too(caller: APIClient, key: ApiKey) -> None:
    first = caller.delete("/v1/rename", HTTP_IDEMPOTENCY_KEY="d")
    second = caller.delete("/v1/rename", HTTP_IDEMPOTENCY_KEY="d")
    assert (first.status_code, second.status_code, second.content) == (204, 204, b"")
    assert second["Idempotent-Replayed"] == "true"


def test_another_body_under_the_same_key_is_a_conflict(caller: APIClient, key: ApiKey) -> None:
    send(caller, {"name": "one"})
    answer = send(caller, {"name": "two"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "idempotency_key_reused")
    key.refresh_from_db()
    assert key.name == "one"


def test_a_key_belongs_to_its_operation_and_its_caller(
    caller: APIClient, client_with: Callable[..., APIClient], key: ApiKey
) -> None:
    _, other = create_key("another", ["write"])
    assert send(caller, {"name": "one"}).json()["name"] == "one"
    assert send(caller, {"name": "one"}, address="/v1/rename/s").json()["name"] == "ones"
    assert caller.delete("/v1/rename", HTTP_IDEMPOTENCY_KEY="k1").status_code == 204
    assert "Idempotent-Replayed" not in send(client_with(other), {"name": "one"})
    assert IdempotentRequest.objects.count() == 4


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "idempotency_key_missing"),
        ("", "idempotency_key_missing"),
        ("  ", "idempotency_key_missing"),
        ("k" * 256, "idempotency_key_invalid"),
        ("schlüssel", "idempotency_key_invalid"),
    ],
)
def test_a_write_without_a_usable_key_does_nothing(
    caller: APIClient, key: ApiKey, given: str | None, code: str
) -> None:
    answer = send(caller, {"name": "one"}, key=given)
    assert answer.status_code == 400
    assert [(e["code"], e["field"]) for e in answer.json()["errors"]] == [(code, "Idempotency-Key")]
    key.refresh_from_db()
    assert key.name == "gateway"


def test_reading_needs_no_key(caller: APIClient) -> None:
    assert caller.get("/v1/keys").status_code == 200


@pytest.mark.parametrize(("then", "status"), [("refuse", 422), ("answer_400", 400), ("break", 500)])
def test_what_failed_changed_nothing_and_may_be_sent_again(
    caller: APIClient, key: ApiKey, then: str, status: int
) -> None:
    assert send(caller, {"name": "one", "then": then}).status_code == status
    key.refresh_from_db()
    assert key.name == "gateway"
    assert not IdempotentRequest.objects.exists()
    mended = send(caller, {"name": "one"})
    assert mended.status_code == 201
    assert "Idempotent-Replayed" not in mended


def test_a_process_that_ends_before_the_answer_is_kept_has_done_nothing(
    caller: APIClient, key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write and its answer are one transaction: without the one there is not the other."""

    def end(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(idempotency, "_keep", end)
        with pytest.raises(SystemExit):
            send(caller, {"name": "one"})
    key.refresh_from_db()
    assert key.name == "gateway"
    assert "Idempotent-Replayed" not in send(caller, {"name": "one"})


def test_who_lacks_the_scope_claims_no_key(client_with: Callable[..., APIClient]) -> None:
    _, secret = create_key("reader", ["read"])
    assert send(client_with(secret), {"name": "one"}).status_code == 403
    assert not IdempotentRequest.objects.exists()


def test_a_very_long_address_is_refused(caller: APIClient) -> None:
    answer = send(caller, {"name": "one"}, address="/v1/rename/" + "s" * 600)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "address_too_long")


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_executes_and_the_other_gets_its_answer(
    key_and_secret: tuple[ApiKey, str], client_with: Callable[..., APIClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    executed, inside, go_on = [], threading.Event(), threading.Event()
    usual = sample_api.Rename.post

    def slow(self: Any, request: Any, suffix: str = "") -> Any:
        executed.append(threading.get_ident())
        inside.set()
        assert go_on.wait(20)
        return usual(self, request, suffix)

    def request() -> Any:
        try:
            return send(client_with(key_and_secret[1]), {"name": "one"})
        finally:
            connection.close()

    monkeypatch.setattr(sample_api.Rename, "post", slow)
    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(request)
        assert inside.wait(20)
        second = callers.submit(request)
        wait_for_a_waiter()
        go_on.set()
        answers = [first.result(20), second.result(20)]
    assert len(executed) == 1
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert ["Idempotent-Replayed" in answer for answer in answers] == [False, True]


@pytest.mark.django_db(transaction=True)
def test_when_the_first_takes_too_long_the_second_hears_so(
    key_and_secret: tuple[ApiKey, str], client_with: Callable[..., APIClient], settings: Any
) -> None:
    settings.IDEMPOTENCY_WAIT_MS = 100
    row, secret = key_and_secret
    # What a request that is still at work has done so far: inserted its key, not committed.
    with ThreadPoolExecutor(1) as callers, transaction.atomic():
        IdempotentRequest.objects.create(api_key=row, operation="POST /v1/rename", key="k1", request_digest="0" * 64)

        def request() -> Any:
            try:
                return send(client_with(secret), {"name": "one"})
            finally:
                connection.close()

        answer = callers.submit(request).result(20)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "in_progress")
    row.refresh_from_db()
    assert row.name == "gateway"


def wait_for_a_waiter() -> None:
    """Until a session of this database waits for a lock."""
    for _ in range(400):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[0]:
                return
        threading.Event().wait(0.02)
    raise AssertionError("nobody waited")
