"""What a customer may, on its page, and what operators grant it."""

import re
from datetime import UTC, date, datetime
from html import unescape
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.models import Feature
from catalog.versions import publishing
from catalog.versions.publishing import create_feature, set_feature_values
from customers.entitlements.entitling import grant
from customers.models import Customer, EntitlementOverride
from customers.subscriptions.subscribing import create_customer, subscribe
from meters.models import Backfill
from tests.customers import making

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
OVERRIDES = "/admin/customers/entitlementoverride/"


@pytest.fixture(autouse=True)
def _at() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def acme(db: None) -> Customer:
    """On a plan of 1,000 tokens a month, of which 850 are used, and of two models."""
    customer = create_customer(reference="acme", name="Acme", timezone="Europe/Berlin")
    tokens = making.meter("tokens", unit="token")
    limit = create_feature(code="tokens", name="Tokens", kind="number", meter=tokens, window="month")
    models = create_feature(code="models", name="Models", kind="list", allowed=["small", "large"])
    create_feature(code="sso", name="SSO", kind="switch")
    version = making.version()
    making.fee(version, "5")
    set_feature_values(version, {limit: 1000, models: ["small", "large"]})
    subscribe(customer=customer, version=publishing.publish(version), starts_on=date(2026, 1, 1))
    making.use("acme", tokens, NOW, 850)
    return customer


def page(customer: Customer) -> str:
    return reverse("admin:customers_customer_change", args=[customer.pk])


def text(answer: Any) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split()))


def signed_in(*permissions: str) -> Client:
    user = User.objects.create_user(f"user-{User.objects.count()}", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="customers", codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def add(operator: Client, feature: Feature, customer: Customer, **form: Any) -> Any:
    return operator.post(f"{OVERRIDES}add/?feature={feature.pk}", {"customer": customer.pk, "reason": "x", **form})


def test_a_customers_page_shows_what_it_may_and_what_is_left(operator: Client, acme: Customer) -> None:
    answer = operator.get(page(acme))

    shown = text(answer)
    assert "Models models small, large" in shown
    assert "SSO sso · not in its plans off" in shown
    assert "850 of 1,000 token 150 left 85 % Begins anew on 2026-04-01 at 00:00" in shown
    assert '<progress value="85" max="100" aria-label="Used of Tokens">' in answer.content.decode()
    assert "ft-near" in answer.content.decode()


def test_a_meter_that_still_counts_shows_no_figure(operator: Client, acme: Customer) -> None:
    meter = Feature.objects.get(code="tokens").meter
    Backfill.objects.create(meter=meter, generation=1, start=10, cursor=53, boundary=110)

    shown = text(operator.get(page(acme)))
    assert "What is used is not known yet" in shown
    assert "850 of" not in shown


def test_without_features_the_page_says_so(operator: Client) -> None:
    customer = create_customer(reference="other", name="Other")

    assert "There are no features yet" in text(operator.get(page(customer)))
    assert "There are no features yet" in text(operator.get(f"{OVERRIDES}add/"))


def test_an_operator_grants_from_the_customers_page(operator: Client, acme: Customer) -> None:
    feature = Feature.objects.get(code="tokens")
    answer = operator.get(reverse("admin:customers_customer_grant", args=[acme.pk]), follow=True)
    assert f"?customer={acme.pk}&amp;feature={feature.pk}" in answer.content.decode()

    answer = operator.get(f"{OVERRIDES}add/", {"customer": acme.pk, "feature": feature.pk})
    assert answer.context["adminform"].form.initial["customer"] == str(acme.pk)
    answer = add(operator, feature, acme, value="5000", reason="Contract 12")
    assert answer.headers["location"] == page(acme)
    override = EntitlementOverride.objects.get()
    assert (override.value, override.starts_on, override.reason) == (5000, date(2026, 3, 20), "Contract 12")
    shown = text(operator.get(page(acme)))
    assert "Tokens tokens · override 850 of 5,000 token 4,150 left" in shown
    assert "Contract 12" in shown


def test_each_kind_is_granted_by_its_field(operator: Client, acme: Customer) -> None:
    values = {"sso": ("off", False), "models": (["large"], ("large",))}
    for code, (sent, value) in values.items():
        assert add(operator, Feature.objects.get(code=code), acme, value=sent).status_code == 302
        assert EntitlementOverride.objects.get(feature__code=code).value == value


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"value": "many"}, "“many” is not a number"),
        ({"value": "2,5"}, "“2,5” has a comma: write a point for decimals, and nothing between thousands."),
        ({"value": ""}, "is empty: write it"),
        ({"value": "5", "starts_on": "2026-03-19"}, "2026-03-19 is over"),
        ({"value": "5", "ends_on": "2026-03-20"}, "The end 2026-03-20 is not after the start"),
        ({"value": "5", "reason": ""}, "is empty: write it"),
    ],
)
def test_what_cannot_be_granted_is_said_at_its_field(
    operator: Client, acme: Customer, form: dict[str, str], says: str
) -> None:
    answer = add(operator, Feature.objects.get(code="tokens"), acme, **form)

    assert answer.status_code == 200
    assert says in unescape(str(answer.context["adminform"].form.errors))
    assert not EntitlementOverride.objects.exists()


