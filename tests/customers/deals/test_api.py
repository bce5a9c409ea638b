"""Negotiated terms and coupons of a subscription by the API."""

from datetime import date
from typing import Any

import pytest

from billing_site.foundation.errors import Refused
from customers.models import Override, Redemption, Subscription
from customers.subscriptions import checks, subscribing
from tests.customers import making
from tests.customers.conftest import Caller
from tests.customers.dealing import coupon
from tests.invoicing.running import plan_with

pytestmark = pytest.mark.django_db
TERMS, COUPONS = "/v1/subscriptions/team%2Fmain/overrides", "/v1/subscriptions/team%2Fmain/coupons"
PRICE = {"what": "price", "charge": "charge-1", "starts_on": "2024-02-01", "reason": "Framework"}


@pytest.fixture
def writer(db: None) -> Caller:
    """Sets prices, and keeps subscriptions."""
    return Caller("read", "write", "publish")


@pytest.fixture
def subscription(db: None) -> Subscription:
    tokens = making.meter("tokens", ["model"])
    version = plan_with(tokens, advance="30", rows=[({"model": "a"}, "1"), ({}, "2")])
    customer = subscribing.create_customer(reference="acme", name="Acme", timezone="UTC", currency="USD")
    return subscribing.subscribe(customer=customer, version=version, starts_on=date(2024, 1, 1), reference="team/main")


def test_a_price_is_negotiated_listed_and_ended(writer: Caller, subscription: Subscription) -> None:
    tiers = {"model": "graduated", "tiers": [{"up_to": "1000", "unit_price": "0.02"}, {"unit_price": "0.01"}]}
    made = writer.post(TERMS, {**PRICE, "match": {"model": "a"}, "price": tiers, "ends_on": "2024-06-01"})
    assert made.status_code == 201, made.json()
    answer = made.json()
    [warning] = answer.pop("warnings")
    assert "100 times less than the plan's, 1 USD per unit" in warning
    assert answer == {
        "id": Override.objects.get().pk,
        "what": "price",
        "charge": "charge-1",
        "match": {"model": "a"},
        "price": {
            "model": "graduated",
            "tiers": [
                {"up_to": "1000", "unit_price": "0.02", "flat_price": "0"},
                {"unit_price": "0.01", "flat_price": "0"},
            ],
        },
        "quantity": None,
        "amount": None,
        "percent": None,
        "starts_on": "2024-02-01",
        "ends_on": "2024-06-01",
        "reason": "Framework",
        "created_at": answer["created_at"],
    }
    assert writer.get(TERMS).json()["data"] == [answer]
    ended = writer.post(f"{TERMS}/{answer['id']}/end", {"ends_on": "2024-03-01"})
    assert (ended.status_code, ended.json()["ends_on"]) == (200, "2024-03-01")
    assert writer.post(f"{TERMS}/{answer['id']}/end", {"ends_on": "2024-04-01"}).status_code == 409
    assert writer.post(f"{TERMS}/{2**63}/end", {"ends_on": "2024-04-01"}).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({**PRICE, "price": {"unit_price": "a lot"}}, 422, "price.unit_price"),
        ({**PRICE, "price": {"unit_prise": "1"}}, 422, "price.unit_prise"),
        ({**PRICE, "price": {"unit_price": "1"}, "match": {"model": ["a"]}}, 422, "match.model"),
        ({**PRICE, "price": {"unit_price": "1"}, "match": {"colour": "a"}}, 422, "match"),
        ({**PRICE, "price": {"unit_price": "1"}, "charge": "other"}, 422, "charge"),
        ({**PRICE, "what": "discount", "percent": 10}, 400, "percent"),
        ({**PRICE, "what": "discount", "percent": "110"}, 422, "percent"),
        ({**PRICE, "what": "fee", "amount": "5", "starts_on": "2023-12-31", "charge": "charge-0"}, 409, "starts_on"),
        ({**PRICE, "price": {"unit_price": "1"}, "reason": ""}, 422, "reason"),
        ({**PRICE, "prices": {}}, 400, "prices"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    writer: Caller, subscription: Subscription, body: dict[str, Any], status: int, field: str
) -> None:
    answer = writer.post(TERMS, body)
    assert answer.status_code == status, answer.json()
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert not Override.objects.exists()


def test_a_coupon_is_redeemed_once_whatever_is_sent_again(writer: Caller, subscription: Subscription) -> None:
    coupon(duration="periods", periods=2)
    body = {"code": "spring", "first_invoice_on": "2024-02-01"}
    made = writer.post(COUPONS, body, key="one")
    assert made.status_code == 201
    answer = made.json()
    assert answer == {
        "id": Redemption.objects.get().pk,
        "code": "SPRING",
        "name": "Spring",
        "redeemed_at": answer["redeemed_at"],
        "first_invoice_on": "2024-02-01",
        "until": "2024-04-01",
    }
    assert writer.post(COUPONS, body, key="one").json() == answer
    assert writer.post(COUPONS, body, key="two").status_code == 409
    assert writer.get(COUPONS).json()["data"] == [answer]
    ended = writer.post(f"{COUPONS}/{answer['id']}/end", {})
    assert (ended.status_code, ended.json()["until"]) == (200, "2024-02-01")
    assert writer.post(COUPONS, {"code": "other"}).json()["errors"][0]["code"] == "coupon_unknown"


def test_a_key_needs_the_scope(caller: Any, subscription: Subscription) -> None:
    reader, only_writes = caller("read"), caller("write", "publish")
    for path, other in ((TERMS, caller("read", "write")), (COUPONS, caller("read", "publish"))):
        assert other.post(path, PRICE).status_code == 403
        assert other.post(f"{path}/1/end", {}).status_code == 403
        assert only_writes.get(path).status_code == 403
        assert reader.get(path.replace("main", "other")).status_code == 404


@pytest.mark.parametrize("ending", ["/overrides", "/coupons", "/overrides/1/end"])
def test_a_reference_does_not_end_like_an_address(ending: str) -> None:
    with pytest.raises(Refused, match="ends in a word that the API's addresses end in"):
        checks.refuse_if(list(checks.reference_faults(f"main{ending}", "subscription")))


def test_a_number_that_is_no_text_is_quoted_as_it_has_to_be_sent(writer: Caller, subscription: Subscription) -> None:
    body = {**PRICE, "what": "minimum", "charge": "", "amount": 0.00001}
    [error] = writer.post(TERMS, body).json()["errors"]
    assert (error["field"], error["message"]) == ("amount", 'This is not a text; put it in quotes: "0.00001".')
