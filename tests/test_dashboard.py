"""The first page and the sidebar: what to do next, how things stand, and nothing that one may not open."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_site import dashboard, sidebar
from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key
from customers.models import Customer
from meters.models import Event, Meter, Stream

pytestmark = pytest.mark.django_db


def login(*permissions: str) -> Client:
    user = User.objects.create_user("vera", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def titles(groups: list[dict[str, Any]]) -> list[str]:
    return [item["title"] for group in groups for item in group["items"]]


def test_the_root_leads_to_the_first_page(admin_client: Client) -> None:
    assert admin_client.get("/", follow=True).redirect_chain == [("/admin/", 302)]


def test_after_a_direct_login_there_is_a_page() -> None:
    User.objects.create_superuser("olga", password="a long password")
    answer = Client().post("/admin/login/", {"username": "olga", "password": "a long password"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


def test_an_empty_installation_says_what_to_do_first(admin_client: Client) -> None:
    page = admin_client.get("/admin/")
    steps = page.context["steps"]
    assert [step.done for step in steps] == [False] * 9
    assert page.context["next_step"].title == "Make a meter"
    assert page.context["figures"] == []
    text = page.content.decode()
    for step in steps:
        assert step.title in text
    assert reverse("admin:foundation_apikey_add") in text


def test_a_step_that_was_done_is_ticked_off(admin_client: Client) -> None:
    create_key("gateway", ["ingest"])
    Meter.objects.create(code="tokens", name="Tokens", event_type="llm", unit="token")
    context = admin_client.get("/admin/").context
    assert [step.title for step in context["steps"] if step.done] == ["Make a meter", "Make an API key"]
    assert context["next_step"].title == "Make a product"


def event(reference: str, received: datetime) -> Event:
    return Event(
        customer="acme",
        reference=reference,
        type="llm",
        timestamp=received,
        received_at=received,
        status="succeeded",
        properties={},
    )


def test_figures_tell_what_came_today_and_what_is_unknown(admin_client: Client) -> None:
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    Event.objects.bulk_create(event(f"old {n}", midnight - timedelta(seconds=40 - n)) for n in range(40))
    Event.objects.bulk_create(event(f"new {n}", midnight + timedelta(microseconds=n)) for n in range(3))
    Customer.objects.create(reference="known", name="Known")
    Meter.objects.create(code="tokens", name="Tokens", event_type="read", unit="token")
    for customer, kind in (("known", "read"), ("acme", "read"), ("acme", "unread"), ("other", "unread")):
        Stream.objects.create(customer=customer, type=kind)
    figures = {figure.title: figure for figure in admin_client.get("/admin/").context["figures"]}
    assert figures["Events received today (UTC)"].value == "3"
    assert figures["Customers"].value == "1"
    assert (figures["Unknown customers"].value, figures["Unknown customers"].alarm) == ("2", True)
    assert (figures["Unknown event types"].value, figures["Unknown event types"].alarm) == ("1", True)
    assert (figures["Held invoices"].value, figures["Held invoices"].alarm) == ("0", False)


@pytest.mark.parametrize("old", [0, 1, 2, 7, 8])
@pytest.mark.parametrize("new", [0, 1, 5])
def test_the_first_of_today_is_found_by_halving(old: int, new: int) -> None:
    today = datetime(2026, 5, 5, tzinfo=UTC)
    ids = list(range(3, 3 + 2 * (old + new), 2))  # with gaps
    rows = [(pk, today - timedelta(1) if n < old else today) for n, pk in enumerate(ids)]
    newest = ids[-1] if ids else 0
    first = dashboard._first(lambda low: next((row for row in rows if row[0] >= low), None), newest, today)
    assert [pk for pk in ids if pk >= first] == ids[old:]


def test_counting_stops_at_a_limit() -> None:
    Stream.objects.bulk_create(Stream(customer=f"c{n}", type="t") for n in range(12))
    assert dashboard._count(Stream.objects.all(), 10) == "more than 10"
    assert dashboard._count(Stream.objects.all(), 12) == "12"


def test_the_number_of_queries_is_fixed(admin_client: Client) -> None:
    Customer.objects.create(reference="a", name="A")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            admin_client.get("/admin/")
        return len(captured)

    few = queries()
    for n in range(30):
        Customer.objects.create(reference=f"c{n}", name="C")
        Stream.objects.create(customer=f"s{n}", type="t")
    assert queries() == few


def test_the_sidebar_is_in_the_order_of_the_house(admin_user: User) -> None:
    request = RequestFactory().get("/admin/")
    request.user = admin_user
    groups = sidebar.navigation(request)
    assert [group.get("title") for group in groups] == [
        None,
        "Events & usage",
        "Catalogue",
        "Customers",
        "Invoicing",
        "Access",
    ]
    assert titles(groups) == [
        "First page",
        "Leaks",
        "Usage",
        *(item.title for items in sidebar.GROUPS.values() for item in items),
    ]


def test_nobody_sees_a_page_or_a_figure_that_is_not_theirs() -> None:
    client = login("view_apikey")
    Customer.objects.create(reference="known", name="Known")
    page = client.get("/admin/")
    assert titles(page.context["sidebar_navigation"]) == ["First page", "API keys", "History"]
    assert page.context["figures"] == []
    assert page.context["last_invoices"] == []
    assert [step.link for step in page.context["steps"]] == [None] * 9


def test_every_page_of_the_sidebar_opens(admin_client: Client) -> None:
    for group in admin_client.get("/admin/").context["sidebar_navigation"]:
        for item in group["items"]:
            assert admin_client.get(item["link"]).status_code == 200, item["title"]


def test_every_page_of_the_admin_is_in_the_sidebar() -> None:
    listed = {item.model for items in sidebar.GROUPS.values() for item in items}
    registered = {model._meta.label_lower for model in admin.site._registry}
    reached_otherwise = {"invoicing.chunk"}  # from its run
    assert registered - listed == reached_otherwise
