"""Customers in the API, and who may not."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Alias, Customer
from customers.subscriptions.subscribing import create_customer
from tests.customers.conftest import Caller

pytestmark = pytest.mark.django_db

HOSTILE = [
    "team/acme",
    "/leading",
    "trailing/",
    "two//slashes",
    "with space",
    "100%",
    "a%41b",
    "question?mark=1&x",
    "hash#tag",
    "plus+sign",
    "semi;colon,comma",
    "quote\"'<b>&amp;",
    "שלום/עולם",
    "🦄",
    "x\u202ey",
    "名" * 255,
    "customers",
    "…",
]


def at(reference: str, rest: str = "") -> str:
    return f"/v1/customers/{quote(reference, safe='')}{rest}"


def errors(answer: object) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


def test_a_customer_is_created_retrieved_and_changed(writer: Caller) -> None:
    body = {
        "reference": "acme",
        "name": "Acme",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "email": "billing@acme.test",
        "tax_id": "DE123",
        "address": "1 Main St\nBerlin",
        "country": "DE",
        "aliases": ["a-2", "a-1"],
        "contacts": [{"name": "Ann", "email": "ann@acme.test", "role": "CFO"}],
    }
    made = writer.post("/v1/customers", body)
    assert made.status_code == 201
    expected = {**body, "aliases": ["a-1", "a-2"], "created_at": made.json()["created_at"]}
    assert made.json() == expected
    assert made.json()["created_at"].endswith("Z")
    assert writer.get("/v1/customers/acme").json() == expected
    assert writer.get("/v1/customers/a-1").json() == expected
    changed = writer.patch("/v1/customers/acme", {"name": "Acme SE", "aliases": [], "contacts": []})
    assert changed.status_code == 200
    assert changed.json() == {**expected, "name": "Acme SE", "aliases": [], "contacts": []}


def test_what_is_left_out_has_a_default(writer: Caller) -> None:
    made = writer.post("/v1/customers", {"reference": "acme", "name": "Acme"}).json()
    assert (made["currency"], made["timezone"], made["aliases"], made["contacts"]) == ("USD", "UTC", [], [])


@pytest.mark.parametrize("reference", HOSTILE)
def test_any_reference_can_be_addressed(writer: Caller, reference: str) -> None:
    assert writer.post("/v1/customers", {"reference": reference, "name": reference}).status_code == 201
    found = writer.get(at(reference))
    assert (found.status_code, found.json()["reference"], found.json()["name"]) == (200, reference, reference)
    assert writer.patch(at(reference), {"name": "New"}).json()["name"] == "New"
    assert writer.post(at(reference, "/aliases"), {"reference": f"{reference[:200]}-alias"}).status_code == 201
    usage = writer.get(at(reference, "/usage"), **{"from": "2023-11-01", "to": "2023-12-01"})
    assert (usage.status_code, usage.json()["customer"]) == (200, reference)


@pytest.mark.parametrize(
    "reference", ["acme/usage", "/aliases", "..", "a/./b", "", " acme", "acme\t", "line\nbreak", "bell\x07"]
)
def test_a_reference_that_no_address_can_hold_is_refused(writer: Caller, reference: str) -> None:
    answer = writer.post("/v1/customers", {"reference": reference, "name": "Acme"})
    assert answer.status_code == 422
    assert [field for field, _ in errors(answer)] == ["reference"]
    assert not Customer.objects.exists()


@pytest.mark.parametrize("path", ["/v1/customers/nobody", "/v1/customers/%ff%fe"])
def test_an_unknown_customer_is_404(writer: Caller, path: str) -> None:
    answer = writer.get(path)
    assert (answer.status_code, errors(answer)) == (404, [("", "customer_unknown")])
    assert writer.patch(path, {"name": "x"}).status_code == 404


@pytest.mark.parametrize("path", ["/v1/customers/a%00b", "/v1/customers/a%00b/usage", "/v1/subscriptions/a%00b"])
def test_a_zero_character_is_no_address(writer: Caller, path: str) -> None:
    assert writer.get(path).status_code == 404
    assert writer.patch(path, {"name": "x"}).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "fault"),
    [
        ({"name": "Acme"}, 400, ("reference", "required")),
        ({"reference": 7, "name": "Acme"}, 400, ("reference", "text_invalid")),
        ({"reference": "a", "name": None}, 400, ("name", "null")),
        ({"reference": "a", "name": "b", "curency": "EUR"}, 400, ("curency", "field_unknown")),
        ({"reference": "a\0", "name": "b"}, 400, ("reference", "null_characters_not_allowed")),
        ({"reference": "a", "name": "b", "aliases": "x"}, 400, ("aliases", "not_a_list")),
        ({"reference": "a", "name": "b", "contacts": [{"name": "c"}]}, 400, ("contacts.0.email", "required")),
        ({"reference": "a", "name": "b", "created_at": "2020-01-01"}, 400, ("created_at", "field_read_only")),
        ({"reference": "a", "name": "b", "currency": "XYZ"}, 422, ("currency", "currency_unknown")),
        ({"reference": "a", "name": "b" * 256}, 422, ("name", "max_length")),
        ([], 400, ("", "invalid")),
        ("text", 400, ("", "invalid")),
    ],
)
def test_bad_bodies(writer: Caller, body: object, status: int, fault: tuple[str, str]) -> None:
    answer = writer.post("/v1/customers", body)
    assert (answer.status_code, errors(answer)) == (status, [fault])
    assert not Customer.objects.exists()


def test_all_that_is_wrong_is_told_at_once(writer: Caller) -> None:
    answer = writer.post("/v1/customers", {"reference": 7, "curency": "EUR", "created_at": "2020-01-01"})
    assert sorted(errors(answer)) == [
        ("created_at", "field_read_only"),
        ("curency", "field_unknown"),
        ("name", "required"),
        ("reference", "text_invalid"),
    ]


def test_a_taken_reference_is_a_conflict(writer: Caller) -> None:
    create_customer(reference="acme", name="Acme", aliases=["a-1"])
    answer = writer.post("/v1/customers", {"reference": "a-1", "name": "Other"})
    assert (answer.status_code, errors(answer)) == (409, [("reference", "reference_conflict")])


def test_a_repeated_write_happens_once(writer: Caller) -> None:
    body = {"reference": "acme", "name": "Acme"}
    first = writer.post("/v1/customers", body, key="once")
    again = writer.post("/v1/customers", body, key="once")
    assert (again.status_code, again.json()) == (201, first.json())
    assert writer.post("/v1/customers", {**body, "name": "Other"}, key="once").status_code == 409
    assert writer.client.post("/v1/customers", body, format="json").status_code == 400
    assert Customer.objects.count() == 1


def test_an_alias_can_be_added(writer: Caller) -> None:
    create_customer(reference="acme", name="Acme")
    assert writer.post("/v1/customers/acme/aliases", {"reference": "x/usage"}).json()["aliases"] == ["x/usage"]
    assert writer.post("/v1/customers/acme/aliases", {"reference": "x/usage"}).json()["aliases"] == ["x/usage"]
    create_customer(reference="other", name="Other")
    assert writer.post("/v1/customers/other/aliases", {"reference": "acme"}).status_code == 409
    assert Alias.objects.filter(own=False).count() == 1


def test_a_list_is_paged_in_the_order_of_references(writer: Caller) -> None:
    for reference in ("c", "a", "B", "ä"):
        create_customer(reference=reference, name=reference)
    first = writer.get("/v1/customers", limit="3").json()
    assert [customer["reference"] for customer in first["data"]] == ["B", "a", "c"]
    second = writer.get("/v1/customers", limit="3", after=first["next"]).json()
    assert [customer["reference"] for customer in second["data"]] == ["ä"]
    assert second["next"] is None


def test_a_list_costs_the_same_whatever_its_length(writer: Caller) -> None:
    create_customer(reference="first", name="x", aliases=["f"])
    writer.get("/v1/customers")
    with CaptureQueriesContext(connection) as few:
        writer.get("/v1/customers")
    for number in range(20):
        create_customer(
            reference=f"c{number}", name="x", aliases=[f"a{number}"], contacts=[{"name": "n", "email": "a@b.test"}]
        )
    with CaptureQueriesContext(connection) as many:
        writer.get("/v1/customers")
    assert len(many) == len(few)


ENDPOINTS = [
    ("get", "/v1/customers", "read"),
    ("post", "/v1/customers", "write"),
    ("get", "/v1/customers/acme", "read"),
    ("patch", "/v1/customers/acme", "write"),
    ("post", "/v1/customers/acme/aliases", "write"),
    ("get", "/v1/customers/acme/usage", "read"),
    ("get", "/v1/subscriptions", "read"),
    ("post", "/v1/subscriptions", "write"),
    ("get", "/v1/subscriptions/main", "read"),
    ("patch", "/v1/subscriptions/main", "write"),
]


@pytest.mark.parametrize(("method", "path", "scope"), ENDPOINTS)
def test_only_the_right_scope_may(caller: Callable[..., Caller], method: str, path: str, scope: str) -> None:
    create_customer(reference="acme", name="Acme")
    body = () if method == "get" else ({"name": "Changed"},)
    nobody = getattr(caller(), method)(path, *body)
    assert nobody.status_code == 401
    wrong = caller(*({"read", "write", "ingest", "backfill"} - {scope}))
    refused = getattr(wrong, method)(path, *body)
    assert (refused.status_code, errors(refused)) == (403, [("", "scope_missing")])
    assert Customer.objects.get().name == "Acme"
    assert getattr(caller(scope), method)(path, *body).status_code not in (401, 403)


@pytest.mark.parametrize(("method", "path", "_"), ENDPOINTS)
def test_other_methods_are_not_there(writer: Caller, method: str, path: str, _: str) -> None:
    assert writer.client.delete(path, headers={"Idempotency-Key": "x"}).status_code == 405
