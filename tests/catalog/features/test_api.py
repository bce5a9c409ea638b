"""Features as programs make, read, change and delete them."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Feature
from catalog.versions.publishing import create_feature, publish, set_feature_value
from tests.catalog import making
from tests.customers.conftest import Caller

pytestmark = pytest.mark.django_db

SSO = {"code": "sso", "name": "SSO", "kind": "switch"}
WHOLE = {
    "code": "tokens",
    "name": "Tokens",
    "description": "Input of one model",
    "kind": "number",
    "meter": "llm_tokens",
    "filters": {"model": ["model-a"], "token_type": ["input"]},
    "window": "billing_period",
    "several": "sum",
    "allowed": [],
}
_keys = count(1)


@pytest.fixture
def writer(db: None) -> Caller:
    return Caller("read", "write")


def delete(caller: Caller, path: str) -> Any:
    return caller.client.delete(path, headers={"Idempotency-Key": f"delete-{next(_keys)}"})


def errors(answer: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


def test_a_feature_is_made_read_changed_and_deleted(writer: Caller) -> None:
    making.tokens()
    made = writer.post("/v1/features", WHOLE)

    assert made.status_code == 201
    assert made.json() == {**WHOLE, "frozen_at": None, "created_at": made.json()["created_at"]}
    assert writer.get("/v1/features/tokens").json() == made.json()
    changed = writer.patch("/v1/features/tokens", {"meter": None, "window": "", "filters": {}, "name": "Renamed"})
    assert (changed.status_code, changed.json()["meter"], changed.json()["name"]) == (200, None, "Renamed")
    assert delete(writer, "/v1/features/tokens").status_code == 204
    assert errors(writer.get("/v1/features/tokens")) == [("", "feature_unknown")]
    assert errors(writer.get("/v1/features/%00")) == [("", "feature_unknown")]


@pytest.mark.parametrize(
    ("body", "status", "fault"),
    [
        ({**SSO, "colour": "red"}, 400, ("colour", "field_unknown")),
        ({**SSO, "frozen_at": None}, 400, ("frozen_at", "field_read_only")),
        ({"code": "sso", "kind": "switch"}, 400, ("name", "required")),
        ({**SSO, "kind": "colour"}, 400, ("kind", "invalid_choice")),
        ({**SSO, "name": ""}, 422, ("name", "blank")),
        ({**SSO, "name": "a\0b"}, 400, ("name", "null_characters_not_allowed")),
        ({**SSO, "code": "No"}, 422, ("code", "invalid")),
        ({**SSO, "window": "day"}, 422, ("window", "window_unused")),
        ({**SSO, "kind": "list"}, 422, ("allowed", "allowed_missing")),
        ({**SSO, "kind": "list", "allowed": "a"}, 400, ("allowed", "not_a_list")),
        ({**SSO, "kind": "number", "meter": "none"}, 422, ("meter", "meter_unknown")),
        ({**SSO, "kind": "number", "filters": {"a": []}}, 400, ("filters.a", "empty")),
    ],
)
def test_what_is_wrong_is_named(writer: Caller, body: dict[str, Any], status: int, fault: tuple[str, str]) -> None:
    answer = writer.post("/v1/features", body)

    assert (answer.status_code, errors(answer)) == (status, [fault])
    assert not Feature.objects.exists()


def test_a_code_is_given_once(writer: Caller) -> None:
    writer.post("/v1/features", SSO)
    answer = writer.post("/v1/features", SSO)

    assert (answer.status_code, errors(answer)) == (422, [("code", "code_taken")])
    assert Feature.objects.count() == 1


def test_what_somebody_has_stays(writer: Caller) -> None:
    listed = create_feature(code="models", name="Models", kind="list", allowed=["a", "b"])
    version = making.draft_with_fee()
    set_feature_value(version, listed, ["a"])
    publish(version)

    for body, fault in [
        ({"code": "other"}, ("code", "feature_frozen_conflict")),
        ({"kind": "switch", "allowed": []}, ("kind", "feature_kind_conflict")),
        ({"allowed": ["b"]}, ("allowed", "value_in_use_conflict")),
    ]:
        answer = writer.patch("/v1/features/models", body)
        assert answer.status_code == 409
        assert fault in errors(answer)
    refused = delete(writer, "/v1/features/models")
    assert (refused.status_code, errors(refused)) == (409, [("", "feature_used_conflict")])
    assert writer.patch("/v1/features/models", {"allowed": ["a", "b", "c"]}).json()["allowed"] == ["a", "b", "c"]


def test_writes_happen_once(writer: Caller) -> None:
    first, again = (writer.post("/v1/features", SSO, key="once") for _ in range(2))

    assert (again.status_code, again.json()) == (201, first.json())
    assert Feature.objects.count() == 1
    assert writer.client.post("/v1/features", SSO, format="json").status_code == 400


def test_a_list_is_paged_and_costs_the_same_whatever_its_length(writer: Caller) -> None:
    tokens = making.tokens()
    create_feature(code="a", name="A", kind="number", meter=tokens, window="day")
    writer.get("/v1/features")
    with CaptureQueriesContext(connection) as few:
        writer.get("/v1/features")
    for number in range(20):
        create_feature(code=f"b{number:02}", name="B", kind="number", meter=tokens, window="day")
    with CaptureQueriesContext(connection) as many:
        first = writer.get("/v1/features", limit="20").json()

    assert len(few) == len(many) == 2
    assert [each["code"] for each in first["data"]][:2] == ["a", "b00"]
    rest = writer.get("/v1/features", limit="20", after=first["next"]).json()
    assert ([each["code"] for each in rest["data"]], rest["next"]) == (["b19"], None)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("get", "/v1/features", "read"),
        ("post", "/v1/features", "write"),
        ("get", "/v1/features/sso", "read"),
        ("patch", "/v1/features/sso", "write"),
        ("delete", "/v1/features/sso", "write"),
    ],
)
def test_only_the_right_scope_may(caller: Callable[..., Caller], method: str, path: str, scope: str) -> None:
    create_feature(**SSO)

    def call(*scopes: str) -> Any:
        if method == "delete":
            return delete(caller(*scopes), path)
        return getattr(caller(*scopes), method)(path, *(() if method == "get" else ({"name": "Changed"},)))

    assert call().status_code == 401
    refused = call(*({"read", "write", "ingest", "backfill", "correct"} - {scope}))
    assert (refused.status_code, errors(refused)) == (403, [("", "scope_missing")])
    assert Feature.objects.get().name == "SSO"
    assert call(scope).status_code not in (401, 403)