def test_it_is_ended_and_then_only_looked_at(operator: Client, acme: Customer) -> None:
    override = grant(acme, Feature.objects.get(code="sso"), True, reason="x")
    address = f"{OVERRIDES}{override.pk}/change/"

    assert operator.post(address, {"ends_on": "2026-03-19"}).status_code == 200
    assert operator.post(address, {"ends_on": "2026-04-01", "reason": "y"}).status_code == 302
    override.refresh_from_db()
    assert (override.ends_on, override.reason) == (date(2026, 4, 1), "x")
    assert operator.post(address, {"ends_on": "2026-03-20"}).status_code == 302
    override.refresh_from_db()
    assert override.ends_on == date(2026, 3, 20)
    assert operator.post(address, {"ends_on": "2026-03-21"}).status_code == 403
    assert operator.get(address).status_code == 200
    assert operator.post(f"{OVERRIDES}{override.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_list_is_told_apart_by_state(operator: Client, acme: Customer) -> None:
    features = {each.code: each for each in Feature.objects.all()}
    grant(acme, features["sso"], True, reason="x")
    grant(acme, features["tokens"], 7, reason="x", starts_on=date(2026, 4, 1))

    for state, seen, unseen in (("active", "on", "7 token"), ("scheduled", "7 token", "on")):
        rows = re.findall(
            r"field-shown_value[^>]*>(.*?)</t", operator.get(OVERRIDES, {"state": state}).content.decode()
        )
        found = " ".join(rows)
        assert seen in found
        assert unseen not in found
    assert operator.get(OVERRIDES, {"state": "ended"}).status_code == 200


@pytest.mark.parametrize(
    ("permissions", "may"),
    [
        (("view_entitlementoverride",), "look"),
        (("view_entitlementoverride", "add_entitlementoverride"), "grant"),
        (("view_entitlementoverride", "change_entitlementoverride"), "end"),
        (("view_customer", "change_customer"), ""),
    ],
)
def test_who_may_not(acme: Customer, permissions: tuple[str, ...], may: str) -> None:
    feature, client = Feature.objects.get(code="tokens"), signed_in(*permissions)
    override = grant(acme, Feature.objects.get(code="sso"), True, reason="x")
    address = f"{OVERRIDES}{override.pk}/change/"

    assert (client.get(OVERRIDES).status_code == 200) == bool(may)
    assert (client.get(f"{OVERRIDES}add/").status_code == 200) == (may == "grant")
    assert (add(client, feature, acme, value="5").status_code == 302) == (may == "grant")
    assert (client.post(address, {"ends_on": "2026-03-20"}).status_code == 302) == (may == "end")
    assert EntitlementOverride.objects.count() == (2 if may == "grant" else 1)


def test_the_button_is_for_who_may(acme: Customer) -> None:
    looks = signed_in("view_customer")
    assert "Grant…" not in text(looks.get(page(acme)))
    assert looks.get(reverse("admin:customers_customer_grant", args=[acme.pk])).status_code == 403


def test_a_customers_page_costs_the_same_whatever_it_may(operator: Client, acme: Customer) -> None:
    def queries() -> int:
        operator.get(page(acme))
        with CaptureQueriesContext(connection) as captured:
            operator.get(page(acme))
        return len(captured)

    grant(acme, Feature.objects.get(code="sso"), True, reason="x")
    few, meter = queries(), Feature.objects.get(code="tokens").meter
    for number in range(10):
        feature = create_feature(code=f"f{number}", name="F", kind="number", meter=meter, window="day")
        grant(acme, feature, 5, reason="x")
    assert queries() == few
