"""Subscriptions in the API."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import PlanVersion
from customers.models import Customer, Subscription
from customers.subscriptions.subscribing import create_customer
from tests.customers import making
from tests.customers.conftest import Caller

pytestmark = pytest.mark.django_db


def errors(answer: object) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


@pytest.fixture
def acme(db: None) -> Customer:
    return create_customer(reference="acme", name="Acme", timezone="Europe/Berlin", aliases=["a-1"])


@pytest.fixture
def version(db: None) -> PlanVersion:
    return making.published(name="Chatbot")


def test_a_subscription_is_created_and_ended(writer: Caller, acme: Customer, version: PlanVersion) -> None:
    body = {"customer": "a-1", "plan": version.plan.code, "starts_on": "2023-11-01", "reference": "team/main"}
    made = writer.post("/v1/subscriptions", body)
    assert made.status_code == 201
    assert made.json() == {
        "reference": "team/main",
        "customer": "acme",
        "plan": version.plan.code,
        "version": 1,
        "status": "active",
        "starts_on": "2023-11-01",
        "ends_on": None,
        "timezone": "Europe/Berlin",
        "alignment": "calendar",
        "named_events_only": False,
        "next_invoice_at": "2023-11-30T23:00:00Z",
        "created_at": made.json()["created_at"],
    }
    assert writer.get("/v1/subscriptions/team%2Fmain").json() == made.json()
    ended = writer.patch("/v1/subscriptions/team%2Fmain", {"ends_on": "2023-11-20"})
    assert ended.json() == {
        **made.json(),
        "status": "ended",
        "ends_on": "2023-11-20",
        "next_invoice_at": "2023-11-19T23:00:00Z",
        "warnings": [],
    }
    again = writer.patch("/v1/subscriptions/team%2Fmain", {"ends_on": None})
    assert again.json() == {**made.json(), "warnings": []}


def test_a_reference_is_made_when_none_is_given(writer: Caller, acme: Customer, version: PlanVersion) -> None:
    body = {"customer": "acme", "plan": version.plan.code, "starts_on": "2023-11-01"}
    reference = writer.post("/v1/subscriptions", body).json()["reference"]
    assert writer.get(f"/v1/subscriptions/{reference}").status_code == 200


def test_the_newest_published_version_is_taken_or_the_one_named(
    writer: Caller, acme: Customer, version: PlanVersion
) -> None:
    for number in (2, 3):
        draft = PlanVersion.objects.create(plan=version.plan, number=number)
        making.usage_charge(draft, making.meter())
        if number == 2:
            making.publish(draft)
    body = {"customer": "acme", "plan": version.plan.code, "starts_on": "2023-11-01"}
    assert writer.post("/v1/subscriptions", body).json()["version"] == 2
    assert writer.post("/v1/subscriptions", {**body, "version": 1}).json()["version"] == 1
    draft_named = writer.post("/v1/subscriptions", {**body, "version": 3})
    assert (draft_named.status_code, errors(draft_named)) == (422, [("version", "version_not_published")])


@pytest.mark.parametrize(
    ("changes", "status", "fault"),
    [
        ({"customer": "nobody"}, 422, ("customer", "customer_unknown")),
        ({"plan": "nothing"}, 422, ("plan", "plan_unknown")),
        ({"version": 99}, 422, ("plan", "plan_unknown")),
        ({"version": 10**30}, 422, ("plan", "plan_unknown")),
        ({"version": 0}, 400, ("version", "min_value")),
        ({"starts_on": "1 November"}, 400, ("starts_on", "invalid")),
        ({"starts_on": None}, 400, ("starts_on", "null")),
        ({"version": "two"}, 400, ("version", "invalid")),
        ({"named_events_only": "perhaps"}, 400, ("named_events_only", "invalid")),
        ({"starts_on": "0001-01-01"}, 422, ("starts_on", "date_out_of_range")),
        ({"ends_on": "2023-11-01"}, 422, ("ends_on", "ends_too_early")),
        ({"alignment": "weekly"}, 422, ("alignment", "alignment_unknown")),
        ({"reference": "taken"}, 409, ("reference", "reference_conflict")),
        ({"starts_at": "2023-11-01"}, 400, ("starts_at", "field_unknown")),
    ],
)
def test_bad_bodies(
    writer: Caller, acme: Customer, version: PlanVersion, changes: dict, status: int, fault: tuple[str, str]
) -> None:
    body = {"customer": "acme", "plan": version.plan.code, "starts_on": "2023-11-01"}
    other = making.published()
    writer.post("/v1/subscriptions", {**body, "plan": other.plan.code, "reference": "taken"})
    answer = writer.post("/v1/subscriptions", {**body, **changes})
    assert (answer.status_code, errors(answer)) == (status, [fault])
    assert Subscription.objects.count() == 1
    if fault[1] == "invalid":
        message = answer.json()["errors"][0]["message"]
        assert message.startswith(f'"{changes[fault[0]]}" cannot be read here: send ')


def test_an_overlap_names_the_other_subscription(writer: Caller, acme: Customer, version: PlanVersion) -> None:
    body = {"customer": "acme", "plan": version.plan.code, "starts_on": "2023-11-01", "reference": "one"}
    writer.post("/v1/subscriptions", body)
    answer = writer.post("/v1/subscriptions", {**body, "reference": "two"})
    assert (answer.status_code, errors(answer)) == (409, [("starts_on", "meter_conflict")])
    assert "“one” (Chatbot v1, from 2023-11-01)" in answer.json()["errors"][0]["message"]
    assert writer.post("/v1/subscriptions", {**body, "reference": "two", "named_events_only": True}).status_code == 201


@pytest.mark.parametrize("body", [{}, {"ends_on": "soon"}, {"starts_on": "2023-01-01", "ends_on": None}])
def test_only_the_end_changes(writer: Caller, acme: Customer, version: PlanVersion, body: dict) -> None:
    made = {"customer": "acme", "plan": version.plan.code, "starts_on": "2023-11-01", "reference": "main"}
    writer.post("/v1/subscriptions", made)
    assert writer.patch("/v1/subscriptions/main", body).status_code == 400


def test_an_unknown_subscription_is_404(writer: Caller) -> None:
    for path in ("/v1/subscriptions/none", "/v1/subscriptions/a/b"):
        assert errors(writer.get(path)) == [("", "subscription_unknown")]
        assert writer.patch(path, {"ends_on": None}).status_code == 404


def test_the_list_is_newest_first_and_can_be_of_one_customer(
    writer: Caller, acme: Customer, version: PlanVersion
) -> None:
    create_customer(reference="other", name="Other")
    for reference, customer in (("one", "acme"), ("two", "other")):
        body = {"customer": customer, "plan": version.plan.code, "starts_on": "2023-11-01", "reference": reference}
        writer.post("/v1/subscriptions", body)
    with CaptureQueriesContext(connection) as queries:
        everyone = writer.get("/v1/subscriptions").json()
    assert [each["reference"] for each in everyone["data"]] == ["two", "one"]
    assert len([query for query in queries if "customers_" in query["sql"] or "catalog_" in query["sql"]]) == 1
    assert [each["reference"] for each in writer.get("/v1/subscriptions", customer="a-1").json()["data"]] == ["one"]
    assert writer.get("/v1/subscriptions", customer="nobody").status_code == 404
