"""The costs of models as programs read and record them."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing_site.foundation.api_keys import create_key
from catalog.models import ModelCost
from tests.catalog.costing import own, price, read, rows, utc

pytestmark = pytest.mark.django_db

COSTS = "/v1/model-costs"


@pytest.fixture
def client_of() -> Callable[..., APIClient]:
    def make(*scopes: str) -> APIClient:
        client = APIClient(raise_request_exception=False)
        _, secret = create_key("pricing job", list(scopes))
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client

    return make


@pytest.fixture
def reader(client_of: Callable[..., APIClient]) -> APIClient:
    return client_of("read")


@pytest.fixture
def writer(client_of: Callable[..., APIClient]) -> APIClient:
    return client_of("publish")


@pytest.fixture
def acme() -> None:
    read(
        acme_1=price(input_mtok=["1.25", (200_000, "2.5")], output_mtok="10"),
        acme_2=price(input_mtok="0.1"),
        acme_3=price(),
    )


def post(client: APIClient, body: dict[str, Any], key: str = "one") -> Any:
    return client.post(COSTS, body, format="json", headers={"Idempotency-Key": key})


def entry(**changed: Any) -> dict[str, Any]:
    given = {"provider": "acme", "model": "acme-1", "token_type": "input", "cost": "0.0000005"}
    return given | {"effective_from": "2026-05-01T10:00:00Z"} | changed


def test_a_model_with_every_cost(reader: APIClient, acme: None) -> None:
    answer = reader.get(f"{COSTS}/acme-1")
    assert answer.status_code == 200
    model: Any = answer.json()
    history = model.pop("history")
    usual = {"hours": None, "source": "package", "effective_from": None, "unit": "token"}
    assert model == {
        "name": "acme/acme-1",
        "provider": "acme",
        "model": "acme-1",
        "costs": [
            {"token_type": "input", "above": 0, "cost": "0.00000125", **usual},
            {"token_type": "input", "above": 200_000, "cost": "0.0000025", **usual},
            {"token_type": "output", "above": 0, "cost": "0.00001", **usual},
        ],
    }
    assert [(row["token_type"], row["action"], row["recorded_by"], row["note"]) for row in history] == [
        ("output", "costs", "edition 1", ""),
        ("input", "costs", "edition 1", ""),
        ("input", "costs", "edition 1", ""),
    ]


def test_by_any_name(reader: APIClient, acme: None) -> None:
    for name in ("acme/acme-1", "ACME-1", quote("acme/acme-1", safe=""), "litellm_proxy/acme/acme-1"):
        assert reader.get(f"{COSTS}/{name}").json()["name"] == "acme/acme-1"


def test_at_an_instant(reader: APIClient, acme: None) -> None:
    own("0.0000005", effective_from=utc(2026, 5, 1, 10), above=200_000)
    for at, found in (("2026-05-01T09:59:59Z", "0.0000025"), ("2026-05-01T13:00:00%2B03:00", "0.0000005")):
        costs = reader.get(f"{COSTS}/acme-1?at={at}").json()["costs"]
        assert costs[1]["cost"] == found
        (model,) = reader.get(f"{COSTS}?at={at}&model=acme-1").json()["data"]
        assert model["costs"] == costs
    assert costs[1]["effective_from"] == "2026-05-01T10:00:00Z"


@pytest.mark.parametrize("at", ["yesterday", "2026-05-01", "2026-05-01T10:00:00", "0000-01-01T00:00:00Z", ""])
def test_an_instant_that_is_none(reader: APIClient, acme: None, at: str) -> None:
    for address in (COSTS, f"{COSTS}/acme-1"):
        answer = reader.get(address, {"at": at})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "at"


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00%2B10:00"])
def test_instants_at_the_ends_of_time(reader: APIClient, acme: None, at: str) -> None:
    assert reader.get(f"{COSTS}?at={at}").status_code in (200, 400)


def test_an_unknown_name_is_answered_with_those_like_it(reader: APIClient, acme: None) -> None:
    answer = reader.get(f"{COSTS}/acme-11")
    assert answer.status_code == 404
    (error,) = answer.json()["errors"]
    assert error["code"] == "model_unknown"
    assert "Like it: acme/acme-1" in error["message"]
    assert reader.get(f"{COSTS}/%00").status_code == 404


def test_lists_page_by_page_and_by_filter(reader: APIClient, acme: None) -> None:
    own("1", name="home/our-llm")

    def names(**asked: Any) -> list[str]:
        return [model["name"] for model in reader.get(COSTS, asked).json()["data"]]

    first = reader.get(COSTS, {"limit": 2}).json()
    assert [model["name"] for model in first["data"]] == ["acme/acme-1", "acme/acme-2"]
    assert names(after=first["next"]) == ["acme/acme-3", "home/our-llm"]
    assert names(provider="home") == ["home/our-llm"]
    assert names(provider="nobody") == names(model="nothing") == names(provider="a\0") == []
    assert names(model="our-llm") == ["home/our-llm"]
    assert names(model="acme-1", provider="home") == []


def test_the_number_of_queries_does_not_grow(reader: APIClient, acme: None) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert reader.get(COSTS).status_code == 200
        return len(captured)

    queries()
    few = queries()
    read("edition 2", **{f"acme_{number}": price(input_mtok="1", output_mtok="2") for number in range(10, 60)})
    assert queries() == few


def test_an_own_cost_is_recorded(writer: APIClient, client_of: Callable[..., APIClient], acme: None) -> None:
    answer = post(writer, entry(note="Contract", hours={"start": 22, "end": 6}, above=200_000))
    assert answer.status_code == 201
    recorded = answer.json()
    assert recorded.pop("recorded_at")
    assert recorded == {
        "id": ModelCost.objects.get(source="own").pk,
        "token_type": "input",
        "above": 200_000,
        "hours": {"start": 22, "end": 6},
        "unit": "token",
        "cost": "0.0000005",
        "source": "own",
        "action": "costs",
        "effective_from": "2026-05-01T10:00:00Z",
        "recorded_by": "the API key “pricing job”",
        "note": "Contract",
    }
    night = client_of("read").get(f"{COSTS}/acme-1?at=2026-05-02T23:00:00Z").json()
    assert [row["cost"] for row in night["costs"]] == ["0.00000125", "0.0000005", "0.00001"]


def test_a_write_that_is_repeated_is_done_once(writer: APIClient, acme: None) -> None:
    first, second = post(writer, entry()), post(writer, entry())
    assert (second.headers["Idempotent-Replayed"], second.json()) == ("true", first.json())
    assert len(rows("own")) == 1
    assert post(writer, entry(cost="1")).status_code == 409


def test_an_end_and_a_new_model(writer: APIClient, acme: None) -> None:
    ended = post(writer, entry(cost=None), "end").json()
    assert (ended["cost"], ended["action"]) == (None, "ends")
    made = post(writer, entry(provider="home", model="Our LLM", effective_from=None), "new")
    assert made.status_code == 201
    assert made.json()["effective_from"].endswith(":00:00Z")


@pytest.mark.parametrize(
    ("changed", "field", "status"),
    [
        ({"cost": 0.1}, "cost", 400),
        ({"cost": "1e-6"}, "cost", 400),
        ({"cost": ""}, "cost", 400),
        ({"cost": "NaN"}, "cost", 400),
        ({"cost": "٣"}, "cost", 400),
        ({"cost": "-1"}, "cost", 422),
        ({"cost": "0.0000000000000001"}, "cost", 422),
        ({"token_type": "tokens"}, "token_type", 422),
        ({"provider": "A B"}, "provider", 422),
        ({"model": ""}, "model", 422),
        ({"above": -1}, "above", 400),
        ({"above": 3_000_000_000}, "above", 422),
        ({"above": "many"}, "above", 400),
        ({"hours": {"start": 5, "end": 5}}, "hours", 422),
        ({"hours": {"start": 5}}, "hours.end", 400),
        ({"hours": {"start": 5, "end": 24}}, "hours.end", 400),
        ({"effective_from": "2026-05-01T10:00:00"}, "effective_from", 400),
        ({"effective_from": "2099-05-01T10:00:00Z"}, "effective_from", 422),
        ({"effective_from": "9999-12-31T23:59:59-12:00"}, "effective_from", 400),
        ({"margin": "1"}, "margin", 400),
    ],
)
def test_what_is_wrong_is_named_and_nothing_recorded(
    writer: APIClient, changed: dict[str, Any], field: str, status: int
) -> None:
    answer = post(writer, entry(**changed))
    assert answer.status_code == status, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert rows() == []


def test_who_may(client_of: Callable[..., APIClient], acme: None) -> None:
    for address in (COSTS, f"{COSTS}/acme-1"):
        assert APIClient().get(address).status_code == 401
        refused = client_of("ingest", "write", "publish", "backfill").get(address)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "scope_missing")
    assert APIClient().post(COSTS, entry(), format="json").status_code == 401
    refused = post(client_of("read", "write", "ingest", "backfill", "correct"), entry())
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "scope_missing")
    assert client_of("read", "publish").delete(f"{COSTS}/acme-1").status_code == 405
    assert rows("own") == []
