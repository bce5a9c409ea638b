"""The usage chart as a page: what is asked stands in the address, what is shown are figures, and who may look."""

import csv
import html
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from customers.models import Customer
from customers.subscriptions import subscribing
from meters.backfills import backfilling
from meters.definitions import metering
from meters.definitions.drafts import FilterDraft
from meters.models import Backfill, Meter
from tests.meters.making import NOON, calls_meter, event, send, tokens_meter

pytestmark = pytest.mark.django_db

PAGE, OFFERED = "/admin/usage/", "/admin/usage/customers/"
ASKED = {"customer": "acme", "meter": "llm_tokens", "first": "2026-03-10", "last": "2026-03-11", "window": "day"}


@pytest.fixture(autouse=True)
def _usage() -> None:
    tokens_meter()
    customer = subscribing.create_customer(reference="acme", name="Acme Corporation")
    subscribing.add_alias(customer, "acme-old")
    subscribing.create_customer(reference="beta", name="Acme Berlin")
    send(event("a"), event("b", customer="acme-old", timestamp=(NOON + timedelta(days=1)).isoformat()))
    send(event("c", properties={"model": "model-b", "input_tokens": "1234567.5"}))


def shown(client: Client, **query: Any) -> list[list[str]]:
    context = client.get(PAGE, {**ASKED, **query}).context
    return [[row["label"], *(cell["text"] if cell else "–" for cell in row["cells"])] for row in context["rows"]]


def where(client: Client, query: Any) -> str:
    answer = client.get(PAGE, query)
    assert answer.status_code == 302
    return str(answer["Location"])


def test_the_numbers(admin_client: Client) -> None:
    assert shown(admin_client, split="model") == [
        ["2026-03-10", "1,234,677.5", "1,234,567.5", "110"],
        ["2026-03-11", "110", "–", "110"],
    ]
    context = admin_client.get(PAGE, {**ASKED, "split": "model"}).context
    assert context["total"] == {"value": "1234787.5", "text": "1,234,787.5", "events": "5"}
    assert [(line["text"], line["total"]["text"], line["share"]) for line in context["lines"]] == [
        ("model-b", "1,234,567.5", "100.0 %"),
        ("model-a", "220", "0.0 %"),
    ]
    assert shown(admin_client) == [["2026-03-10", "1,234,677.5"], ["2026-03-11", "110"]]


def test_a_meter_that_still_counts_says_so_and_gives_no_file(admin_client: Client) -> None:
    """43 of 100 ids are counted."""
    meter = Meter.objects.get(code="llm_tokens")
    Backfill.objects.create(meter=meter, generation=1, start=10, cursor=53, boundary=110)
    page = admin_client.get(PAGE, ASKED)
    assert "is still counting stored events (43 %). What is shown is not all yet." in html.unescape(
        page.content.decode()
    )
    refused = admin_client.get(PAGE, {**ASKED, "format": "csv"})
    assert "A file could not say so" in html.unescape(refused.content.decode())
    Backfill.objects.update(status="done", cursor=110, counted_at=NOON)
    assert "still counting" not in admin_client.get(PAGE, ASKED).content.decode()


def test_filters_of_the_address(admin_client: Client) -> None:
    assert shown(admin_client, **{"filter[model]": "model-a", "split": "token_type"}) == [
        ["2026-03-10", "110", "100", "10"],
        ["2026-03-11", "110", "100", "10"],
    ]
    context = admin_client.get(PAGE, {**ASKED, "filter[model]": "model-a"}).context
    assert context["filters"] == [
        {"name": "model", "chosen": ["model-a"], "offered": ["model-a", "model-b"]},
        {"name": "token_type", "chosen": [], "offered": ["input", "output"]},
    ]


def test_the_address_is_tidied(admin_client: Client) -> None:
    added = {**ASKED, "split": "", "filter[model]": "x", "add[model]": "model-a", "add[token_type]": "", "other": "1"}
    assert where(admin_client, added).endswith("window=day&filter%5Bmodel%5D=x&filter%5Bmodel%5D=model-a")
    assert where(admin_client, {"split": ""}) == PAGE
    assert admin_client.get(PAGE, {**ASKED, "filter[model]": ""}).status_code == 200  # a missing value


