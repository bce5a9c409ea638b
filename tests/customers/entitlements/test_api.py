"""What a customer may, as programs ask for it."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation import clock
from catalog.models import Feature
from catalog.versions import publishing
from catalog.versions.publishing import create_feature, set_feature_values
from customers.entitlements.entitling import grant
from customers.models import Customer
from customers.subscriptions.subscribing import create_customer, subscribe
from meters.models import Backfill, Meter
from tests.customers import making
from tests.customers.conftest import Caller

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.fixture
def tokens(db: None) -> Meter:
    return making.meter("tokens", dimensions=["model"], unit="token")


@pytest.fixture
def acme(tokens: Meter) -> Customer:
    """On a plan of 1,000 tokens of the model a in each month, 3 seats, single sign-on, and two models."""
    customer = create_customer(reference="acme", name="Acme", timezone="Europe/Berlin", aliases=["a/b"])
    given: Mapping[Feature, object] = {
        create_feature(code="models", name="Models", kind="list", allowed=["small", "large", "huge"]): [
            "small",
            "large",
        ],
        create_feature(code="seats", name="Seats", kind="number"): 3,
        create_feature(code="sso", name="SSO", kind="switch"): True,
        create_feature(
            code="tokens", name="Tokens", kind="number", meter=tokens, window="month", filters={"model": ["a"]}
        ): 1000,
    }
    create_feature(code="audit", name="Audit", kind="switch")
    version = making.version()
    making.fee(version, "5")
    set_feature_values(version, given)
    subscribe(customer=customer, version=publishing.publish(version), starts_on=date(2026, 1, 1))
    making.use("acme", tokens, datetime(2026, 3, 2, 8, tzinfo=UTC), "400.5", {"model": "a"})
    making.use("a/b", tokens, datetime(2026, 3, 19, 8, tzinfo=UTC), 100, {"model": "a"})
    making.use("acme", tokens, datetime(2026, 3, 19, 8, tzinfo=UTC), 9999, {"model": "b"})
    return customer


def errors(answer: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


def check(writer: Caller, feature: str, **asked: str) -> Any:
    return writer.get(f"/v1/customers/acme/entitlements/{feature}/check", **asked)


NOT_COUNTED = {
    "used": None,
    "remaining": None,
    "unit": None,
    "window": None,
    "resets_at": None,
    "still_counting": False,
}
TOKENS = {
    "feature": "tokens",
    "name": "Tokens",
    "kind": "number",
    "value": "1000",
    "source": "subscription",
    "used": "500.5",
    "remaining": "499.5",
    "unit": "token",
    "window": "month",
    "resets_at": "2026-04-01T00:00:00+02:00",
    "still_counting": False,
}


def test_every_feature_with_what_is_used_of_it(writer: Caller, acme: Customer) -> None:
    grant(acme, Feature.objects.get(code="seats"), "unlimited", reason="x")
    answer = writer.get("/v1/customers/a%2Fb/entitlements")

    assert answer.status_code == 200
    given = {"source": "subscription", **NOT_COUNTED}
    assert answer.json() == {
        "customer": "acme",
        "data": [
            {**given, "feature": "audit", "name": "Audit", "kind": "switch", "value": False, "source": "none"},
            {**given, "feature": "models", "name": "Models", "kind": "list", "value": ["small", "large"]},
            {
                **given,
                "feature": "seats",
                "name": "Seats",
                "kind": "number",
                "value": "unlimited",
                "source": "override",
            },
            {**given, "feature": "sso", "name": "SSO", "kind": "switch", "value": True},
            TOKENS,
        ],
    }


def test_a_check_says_yes_or_no_and_why(writer: Caller, acme: Customer) -> None:
    message = "500.5 of 1,000 “Tokens” are used, 499.5 are left until 2026-04-01 00:00: "
    assert check(writer, "tokens", quantity="499.5").json() == {
        "allowed": True,
        "reason": "within_limit",
        "message": message + "499.5 more fit.",
        **TOKENS,
    }
    assert check(writer, "tokens", quantity="499.6").json() == {
        "allowed": False,
        "reason": "limit_exceeded",
        "message": message + "499.6 more do not fit.",
        **TOKENS,
    }


@pytest.mark.parametrize(
    ("feature", "asked", "allowed", "reason"),
    [
        ("tokens", {}, True, "within_limit"),
        ("sso", {}, True, "included"),
        ("audit", {}, False, "not_included"),
        ("seats", {"quantity": "3"}, True, "within_limit"),
        ("seats", {"quantity": "4"}, False, "limit_exceeded"),
        ("models", {"value": "large"}, True, "included"),
        ("models", {"value": "huge"}, False, "value_not_included"),
        ("models", {"value": ""}, False, "value_not_included"),
    ],
)
def test_each_kind_is_checked_in_its_way(
    writer: Caller, acme: Customer, feature: str, asked: dict[str, str], allowed: bool, reason: str
) -> None:
    answer = check(writer, feature, **asked)

    assert answer.status_code == 200
    assert (answer.json()["allowed"], answer.json()["reason"]) == (allowed, reason)


@pytest.mark.parametrize(
    ("feature", "asked", "status", "fault"),
    [
        ("sso", {"quantity": "1"}, 422, ("quantity", "quantity_unused")),
        ("sso", {"value": "x"}, 422, ("value", "value_unused")),
        ("tokens", {"value": "x"}, 422, ("value", "value_unused")),
        ("models", {"quantity": "1", "value": "small"}, 422, ("quantity", "quantity_unused")),
        ("models", {}, 422, ("value", "value_missing")),
        ("tokens", {"quantity": "-1"}, 422, ("quantity", "quantity_invalid")),
        ("tokens", {"quantity": "many"}, 422, ("quantity", "quantity_invalid")),
        ("tokens", {"quantity": "0.0000000000001"}, 422, ("quantity", "quantity_invalid")),
        ("tokens", {"quantity": "1", "amount": "2"}, 400, ("amount", "parameter_unknown")),
    ],
)
def test_what_does_not_go_with_the_kind_is_refused(
    writer: Caller, acme: Customer, feature: str, asked: dict[str, str], status: int, fault: tuple[str, str]
) -> None:
    answer = check(writer, feature, **asked)

    assert (answer.status_code, errors(answer)) == (status, [fault])


def test_what_there_is_not_is_told_with_what_could_be_meant(writer: Caller, acme: Customer) -> None:
    create_customer(reference="acme-eu", name="Acme EU")
    for path, code, says in [
        ("/v1/customers/acmee/entitlements", "customer_unknown", "Did you mean “acme” or “acme-eu”?"),
        ("/v1/customers/zzz/entitlements", "customer_unknown", "No customer is known by “zzz”."),
        ("/v1/customers/acme/entitlements/token/check", "feature_unknown", "Did you mean “tokens”?"),
        ("/v1/customers/acme/entitlements/zzz/check", "feature_unknown", "There is no feature “zzz”."),
        ("/v1/customers/acme/entitlements/a%00/check", "feature_unknown", "There is no feature"),
    ]:
        answer = writer.get(path)
        assert answer.status_code == 404
        assert (says in answer.json()["errors"][0]["message"], errors(answer)) == (True, [("", code)])
    assert errors(writer.get("/v1/customers/acme/entitlements", feature="x")) == [("feature", "parameter_unknown")]


def test_a_meter_that_still_counts_says_so_and_stops_nobody(writer: Caller, acme: Customer, tokens: Meter) -> None:
    Backfill.objects.create(meter=tokens, generation=1, start=10, cursor=53, boundary=110)

    unknown = {**TOKENS, "used": None, "remaining": None, "still_counting": True}
    assert writer.get("/v1/customers/acme/entitlements").json()["data"][-1] == unknown
    answer = check(writer, "tokens", quantity="900").json()
    assert (answer["allowed"], answer["reason"], answer["used"]) == (True, "usage_still_counting", None)
    assert check(writer, "tokens", quantity="1001").json()["reason"] == "limit_exceeded"


def test_a_reference_may_hold_slashes_but_no_ending_of_an_address(writer: Caller, acme: Customer) -> None:
    create_customer(reference="x/entitlements/y", name="Slashes")

    assert writer.get("/v1/customers/x%2Fentitlements%2Fy/entitlements").json()["customer"] == "x/entitlements/y"
    assert writer.get("/v1/customers/x/entitlements/y").json()["reference"] == "x/entitlements/y"
    for reference in ("x/entitlements", "x/entitlements/tokens/check"):
        refused = writer.post("/v1/customers", {"reference": reference, "name": "x"})
        assert (refused.status_code, errors(refused)) == (422, [("reference", "reference_reserved")])


@pytest.mark.parametrize("path", ["entitlements", "entitlements/tokens/check"])
def test_four_queries_with_the_keys_own(writer: Caller, acme: Customer, path: str) -> None:
    writer.get(f"/v1/customers/acme/{path}")  # notes the use of the key, reads features and versions
    with CaptureQueriesContext(connection) as few:
        writer.get(f"/v1/customers/acme/{path}")
    tokens = Meter.objects.get()
    for number in range(45):
        create_feature(code=f"more-{number}", name="More", kind="number", meter=tokens, window="day")
    writer.get(f"/v1/customers/acme/{path}")
    with CaptureQueriesContext(connection) as many:
        answer = writer.get(f"/v1/customers/acme/{path}")

    assert (len(few), len(many)) == (4, 4)
    assert path != "entitlements" or len(answer.json()["data"]) == 50


@pytest.mark.parametrize("path", ["entitlements", "entitlements/sso/check"])
def test_only_the_right_scope_may(caller: Callable[..., Caller], acme: Customer, path: str) -> None:
    address = f"/v1/customers/acme/{path}"

    assert caller().get(address).status_code == 401
    refused = caller("write", "ingest", "backfill", "correct").get(address)
    assert (refused.status_code, errors(refused)) == (403, [("", "scope_missing")])
    assert caller("read").get(address).status_code == 200
    assert caller("read", "write").post(address, {}).status_code == 405
