"""A negotiated price is held against cost, the margin floor and the plan's price: told, and never refused."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pgtrigger
import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.models import Charge, Plan
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from customers.deals import price_warnings
from customers.models import Override, Subscription
from tests.catalog.costing import own, utc
from tests.customers import making
from tests.customers.conftest import Caller
from tests.customers.dealing import wanted
from tests.invoicing.running import plan_with, subscribed

pytestmark = pytest.mark.django_db

D = Decimal
FEBRUARY = date(2024, 2, 1)
FAR_BELOW = "The negotiated price is 10 times less than the plan's, 10 USD per 1,000,000 token: look whether there is"


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(datetime(2024, 1, 10, 12, tzinfo=UTC), tick=False):
        yield


@pytest.fixture
def subscription(db: None) -> Subscription:
    """10 USD a million for gpt, which costs 2; 4 USD a million for any other model."""
    own("0.000002", name="acme/gpt", effective_from=utc(2023, 1, 1))
    tokens = making.meter("tokens", ["model"], unit="token")
    version = plan_with(tokens, rows=[({"model": "gpt"}, "0.00001"), ({}, "0.000004")])
    with pgtrigger.ignore():
        Charge.objects.update(cost_model="model")
    return subscribed(version)


def told(subscription: Subscription, price: str | Price, **match: str) -> list[str]:
    given = per_unit(D(price)) if isinstance(price, str) else price
    return price_warnings.warnings(subscription, wanted("price", FEBRUARY, charge="charge-0", match=match, price=given))


def floor(percent: str) -> None:
    Plan.objects.update(margin_floor=D(percent))


def test_a_price_below_cost_or_the_floor_is_told(subscription: Subscription) -> None:
    assert told(subscription, "0.000002", model="gpt") == []
    assert told(subscription, "0.0000019", model="gpt") == [
        "The negotiated price sells model = gpt at 1.9 USD per 1,000,000 token, which costs 2: ask for 2 or more."
    ]
    floor("20")
    subscription = Subscription.objects.select_related("customer", "version").get()
    [found] = told(subscription, "0.0000023", model="gpt")
    assert found.endswith("which costs 2: ask for 2.4 or more, the cost and 20 %.")
    assert told(subscription, "0.0000024", model="gpt") == []


@pytest.mark.parametrize(
    ("price", "match", "said"),
    [
        (
            "0.0001",
            {"model": "gpt"},
            "is 10 times the plan's, 10 USD per 1,000,000 token: look whether a zero is",
        ),
        ("0.0000999", {"model": "gpt"}, ""),
        ("0.0000004", {}, "is 10 times less than the plan's, 4 USD per 1,000,000 token"),
        ("0.00000041", {}, ""),
        ("0", {}, "is nothing; the plan's, 4 USD per 1,000,000 token."),
        # A row that the plan does not have: what would price it.
        ("0.0004", {"model": "other"}, "is 100 times the plan's, 4 USD per 1,000,000 token"),
        (Price(Model.PACKAGE, unit_price=D(40), size=D(1_000_000)), {}, "is 10 times the plan's"),
        (Price(Model.GRADUATED, tiers=(Tier(D(9), D(1)), Tier(None, D("0.000004")))), {}, ""),
        (Price(Model.FLAT, unit_price=D(99)), {}, ""),
        (Price(Model.COST_PLUS, percent=D(20)), {"model": "gpt"}, ""),
    ],
)
def test_a_price_far_from_the_plans_is_told(
    subscription: Subscription, price: str | Price, match: dict[str, str], said: str
) -> None:
    found = told(subscription, price, **match)
    assert len(found) == bool(said)
    assert all(said in each for each in found)


def test_other_terms_and_charges_without_costs_have_none(subscription: Subscription) -> None:
    assert price_warnings.warnings(subscription, wanted("minimum", FEBRUARY, amount="5")) == []
    with pgtrigger.ignore():
        Charge.objects.update(cost_model="")
    assert told(subscription, "0.0000019", model="gpt") == []


def test_it_asks_as_much_for_a_large_plan(subscription: Subscription) -> None:
    other = making.meter("more", ["model"], unit="token")
    large = subscribed(plan_with(other, rows=[({"model": f"m{n}"}, "1") for n in range(300)]), "large")
    with pgtrigger.ignore():
        Charge.objects.update(cost_model="model")

    def asked(of: Subscription) -> int:
        of = Subscription.objects.select_related("customer", "version").get(pk=of.pk)
        with CaptureQueriesContext(connection) as captured:
            told(of, "0.1", model="gpt")
        return len(captured)

    asked(subscription)  # the first to ask reads the names
    assert asked(large) == asked(subscription)


def test_the_api_negotiates_and_warns(subscription: Subscription) -> None:
    writer = Caller("read", "write", "publish")
    body = {"what": "price", "charge": "charge-0", "match": {"model": "gpt"}, "starts_on": "2024-02-01", "reason": "x"}
    path = f"/v1/subscriptions/{subscription.reference}/overrides"
    made = writer.post(path, {**body, "price": {"unit_price": "0.000001"}})
    assert made.status_code == 201, made.json()
    far, low = made.json()["warnings"]
    assert far.startswith(FAR_BELOW)
    assert low.endswith("which costs 2: ask for 2 or more.")
    assert "warnings" not in writer.get(path).json()["data"][0]
    fine = writer.post(path, {**body, "starts_on": "2024-03-01", "price": {"unit_price": "0.000009"}})
    assert fine.json()["warnings"] == []


def test_a_page_asks_again_before_it_is_saved(operator: Client, subscription: Subscription) -> None:
    address = f"/admin/customers/subscription/{subscription.pk}/negotiate/?what=price&charge=charge-0&row=%7B%7D"
    fields = {"starts_on": "2024-02-01", "ends_on": "", "reason": "x", "model": "per_unit", "unit_price": "0.0000001"}
    shown = operator.post(address, fields)
    assert shown.status_code == 200
    assert "It is not saved yet" in shown.content.decode()
    [warning] = shown.context["warnings"]
    assert "40 times less" in warning
    # What was ticked is what was read: another price asks again.
    despite = shown.context["despite"]
    other = operator.post(address, {**fields, "unit_price": "0.00000001", "despite": despite})
    assert (other.status_code, Override.objects.count()) == (200, 0)
    seen = operator.post(address, {**fields, "preview": "1", "despite": despite})
    assert (seen.context["warnings"], seen.context["unread"], Override.objects.count()) == ([warning], False, 0)
    assert operator.post(address, {**fields, "despite": despite}).status_code == 302
    assert Override.objects.count() == 1