@pytest.mark.parametrize("text", ["Corp", "Acme C", "acme-o"])
def test_a_customer_by_its_name(admin_client: Client, text: str) -> None:
    assert where(admin_client, {**ASKED, "customer": text}).startswith("?customer=acme&")


def test_which_customer(admin_client: Client) -> None:
    answer = admin_client.get(PAGE, {**ASKED, "customer": "acme "}, follow=True)
    assert answer.context["chart"].customer.reference == "acme"
    page = admin_client.get(PAGE, {**ASKED, "customer": "Acme"})
    assert [each.reference for each, _ in page.context["candidates"]] == ["acme", "beta"]
    assert admin_client.get(PAGE + page.context["candidates"][1][1]).status_code == 200
    nobody = admin_client.get(PAGE, {**ASKED, "customer": "nobody"})
    assert "No customer has the reference, alias or name “nobody”" in nobody.content.decode()
    assert "chart" not in nobody.context


def test_names_are_suggested(admin_client: Client) -> None:
    acme = {"value": "acme", "label": "Acme Corporation"}
    assert admin_client.get(OFFERED, {"q": "acme-"}).json() == {"options": [acme]}
    assert admin_client.get(OFFERED, {"q": "berl"}).json() == {"options": [{"value": "beta", "label": "Acme Berlin"}]}
    for text in ("", "\0", "%"):
        assert admin_client.get(OFFERED, {"q": text}).json() == {"options": []}


def test_at_first_the_last_thirty_days_of_a_meter_that_is_used(admin_client: Client) -> None:
    calls_meter(event_type="other")
    with time_machine.travel(NOON + timedelta(days=1), tick=False):
        context = admin_client.get(PAGE, {"customer": "acme"}).context
        assert "chart" not in admin_client.get(PAGE).context
    assert [context["rows"][0]["label"], context["rows"][-1]["label"], len(context["rows"])] == [
        "2026-02-10",
        "2026-03-11",
        30,
    ]
    assert (context["chart"].meter.code, context["total"]["text"]) == ("llm_tokens", "1,234,787.5")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"last": "2026-03-09"}, "The range ends on 2026-03-09, before it begins on 2026-03-10."),
        ({"first": "soon"}, "Enter a valid date."),
        ({"last": "9999-12-31"}, "Choose a day from 1970 to 2199."),
        ({"window": "minute"}, "Select a valid choice."),
        ({"meter": "nothing"}, "Select a valid choice."),
        ({"split": "team"}, "Select a valid choice."),
        ({"filter[team]": "x"}, "There is no dimension “team”: the meter “llm_tokens” has model, token_type."),
        ({"window": "hour", "last": "2026-06-01"}, "at most 750 windows"),
        ({"window": "hour", "last": "2199-12-30"}, "windows of one hour"),
        ({"last": "2199-12-31"}, "the year is not from 1970 to 2199"),
    ],
)
def test_what_cannot_be_shown_is_said(admin_client: Client, changes: dict[str, str], says: str) -> None:
    answer = admin_client.get(PAGE, {**ASKED, **changes})
    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert "rows" not in answer.context


def test_an_hour_that_comes_twice_has_two_names(admin_client: Client) -> None:
    subscribing.create_customer(reference="berlin", name="B", timezone="Europe/Berlin")
    query = {"customer": "berlin", "first": "2026-10-25", "last": "2026-10-25", "window": "hour"}
    send(event("x", customer="berlin"))
    labels = [row[0] for row in shown(admin_client, **query)]
    assert len(set(labels)) == 25
    assert labels[2:4] == ["2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100"]


