"""Moving a subscription to a later version of its plan: what it changes, what it refuses, and who may."""

from datetime import date
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import IntegrityError
from django.test import Client

from billing_site.foundation.errors import Refused
from catalog.models import PlanVersion
from catalog.versions import publishing
from customers.models import MeterClaim, Subscription
from customers.subscriptions import moving, subscribing
from invoicing.models import Invoice
from tests.customers import making
from tests.customers.conftest import Caller
from tests.invoicing.running import plan_with, run, sql, subscribed, utc

pytestmark = pytest.mark.django_db


@pytest.fixture
def first(db: None) -> PlanVersion:
    return plan_with(making.meter("requests"), price="1")


def later(of: PlanVersion, **changed: Any) -> PlanVersion:
    draft = publishing.clone_version(of)
    PlanVersion.objects.filter(pk=draft.pk).update(**changed)
    return making.publish(draft)


def refuses(subscription: Subscription, version: PlanVersion, message: str) -> None:
    before = Subscription.objects.values().get(pk=subscription.pk)
    with pytest.raises(Refused, match=message):
        subscribing.move_to_version(subscription, version)
    assert Subscription.objects.values().get(pk=subscription.pk) == before


def test_it_moves_forward_and_its_history_says_so(first: PlanVersion) -> None:
    subscription, second = subscribed(first), later(first)
    before = Subscription.objects.values().get()
    moved = subscribing.move_to_version(subscription, second)
    assert moved.version == second
    assert Subscription.objects.values().get() == {**before, "version_id": second.pk}
    history = Subscription.pgh_event_model.objects.order_by("pgh_id").values_list("pgh_label", "version")
    assert list(history) == [("insert", first.pk), ("update", second.pk)]


def test_a_meter_that_is_new_is_claimed(first: PlanVersion) -> None:
    subscription, tokens = subscribed(first), making.meter("tokens")
    draft = publishing.clone_version(first)
    making.usage_charge(draft, tokens)
    subscribing.move_to_version(subscription, making.publish(draft))
    assert MeterClaim.objects.filter(subscription=subscription).count() == 2
    other = plan_with(tokens)
    with pytest.raises(Refused, match="already reads the meter"):
        subscribing.subscribe(customer=subscription.customer, version=other, starts_on=date(2024, 1, 1))


def test_what_is_refused(first: PlanVersion) -> None:
    subscription = subscribed(first)
    refuses(subscription, first, "is not later than")
    refuses(subscription, plan_with(making.meter("other")), "is of another plan")
    refuses(subscription, publishing.clone_version(first), "is draft; only a published version")
    refuses(subscription, later(first, interval="year"), "has the interval year")
    refuses(subscription, later(first, currency="EUR"), "is offered in EUR, and the subscription is billed in USD")
    draft = publishing.clone_version(first)
    draft.charges.all().delete()
    making.usage_charge(draft, making.meter("tokens"))
    refuses(subscription, making.publish(draft), "does not charge the meter “Requests”")
    assert not moving.later_versions(subscription).filter(interval="year").exists()


def test_a_meter_that_another_subscription_reads_is_refused(first: PlanVersion) -> None:
    subscription, tokens = subscribed(first), making.meter("tokens")
    subscribed(plan_with(tokens))
    draft = publishing.clone_version(first)
    making.usage_charge(draft, tokens)
    refuses(subscription, making.publish(draft), "already reads the meter “Tokens”")


def test_one_for_named_events_takes_no_further_meter(first: PlanVersion) -> None:
    subscription = subscribed(first, named_events_only=True)
    draft = publishing.clone_version(first)
    making.usage_charge(draft, making.meter("tokens"))
    refuses(subscription, making.publish(draft), "may have been invoiced elsewhere")


def test_the_database_lets_nothing_else_through(first: PlanVersion) -> None:
    subscription, second = subscribed(first), later(first)
    subscribing.move_to_version(subscription, second)
    dropped = publishing.clone_version(first)
    dropped.charges.all().delete()
    making.fee(dropped, "5")
    for version in (first, plan_with(), publishing.clone_version(first), later(first, interval="year"), dropped):
        if version == dropped:
            making.publish(dropped)
        with pytest.raises(IntegrityError, match=r"moves only to a later version|Only a published"):
            sql("UPDATE customers_subscription SET version_id = %s", version.pk)


def test_the_api_moves_it(first: PlanVersion) -> None:
    subscription = subscribed(first, reference="acme")
    later(first)
    path, writer = f"/v1/subscriptions/{subscription.reference}", Caller("read", "write")
    answer = writer.patch(path, {"version": 2})
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    for number, fault in ((1, "version_conflict"), (9, "plan_unknown")):
        refused = writer.patch(path, {"version": number, "ends_on": "2024-03-01"}).json()["errors"]
        assert [(error["field"], error["code"]) for error in refused] == [("version", fault)]
    subscription.refresh_from_db()
    assert (subscription.version.number, subscription.ends_at) == (2, None)
    assert Caller("read").patch(path, {"version": 2}).status_code == 403


@pytest.mark.parametrize("permissions", [[], ["view_subscription", "view_invoice"]])
def test_who_may_not_change_subscriptions_moves_none(first: PlanVersion, permissions: list[str]) -> None:
    subscription = subscribed(first)
    run(utc(2024, 2, 1))
    second = later(first)
    user = get_user_model().objects.create_user("viewer", password="a long password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    viewer = Client()
    viewer.force_login(user)
    for page in (f"customers/subscription/{subscription.pk}", f"invoicing/invoice/{Invoice.objects.get().pk}"):
        answer = viewer.post(f"/admin/{page}/move_to_version/", {"version": second.pk, "_form_submitted": "true"})
        assert answer.status_code == 403
    subscription.refresh_from_db()
    assert subscription.version == first


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("operator", password="a long password"))
    return client


def test_the_dialogs_move_it(operator: Client, first: PlanVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    from invoicing import tasks

    asked: list[str] = []
    monkeypatch.setattr(tasks.find_due, "delay", lambda: asked.append("find_due"))
    subscription = subscribed(first)
    run(utc(2024, 2, 1))
    second, third = later(first), later(first)
    invoice = Invoice.objects.get()
    for page, version in (
        (f"/admin/customers/subscription/{subscription.pk}", second),
        (f"/admin/invoicing/invoice/{invoice.pk}", third),
    ):
        assert "Move to version" in operator.get(f"{page}/change/").content.decode()
        address = f"{page.rsplit('/', 1)[0]}/{page.rsplit('/', 1)[1]}/move_to_version/"
        assert str(version) in operator.get(address).content.decode()
        answer = operator.post(address, {"version": version.pk, "_form_submitted": "true"})
        assert answer.headers["HX-Redirect"] == f"{page}/change/"
        subscription.refresh_from_db()
        assert subscription.version == version
    assert asked == ["find_due"]
