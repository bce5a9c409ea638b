"""Plans as programs read them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing_site.foundation.api_keys import create_key
from catalog.versions.publishing import clone_version, create_plan, publish, retire
from meters.models import Meter
from tests.catalog import making

pytestmark = pytest.mark.django_db


@pytest.fixture
def client_of() -> Callable[..., APIClient]:
    def make(*scopes: str) -> APIClient:
        client = APIClient(raise_request_exception=False)
        _, secret = create_key("reader", list(scopes))
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
        return client

    return make


@pytest.fixture
def reader(client_of: Callable[..., APIClient]) -> APIClient:
    return client_of("read")


def test_a_plan_with_every_price(reader: APIClient) -> None:
    version = publish(making.chatbot())
    answer = reader.get(f"/v1/plans/{version.plan.code}")
    assert answer.status_code == 200
    plan: Any = answer.json()
    base, calls, tokens = plan.pop("versions")[0]["charges"]
    assert plan == {
        "code": version.plan.code,
        "name": "Chatbot",
        "description": "",
        "consumption": "metered",
        "margin_floor": None,
        "next": None,
    }
    assert base == {
        "code": "base",
        "name": "Base",
        "kind": "flat",
        "product": "chatbot-api",
        "position": 0,
        "timing": "advance",
        "amount": "20.00",
        "meter": None,
        "unit": None,
        "dimensions": [],
        "unmatched": "hold",
        "included": None,
        "minimum": None,
        "cap": None,
        "cost_model": "",
        "cost_token_type": "",
        "cost_context": "",
        "rows": [],
        "lists": {},
    }
    assert (calls["meter"], calls["unit"], calls["dimensions"]) == ("api_calls", "call", [])
    assert [(row["match"], row["unit_price"]) for row in calls["rows"]] == [({}, "0.01")]
    assert tokens["dimensions"] == ["model", "token_type"]
    assert tokens["amount"] is None
    assert [(row["match"], row["unit_price"]) for row in tokens["rows"]] == [
        ({"model": "model-a", "token_type": "input"}, "0.00001"),
        ({"model": "model-a", "token_type": "output"}, "0.00002"),
        ({"model": "model-b", "token_type": "input"}, "0.000005"),
        ({"model": "model-b", "token_type": "output"}, "0.00001"),
    ]


def test_only_published_versions_the_newest_first(reader: APIClient) -> None:
    first = publish(making.chatbot())
    second, third = publish(clone_version(first)), publish(clone_version(first))
    clone_version(first)
    retire(second)
    (plan,) = reader.get("/v1/plans").json()["data"]
    assert plan["versions"] == [
        {
            "id": version.pk,
            "number": version.number,
            "name": f"Chatbot v{version.number}",
            "status": "published",
            "currency": "USD",
            "interval": "month",
            "grace_seconds": 3600,
            "published_at": version.published_at.isoformat().replace("+00:00", "Z"),
            "retired_at": None,
        }
        for version in (third, first)
        if version.published_at
    ]
    whole = reader.get(f"/v1/plans/{first.plan.code}").json()
    assert [version["number"] for version in whole["versions"]] == [3, 1]


def test_versions_are_read_some_at_a_time(reader: APIClient) -> None:
    versions = [publish(making.draft_with_fee())]
    while len(versions) < 12:
        versions.append(publish(clone_version(versions[-1])))
    retire(versions[4])
    drafted = clone_version(versions[-1])
    address = f"/v1/plans/{drafted.plan.code}"

    def shown(**asked: str) -> tuple[list[int], int | None]:
        answer = reader.get(address, asked).json()
        return [each["number"] for each in answer["versions"]], answer["next"]

    assert shown() == ([12, 11, 10, 9, 8, 7, 6, 4, 3, 2], 2)
    assert shown(before="2") == ([1], None)
    assert shown(before="1") == ([], None)
    assert shown(status="retired") == ([5], None)
    assert shown(status="draft,published,retired") == ([13, 12, 11, 10, 9, 8, 7, 6, 5, 4], 4)
    for wrong in ("0", "x", "-1", "9" * 30, "²"):
        answer = reader.get(address, {"before": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "before_invalid")


def test_lists_are_read_a_page_at_a_time(reader: APIClient) -> None:
    for code in ("c", "a", "b"):
        create_plan(code=code, name=code.upper())
    first = reader.get("/v1/plans", {"limit": 2}).json()
    assert [plan["code"] for plan in first["data"]] == ["a", "b"]
    second = reader.get("/v1/plans", {"limit": 2, "after": first["next"]}).json()
    assert ([plan["code"] for plan in second["data"]], second["next"]) == (["c"], None)


def test_the_number_of_queries_does_not_grow(reader: APIClient) -> None:
    version = publish(making.chatbot())

    def queries(address: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert reader.get(address).status_code == 200
        return len(captured)

    addresses = ("/v1/plans", f"/v1/plans/{version.plan.code}")
    for address in addresses:
        queries(address)  # what is asked for once in the life of a process or a key
    few = [queries(address) for address in addresses]
    for number in range(5):
        more = clone_version(version)
        making.usage(more, making.tokens(f"meter-{number}"), code="more")
        publish(more)
        publish(making.draft_with_fee())
    assert [queries(address) for address in addresses] == few


def test_who_may_read(client_of: Callable[..., APIClient]) -> None:
    create_plan(code="a", name="A")
    for address in ("/v1/plans", "/v1/plans/a"):
        assert APIClient().get(address).status_code == 401
        refused = client_of("ingest", "write", "backfill").get(address)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "scope_missing")
        assert client_of("read").put(address, {}).status_code == 405


@pytest.mark.parametrize("code", ["nothing", "UPPER", "%00", "a%20b", "ü"])
def test_a_plan_that_is_not_there(reader: APIClient, code: str) -> None:
    answer = reader.get(f"/v1/plans/{code}")
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == "plan_unknown"


def test_dimensions_of_a_meter_without_labels(reader: APIClient) -> None:
    version = making.draft()
    making.usage(version, making.calls(), [({}, making.Decimal(1))])
    Meter.objects.update(name="Renamed")
    publish(version)
    (charge,) = reader.get(f"/v1/plans/{version.plan.code}").json()["versions"][0]["charges"]
    assert charge["dimensions"] == []