def test_the_csv_has_every_value_and_no_formula(admin_client: Client) -> None:
    send(event("d", properties={"model": "=1+1", "input_tokens": 7}))
    answer = admin_client.get(PAGE, {**ASKED, "split": "model", "window": "month", "format": "csv"})
    text = b"".join(answer.streaming_content).decode()
    assert list(csv.reader(io.StringIO(text))) == [
        ["customer", "meter", "unit", "start", "end", "dimensions.model", "quantity", "events"],
        ["acme", "llm_tokens", "token", "2026-03-10T00:00:00Z", "2026-03-12T00:00:00Z", "'=1+1", "7", "1"],
        ["acme", "llm_tokens", "token", "2026-03-10T00:00:00Z", "2026-03-12T00:00:00Z", "model-a", "220", "4"],
        ["acme", "llm_tokens", "token", "2026-03-10T00:00:00Z", "2026-03-12T00:00:00Z", "model-b", "1234567.5", "1"],
    ]


def links(client: Client) -> list[str]:
    """Of the sidebar."""
    groups = client.get("/admin/").context["sidebar_navigation"]
    return [str(item["link"]) for group in groups for item in group["items"]]


def test_values_of_before_the_meter_was_changed_are_not_offered(admin_client: Client) -> None:
    meter = Meter.objects.get()
    only = (FilterDraft("model", "one_of", ("model-a",)),)
    metering.change(meter, replace(metering.draft_of(meter), filters=only))
    backfilling.run(meter)
    offered = admin_client.get(PAGE, ASKED).context["filters"]
    assert [each["offered"] for each in offered] == [["model-a"], ["input", "output"]]


def test_only_who_may_see_customers_and_usage(client: Client) -> None:
    assert client.get(PAGE).status_code == 302
    vera = User.objects.create_user("vera", is_staff=True)
    client.force_login(vera)
    for codename in ("view_customer", "view_bucket"):
        for address in (PAGE, OFFERED):
            assert client.get(address, ASKED).status_code == 403
        assert PAGE not in links(client)
        vera.user_permissions.add(Permission.objects.get(codename=codename))
    for address in (PAGE, OFFERED):
        assert client.get(address, ASKED).status_code == 200
    assert PAGE in links(client)


def test_hostile_names_are_only_text(admin_client: Client) -> None:
    hostile = "</script><script>alert(1)</script>"
    subscribing.create_customer(reference=hostile, name=hostile)
    send(event("h", customer=hostile, properties={"model": hostile, "input_tokens": 1}))
    query = {**ASKED, "customer": hostile, "split": "model", "filter[model]": hostile}
    answer = admin_client.get(PAGE, query)
    assert answer.context["lines"][0]["text"] == hostile
    assert "<script>alert" not in answer.content.decode()


def test_the_number_of_queries_is_fixed(admin_client: Client) -> None:
    def queries(**query: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(PAGE, {**ASKED, "split": "model", **query}).status_code == 200
        return len(captured)

    few = queries()
    send(*(event(f"m{n}", properties={"model": f"m{n}", "input_tokens": n}) for n in range(100)))
    assert queries(first="2026-02-20", window="hour") <= few + 1


def test_the_pages_of_a_customer_and_of_a_meter_lead_here(admin_client: Client) -> None:
    customer, meter = Customer.objects.get(reference="acme"), Meter.objects.get(code="llm_tokens")
    charts = [
        reverse("admin:customers_customer_usage_chart", args=[customer.pk]),
        reverse("admin:meters_meter_usage_chart", args=[meter.pk]),
    ]
    found = admin_client.get(charts[0])
    assert (found.status_code, found["Location"]) == (302, "/admin/usage/?customer=acme")
    found = admin_client.get(charts[1])
    assert (found.status_code, found["Location"]) == (302, "/admin/usage/?meter=llm_tokens")

    vera = User.objects.create_user("vera", is_staff=True)
    vera.user_permissions.add(*Permission.objects.filter(codename__in=["view_customer", "view_meter"]))
    other = Client()
    other.force_login(vera)
    for page in (f"/admin/customers/customer/{customer.pk}/", f"/admin/meters/meter/{meter.pk}/"):
        assert "Usage chart" in admin_client.get(f"{page}change/").content.decode()
        assert "Usage chart" not in other.get(f"{page}change/").content.decode()
    assert [other.get(chart).status_code for chart in charts] == [403, 403]
