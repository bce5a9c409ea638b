"""Who changed what, and when: read back from what the triggers kept."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pghistory
import pytest
from django.contrib.auth.models import Permission, User
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing_site.foundation import changes
from billing_site.foundation.api_keys import create_key
from billing_site.foundation.change_values import text
from billing_site.foundation.history_context import command_context
from billing_site.foundation.models import ApiKey
from customers.models import Alias, Contact, Customer
from meters.models import Dimension, Meter

pytestmark = pytest.mark.django_db(transaction=True)


def told(entries: list[changes.Entry]) -> list[tuple[str, list[tuple[str, str, str, list[tuple[str, str, str]]]]]]:
    return [
        (
            entry.who,
            [(c.action, c.kind, c.subject, [(f.label, f.old, f.new) for f in c.fields]) for c in entry.changes],
        )
        for entry in entries
    ]


@pytest.fixture
def meter() -> Meter:
    with command_context("make_meters"):
        return Meter.objects.create(code="tokens", name="Tokens", event_type="llm", unit="token")


def test_a_change_names_its_field_and_both_values(meter: Meter) -> None:
    user = User.objects.create_user("olga")
    with pghistory.context(user=user.pk):
        Meter.objects.filter(pk=meter.pk).update(name="LLM tokens", aggregation="sum")
    newest, oldest = told(changes.of_object(meter))
    assert newest == (
        "olga",
        [
            (
                "changed",
                "meter",
                "",
                [("Name", "Tokens", "LLM tokens"), ("Aggregation", "Count: how many events", "Sum: add up the values")],
            )
        ],
    )
    assert oldest[0] == "Command make_meters"
    assert oldest[1][0][0] == "added"


def test_plain_sql_is_seen_and_called_database(meter: Meter) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE meters_meter SET unit = 'tok' WHERE id = %s", [meter.pk])
    assert told(changes.of_object(meter))[0] == (
        "Database (SQL)",
        [("changed", "meter", "", [("Unit", "token", "tok")])],
    )


def test_parts_are_in_the_history_of_the_whole_even_when_they_are_gone(meter: Meter) -> None:
    model = Dimension.objects.create(meter=meter, name="model", property="model", position=1)
    Dimension.objects.filter(pk=model.pk).update(status="retired")
    model.delete()
    subjects = [(c[0], c[1], c[2]) for _, all_changes in told(changes.of_object(meter)) for c in all_changes]
    assert subjects[:3] == [(action, "dimension", "model") for action in ("removed", "changed", "added")]
    [changed] = changes.of_object(meter)[1].changes
    assert [(f.label, f.old, f.new) for f in changed.fields] == [
        ("Status", "Active: recorded and can be priced", "Retired: no longer recorded")
    ]
    added = changes.of_object(meter)[2].changes[0]
    assert ("Meter", "", "Tokens") in [(f.label, f.old, f.new) for f in added.fields]


def test_parts_of_another_are_not(meter: Meter) -> None:
    other = Meter.objects.create(code="calls", name="Calls", event_type="call", unit="call")
    Dimension.objects.create(meter=other, name="region", property="region")
    assert len(changes.of_object(meter)) == 1


def test_what_one_transaction_did_is_one_entry(meter: Meter) -> None:
    with pghistory.context(task="meters.tidy"), transaction.atomic():
        Meter.objects.filter(pk=meter.pk).update(unit="tok")
        Dimension.objects.create(meter=meter, name="model", property="model")
    newest = changes.of_object(meter)[0]
    assert newest.who == "Task meters.tidy"
    assert [(c.action, c.kind) for c in newest.changes] == [("changed", "meter"), ("added", "dimension")]


def test_an_api_key_is_named(client_with: Callable[..., APIClient]) -> None:
    _, secret = create_key("crm", ["write", "read"])
    answer = client_with(secret).post(
        "/v1/customers",
        {"reference": "acme", "name": "Acme", "currency": "USD", "timezone": "UTC"},
        format="json",
        HTTP_IDEMPOTENCY_KEY="1",
    )
    assert answer.status_code == 201, answer.content
    [entry] = changes.of_object(Customer.objects.get())
    assert entry.who == "API key crm"
    assert {c.kind for c in entry.changes} == {"customer", "alias"}


def test_an_operator_is_named_and_the_page_shows_it(admin_client: Client) -> None:
    row, _ = create_key("gateway", ["read"])
    admin_client.post(f"/admin/foundation/apikey/{row.pk}/change/", {"name": "renamed"})
    assert changes.of_object(row)[0].who == "admin"
    page = admin_client.get(f"/admin/foundation/apikey/{row.pk}/history/").content.decode()
    assert "<strong>admin</strong>" in page
    assert "<del>gateway</del>" in page
    assert "<ins>renamed</ins>" in page


def test_a_user_who_was_deleted_is_still_somebody(meter: Meter) -> None:
    user = User.objects.create_user("olga")
    with pghistory.context(user=user.pk):
        Meter.objects.filter(pk=meter.pk).update(unit="tok")
    pk = user.pk
    user.delete()
    assert changes.of_object(meter)[0].who == f"User {pk}, deleted"


def test_the_newest_come_first_and_pages_join_without_a_gap(meter: Meter) -> None:
    for n in range(5):
        Meter.objects.filter(pk=meter.pk).update(name=f"name {n}")
        create_key(f"key {n}", ["read"])
    everything = changes.latest([Meter, ApiKey], 100)
    assert len(everything) == 11
    assert [entry.at for entry in everything] == sorted((entry.at for entry in everything), reverse=True)
    first = changes.latest([Meter, ApiKey], 4)
    assert first == everything[:4]
    rest = changes.latest([Meter, ApiKey], 100, before=first[-1].at)
    assert first + rest == everything
    assert changes.latest([Meter, ApiKey], 5, before=datetime(2000, 1, 1, tzinfo=UTC)) == []


def test_a_bulk_change_is_not_cut_in_half(meter: Meter) -> None:
    Dimension.objects.bulk_create(Dimension(meter=meter, name=f"d{n}", property="p") for n in range(30))
    [entry] = changes.latest([Dimension], 1)
    assert len(entry.changes) == 30


def test_the_number_of_queries_does_not_grow() -> None:
    customer = Customer.objects.create(reference="acme", name="Acme")

    def grow(times: int) -> None:
        for n in range(times):
            Contact.objects.create(customer=customer, name=f"C{n}", email="c@example.com")
            Alias.objects.create(customer=customer, reference=f"a{times}-{n}")

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            changes.of_object(customer)
        return len(captured)

    grow(2)
    few = queries()
    grow(40)
    assert queries() == few


def test_the_history_page_shows_only_what_one_may_see(meter: Meter, admin_client: Client) -> None:
    create_key("gateway", ["read"])
    user = User.objects.create_user("vera", is_staff=True)
    client = Client()
    client.force_login(user)
    assert client.get("/admin/history/").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    page = client.get("/admin/history/").content.decode()
    assert "gateway" in page
    assert "Tokens" not in page


def test_the_history_page_reads_on(admin_client: Client) -> None:
    for n in range(52):
        create_key(f"key number {n}", ["read"])
    page = admin_client.get("/admin/history/")
    assert len(page.context["entries"]) == 50
    rest = admin_client.get("/admin/history/", {"before": page.context["older"]})
    assert [entry.changes[0].subject.split(" (")[0] for entry in rest.context["entries"][:2]] == [
        "key number 1",
        "key number 0",
    ]
    assert admin_client.get("/admin/history/", {"before": "yesterday"}).status_code == 200


def test_times_are_told_in_utc() -> None:
    assert text(datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)) == "2026-03-01 12:30:05 UTC"
    assert text(timedelta(hours=1)) == "1:00:00"
    assert text({"model": "gpt", "tier": ["a", True]}) == "model = gpt, tier = a, yes"


@pytest.mark.parametrize("statement", ["UPDATE meters_meterhistory SET name = 'x'", "DELETE FROM meters_meterhistory"])
def test_history_is_never_rewritten(meter: Meter, statement: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert len(changes.of_object(meter)) == 1
