"""Invoices in the API, and who may not read them."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.response import Response
from rest_framework.test import APIClient

from billing_site.foundation.api_keys import create_key
from customers.subscriptions.subscribing import add_alias
from invoicing.models import Invoice
from tests.customers import making
from tests.invoicing.running import plan_with, run, subscribed, utc

pytestmark = pytest.mark.django_db


def client(*scopes: str) -> APIClient:
    made = APIClient()
    if scopes:
        _, secret = create_key("reader", scopes)
        made.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    return made


def get(path: str, **query: Any) -> Response:
    return client("read").get(path, query)


@pytest.fixture
def invoice(db: None) -> Invoice:
    """1,234 requests of a model at 0.00001, and a fee: 5.01."""
    requests = making.meter("requests", dimensions=["model"], unit="request")
    subscribed(plan_with(requests, arrears="5", rows=[({"model": "a"}, "0.00001")]), "acme")
    making.use("acme", requests, utc(2024, 1, 2), 1234, {"model": "a"})
    run(utc(2024, 2, 1, 1))
    return Invoice.objects.get()


def test_an_invoice_with_its_lines_and_explanations(invoice: Invoice) -> None:
    answer = get(f"/v1/invoices/{invoice.pk}")
    assert answer.status_code == 200
    body = answer.json()
    assert {name: body[name] for name in ("id", "number", "status", "kind", "customer", "currency", "total")} == {
        "id": invoice.pk,
        "number": "INV-000001",
        "status": "finalized",
        "kind": "period",
        "customer": "acme",
        "currency": "USD",
        "total": "5.01",
    }
    assert (body["period_starts_on"], body["period_ends_on"], body["period_start"]) == (
        "2024-01-01",
        "2024-02-01",
        "2024-01-01T00:00:00Z",
    )
    assert body["bill_to"]["name"] == "Acme"
    fee, usage = body["lines"]
    assert (fee["description"], fee["quantity"], fee["unit_price"], fee["amount"]) == ("Support", "1", "5", "5.00")
    assert (usage["quantity"], usage["unit"], usage["unit_price"], usage["amount"]) == (
        "1234",
        "request",
        "0.00001",
        "0.01",
    )
    assert usage["dimensions"] == {"model": "a"}
    assert usage["explanation"]["row"]["match"] == {"model": "a"}
    assert usage["explanation"]["steps"] == ["1,234 request × 0.00001 = 0.01234", "rounded to 0.01"]


def test_the_list_is_the_newest_first_and_pages(invoice: Invoice) -> None:
    subscribed(plan_with(arrears="1"), "other", start=date(2023, 11, 1))
    run(utc(2024, 2, 1, 1))
    first = get("/v1/invoices", limit=3).json()
    assert [each["customer"] for each in first["data"]] == ["other"] * 3
    assert "lines" not in first["data"][0]
    second = get("/v1/invoices", limit=3, after=first["next"]).json()
    assert [each["customer"] for each in second["data"]] == ["acme"]
    assert second["next"] is None


def test_filters(invoice: Invoice) -> None:
    draft = subscribed(plan_with(arrears="1", grace=timedelta(days=1)), "other")
    run(utc(2024, 2, 1, 1))
    add_alias(invoice.customer, "acme-eu")

    def found(**query: str) -> list[str]:
        return [each["customer"] for each in get("/v1/invoices", **query).json()["data"]]

    assert found() == ["other", "acme"]
    assert found(customer="acme") == ["acme"]
    assert found(customer="acme-eu") == ["acme"]
    assert found(status="draft") == ["other"]
    assert found(subscription=draft.reference) == ["other"]
    assert found(subscription=draft.reference, status="finalized") == []
    assert found(subscription="nobody's") == []
    assert found(subscription="a\0b") == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/invoices?customer=nobody", 404, "customer_unknown"),
        ("/v1/invoices?status=open", 400, "status_invalid"),
        ("/v1/invoices?after=nonsense", 400, "cursor_invalid"),
        ("/v1/invoices/999999", 404, "invoice_unknown"),
        ("/v1/invoices/99999999999999999999999", 404, "invoice_unknown"),
        ("/v1/invoices/abc", 404, None),
    ],
)
def test_what_is_wrong_is_told(invoice: Invoice, path: str, status: int, code: str | None) -> None:
    answer = get(path)
    assert answer.status_code == status
    error = answer.json()["errors"][0]
    assert error["message"]
    if code:
        assert error["code"] == code


@pytest.mark.parametrize("path", ["/v1/invoices", "/v1/invoices/{id}"])
def test_who_may_not(invoice: Invoice, path: str) -> None:
    path = path.format(id=invoice.pk)
    assert client().get(path).status_code == 401
    for scope in ("ingest", "write", "backfill"):
        refused = client(scope).get(path)
        assert refused.status_code == 403
        assert refused.json()["errors"][0]["code"] == "scope_missing"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nobody_writes_invoices(invoice: Invoice, method: str) -> None:
    for path in ("/v1/invoices", f"/v1/invoices/{invoice.pk}"):
        assert getattr(client("read", "write"), method)(path).status_code in {403, 405}
    assert Invoice.objects.get().total == invoice.total


def test_currencies_keep_their_own_places() -> None:
    subscribed(plan_with(arrears="1000", currency="JPY"), "yen")
    run(utc(2024, 2, 1, 1))
    assert get("/v1/invoices").json()["data"][0]["total"] == "1000"


def test_a_page_costs_the_same_for_one_and_for_twenty() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert get("/v1/invoices").status_code == 200
        return len(captured)

    version = plan_with(arrears="1")
    subscribed(version, "first")
    run(utc(2024, 2, 1, 1))
    one = queries()
    for number in range(20):
        subscribed(version, f"customer-{number}")
    run(utc(2024, 2, 1, 1))
    assert queries() == one
