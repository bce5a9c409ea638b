"""Parameters that an operation does not know are refused by name, to whoever may call it at all."""

import pytest
from rest_framework.test import APIClient

from billing_site.foundation.api_keys import create_key

pytestmark = pytest.mark.django_db


def caller(*scopes: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {create_key('caller', scopes)[1]}")
    return client


@pytest.mark.parametrize(
    ("address", "name", "known"),
    [
        ("/v1/customers?referense=a", "referense", "the parameters are after, limit."),
        ("/v1/customers/acme?limit=1", "limit", "this operation takes none in its address."),
        ("/v1/customers/acme/usage?from=2026-03-01&window=day", "window", "the parameters are from, to, meter,"),
        ("/v1/subscriptions?plan=x", "plan", "the parameters are customer, after, limit."),
        ("/v1/plans?Limit=1", "Limit", "the parameters are status, after, limit."),
        ("/v1/plans/chat?version=1", "version", "the parameters are status, before."),
        ("/v1/invoices?custommer=a", "custommer", "the parameters are customer, subscription, status, after, limit."),
        ("/v1/invoices/1?lines=no", "lines", "takes none"),
        ("/v1/usage?groupby=model", "groupby", "group_by, after, limit, format, filter[…]."),
        ("/v1/usage?filter[]=x", "filter[]", "filter[…]."),
        ("/v1/usage?filter[a=x", "filter[a", "filter[…]."),
        ("/v1/usage?filter=x", "filter", "filter[…]."),
    ],
)
def test_reading(address: str, name: str, known: str) -> None:
    answer = caller("read").get(address)
    [fault] = answer.json()["errors"]
    assert (answer.status_code, fault["code"], fault["field"]) == (400, "parameter_unknown", name)
    assert fault["message"].startswith(f"There is no parameter “{name}”; ")
    assert known in fault["message"]


@pytest.mark.parametrize(
    "address", ["/v1/events?dry_run=1", "/v1/customers?after=x", "/v1/subscriptions?customer=acme"]
)
def test_writing(address: str) -> None:
    answer = caller("ingest", "write").post(address, [], format="json", headers={"Idempotency-Key": "k"})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "parameter_unknown"


def test_every_unknown_one_is_named() -> None:
    answer = caller("read").get("/v1/plans?b=1&a=1&limit=1")
    assert {fault["field"] for fault in answer.json()["errors"]} == {"a", "b"}


def test_nobody_learns_of_parameters_without_a_key_that_may() -> None:
    assert APIClient().get("/v1/plans?x=1").status_code == 401
    assert caller("ingest").get("/v1/plans?x=1").status_code == 403
