"""Attribution and failed calls, as pages: the range that is read, the figures, the CSV, and who may look."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from billing_site import attribution, calls
from customers.subscriptions import subscribing
from meters.explorer import scanning
from meters.models import Event
from tests.meters.making import event, send, tokens_meter

pytestmark = pytest.mark.django_db

COLUMNS = [
    *("customer", "type", "succeeded", "failed", "error_rate_percent"),
    *("failed_cost_usd", "failed_of_unknown_cost"),
]
TAGS, CALLS = "/admin/attribution/", "/admin/calls/"
DAY = {"first": "2026-03-10", "last": "2026-03-10"}


def used(reference: str, team: Any, tokens: Any = 100, **changes: Any) -> dict[str, Any]:
    return event(reference, properties={"team": team, "input_tokens": tokens}, **changes)


def cells(client: Client, page: str = TAGS, **query: str) -> list[list[str]]:
    rows = client.get(page, {**DAY, **({"property": "team"} if page == TAGS else {}), **query}).context["rows"]
    return [[str(value) for value in row.values()] for row in rows]


def lines(client: Client, **query: str) -> list[list[str]]:
    answer = client.get(TAGS, {**DAY, "property": "team", "format": "csv", **query})
    assert answer["Content-Disposition"] == 'attachment; filename="attribution.csv"'
    return list(csv.reader(io.StringIO(answer.content.decode())))


@pytest.fixture(autouse=True)
def _usage() -> None:
    tokens_meter()
    send(used("a", "red", 1000), used("b", "red", "0.5"), used("c", "blue", 2, customer="b"), used("d", None, 4))
    send(used("f", "red", 77, status="failed"), used("x", "red", 5, type="other", status="failed"))


def test_tags_with_their_figures(admin_client: Client) -> None:
    answer = admin_client.get(TAGS, {**DAY, "property": "team"})
    assert cells(admin_client) == [
        ["red", "2", "['1,000.5']"],
        ["blue", "1", "['2']"],
        ["None", "1", "['4']"],
    ]
    assert answer.context["columns"] == ["LLM tokens (token)"]
    assert answer.context["total"]["quantities"] == ["1,006.5"]
    assert "missing, or no single value" in answer.content.decode()


def test_the_page_at_first_asks_for_a_property(admin_client: Client) -> None:
    page = admin_client.get(TAGS)
    assert "found" not in page.context
    assert '<option value="team">' in page.content.decode()
    assert admin_client.get(TAGS, {**DAY, "property": ""}).context["form"].errors.keys() == {"property"}


def test_the_csv_has_all_of_it(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    send(used("h", "=1+1", 3), used("o", "o", 3, type="other"))
    monkeypatch.setattr(attribution, "SHOWN", 1)
    assert "4 more values" in admin_client.get(TAGS, {**DAY, "property": "team"}).content.decode()
    assert lines(admin_client) == [
        ["property", "value", "has_value", "events", "meter", "unit", "quantity"],
        ["team", "red", "true", "2", "llm_tokens", "token", "1000.5"],
        ["team", "'=1+1", "true", "1", "llm_tokens", "token", "3"],
        ["team", "blue", "true", "1", "llm_tokens", "token", "2"],
        ["team", "o", "true", "1", "", "", ""],
        ["team", "", "false", "1", "llm_tokens", "token", "4"],
    ]


def test_the_csv_of_failed_calls_has_all_of_them(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    send(used("h", "red", "0.25", customer="=1+1", status="failed"), used("i", "red", customer="=1+1"))
    monkeypatch.setattr(calls, "SHOWN", 1)
    page = admin_client.get(CALLS, DAY)
    assert "more, with fewer failed calls, are in the CSV" in page.content.decode()
    answer = admin_client.get(f"{CALLS}?{page.context['csv']}")
    assert answer["Content-Disposition"] == 'attachment; filename="calls.csv"'
    assert list(csv.reader(io.StringIO(answer.content.decode()))) == [
        [*COLUMNS, "failed.llm_tokens"],
        ["'=1+1", "llm.request", "1", "1", "50.00", "", "", "0.25"],
        ["acme", "llm.request", "3", "1", "25.00", "", "", "77"],
        ["acme", "other", "0", "1", "100.00", "", "", ""],
        ["b", "llm.request", "1", "0", "0.00", "", "", ""],
    ]


def test_a_customer_is_all_its_references_in_its_own_days(admin_client: Client) -> None:
    customer = subscribing.create_customer(reference="acme", name="Acme", timezone="Asia/Tokyo")
    subscribing.add_alias(customer, "b")
    midnight = datetime(2026, 3, 9, 15, tzinfo=UTC)  # of the 10th in Tokyo
    send(used("in", "edge", 1, timestamp=midnight.isoformat()))
    send(used("out", "edge", 1, timestamp=(midnight - timedelta(seconds=1)).isoformat()))
    for reference in ("acme", "b"):
        answer = admin_client.get(TAGS, {**DAY, "property": "team", "customer": reference})
        assert answer.context["timezone"] == "Asia/Tokyo"
        assert [(row["value"], row["events"]) for row in answer.context["rows"]] == [
            ("red", "2"),
            ("blue", "1"),
            ("edge", "1"),
            (None, "1"),
        ]


def test_an_unknown_reference_with_events_is_itself(admin_client: Client) -> None:
    assert cells(admin_client, customer="b") == [["blue", "1", "['2']"]]
    assert cells(admin_client, type="llm.request", customer="b") == [["blue", "1", "['2']"]]
    assert cells(admin_client, type="nothing") == []


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"customer": "nobody"}, "customer", "No customer and no event has the reference “nobody”."),
        ({"customer": "a\0"}, "customer", "Null characters are not allowed."),
        ({"first": "2026-03-11"}, "last", "The range ends on 2026-03-10, before it begins on 2026-03-11."),
        ({"first": "2025-03-09"}, "last", "The range has 367 days; choose at most 366."),
        ({"first": "yesterday"}, "first", "Enter a valid date."),
        ({"first": "0001-01-01"}, "first", "Choose a day from 1970 to 2199."),
        ({"last": "9999-12-31"}, "last", "Choose a day from 1970 to 2199."),
    ],
)
@pytest.mark.parametrize("page", [TAGS, CALLS])
def test_a_range_that_cannot_be_is_refused(
    admin_client: Client, page: str, query: dict[str, str], field: str, message: str
) -> None:
    answer = admin_client.get(page, {**DAY, "property": "team", **query})
    assert answer.status_code == 200
    assert message in answer.context["form"].errors[field]
    assert "rows" not in answer.context


@pytest.mark.parametrize("page", [TAGS, CALLS])
def test_too_much_is_said_instead_of_a_figure(admin_client: Client, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setattr(scanning.scan, "__kwdefaults__", {"status": None, "limit": 1})
    for query in ({}, {"format": "csv"}):
        answer = admin_client.get(page, {**DAY, "property": "team", **query})
        assert "more than 1 events in this range" in answer.content.decode()
        assert "rows" not in answer.context


def test_calls_with_error_rate_and_what_failed_ones_used(admin_client: Client) -> None:
    answer = admin_client.get(CALLS, DAY)
    assert cells(admin_client, CALLS) == [
        ["acme", "llm.request", "3", "1", "25.00 %", "–", "", "['77']"],
        ["acme", "other", "0", "1", "100.00 %", "–", "", "['–']"],
        ["b", "llm.request", "1", "0", "0.00 %", "–", "", "['–']"],
    ]
    assert [answer.context[name] for name in ("succeeded", "failed", "rate")] == ["4", "2", "33.33 %"]
    assert cells(admin_client, CALLS, customer="b") == [["b", "llm.request", "1", "0", "0.00 %", "–", "", "[]"]]


def test_days_without_calls_have_no_rate(admin_client: Client) -> None:
    answer = admin_client.get(CALLS, {"first": "2026-03-09", "last": "2026-03-09"})
    assert (answer.context["rows"], answer.context["rate"]) == ([], "–")


def test_more_rows_than_are_read_are_said(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "SHOWN", 1)
    assert "2 more, with fewer failed calls" in admin_client.get(CALLS, DAY).content.decode()


@time_machine.travel("2026-05-20T12:00:00Z", tick=False)
def test_the_form_begins_with_the_last_7_days(admin_client: Client) -> None:
    form = admin_client.get(CALLS).context["form"]
    assert (form["first"].value(), form["last"].value()) == (date(2026, 5, 14), date(2026, 5, 20))


@pytest.mark.parametrize("page", [TAGS, CALLS])
def test_only_who_may_see_events_may_see_them_added_up(page: str, client: Client) -> None:
    assert client.get(page).status_code == 302
    client.force_login(User.objects.create_user("vera", is_staff=True))
    assert client.get(page, {**DAY, "property": "team"}).status_code == 403


def test_hostile_values_are_only_text(admin_client: Client) -> None:
    hostile = "<script>alert(1)</script>"
    send(event("h", customer=hostile, type=hostile, properties={hostile: hostile}))
    assert Event.objects.filter(customer=hostile).exists()
    for page in (TAGS, CALLS):
        text = admin_client.get(page, {**DAY, "property": hostile}).content.decode()
        assert hostile not in text
        assert "&lt;script&gt;" in text
