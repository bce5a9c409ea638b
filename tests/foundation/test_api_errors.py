"""Every error of the API has one shape and tells no secrets."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from rest_framework.test import APIClient

from billing_site import dashboard

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.foundation.sample_api")]


def errors(answer: Any) -> list[tuple[str, str]]:
    body = answer.json()
    assert list(body) == ["errors"]
    for error in body["errors"]:
        assert sorted(error) == ["code", "field", "message"]
        assert error["message"]
    return [(error["code"], error["field"]) for error in body["errors"]]


@pytest.mark.parametrize(
    ("what", "status", "expected"),
    [
        ("refused", 422, [("too_late", "ends_on"), ("other", "")]),
        ("conflict", 409, [("version_conflict", "")]),
        ("missing", 404, [("not_found", "")]),
        ("model", 400, [("bad", "code"), ("invalid", "")]),
        ("database", 503, [("database_unavailable", "")]),
        ("bug", 500, [("internal_error", "")]),
    ],
)
def test_exceptions_have_one_shape(caller: APIClient, what: str, status: int, expected: list[tuple[str, str]]) -> None:
    answer = caller.get(f"/v1/raise/{what}")
    assert (answer.status_code, errors(answer)) == (status, expected)
    for secret in ("secret", "hunter2", 'internal"', "SELECT"):
        assert secret not in answer.content.decode()
    assert ("Retry-After" in answer) == (status == 503)


def test_nested_fields_are_named_with_dots(caller: APIClient) -> None:
    answer = caller.post("/v1/validate", {"rows": [{"price": "1.00"}, {"price": "x"}, {}]}, format="json")
    assert answer.status_code == 400
    assert errors(answer) == [("required", "name"), ("invalid", "rows.1.price"), ("required", "rows.2.price")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"rows": []}, "“name” is missing: send it."),
        ({"name": None, "rows": []}, "“name” is null: send a value."),
        ({"name": "", "rows": []}, "“name” is empty: write something."),
        ({"name": "n", "rows": [{}]}, "“price” is missing: send it."),
    ],
)
def test_what_was_left_out_is_named_and_how_to_mend_it(caller: APIClient, body: dict[str, Any], said: str) -> None:
    [error] = caller.post("/v1/validate", body, format="json").json()["errors"]
    assert error["message"] == said


def test_a_body_of_the_wrong_kind(caller: APIClient) -> None:
    assert errors(caller.post("/v1/validate", [1], format="json")) == [("invalid", "")]


def test_a_body_that_is_no_json(caller: APIClient) -> None:
    answer = caller.generic("POST", "/v1/raise/x", b"{", content_type="application/json")
    assert (answer.status_code, errors(answer)) == (400, [("parse_error", "")])
    assert answer.json()["errors"][0]["message"].startswith("The body is not valid JSON: Expecting property name")


def test_a_body_of_another_type(caller: APIClient) -> None:
    answer = caller.generic("POST", "/v1/raise/x", b"a=1", content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, errors(answer)) == (415, [("unsupported_media_type", "")])


def test_a_method_that_is_not_there(caller: APIClient) -> None:
    answer = caller.put("/v1/raise/x")
    assert (answer.status_code, errors(answer)) == (405, [("method_not_allowed", "")])
    assert answer.json()["errors"][0]["message"] == "PUT is not offered here, but GET, POST."


def test_a_body_that_is_too_large(caller: APIClient, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    answer = caller.post("/v1/rename", {"name": "x" * 50}, format="json", HTTP_IDEMPOTENCY_KEY="k")
    assert (answer.status_code, errors(answer)) == (413, [("body_too_large", "")])


def test_an_unhandled_exception_still_reaches_the_log_and_the_test(caller: APIClient) -> None:
    caller.raise_request_exception = True
    with pytest.raises(RuntimeError, match="SELECT secret"):
        caller.get("/v1/raise/bug")


@pytest.mark.urls("billing_site.urls")
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_address_of_the_api_is_404_in_json(client: Any, method: str) -> None:
    answer = getattr(client, method)("/v1/no/such/thing")
    assert (answer.status_code, errors(answer)) == (404, [("address_unknown", "")])


@pytest.mark.urls("billing_site.urls")
def test_an_unknown_page_is_a_short_page(client: Any) -> None:
    answer = client.get("/no-such-page")
    assert answer.status_code == 404
    assert "There is nothing at this address." in answer.content.decode()


@pytest.mark.urls("billing_site.urls")
def test_a_host_that_is_not_served_is_told_so_in_json(client: Any) -> None:
    answer = client.get("/v1/schema", HTTP_HOST="evil.example")
    assert (answer.status_code, errors(answer)) == (400, [("bad_request", "")])


@pytest.mark.urls("billing_site.urls")
def test_while_the_database_is_away_pages_say_so(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise OperationalError('connection to "db.internal" failed')

    monkeypatch.setattr(dashboard, "context", refuse)
    admin_client.raise_request_exception = False
    answer = admin_client.get("/admin/")
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert "The database is away" in answer.content.decode()
    assert "internal" not in answer.content.decode()


@pytest.mark.urls("billing_site.urls")
def test_a_bug_in_a_page_tells_nothing(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("SELECT secret")

    monkeypatch.setattr(dashboard, "context", fail)
    admin_client.raise_request_exception = False
    answer = admin_client.get("/admin/")
    assert answer.status_code == 500
    assert "Something went wrong" in answer.content.decode()
    assert "secret" not in answer.content.decode()
