"""The operator's pages, by the test client."""

import re
from datetime import UTC, date, datetime

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing_site.foundation.errors import Fault, Refused
from customers.models import Alias, Customer, Subscription
from customers.subscriptions import subscribing
from customers.subscriptions.forms import currency_choices
from customers.subscriptions.subscribing import create_customer, end_subscription, subscribe
from meters.models import Stream
from tests.customers import making

pytestmark = pytest.mark.django_db

CUSTOMERS, SUBSCRIPTIONS = "/admin/customers/customer/", "/admin/customers/subscription/"
UNKNOWN = "/admin/customers/unknowncustomer/"
NOON = datetime(2023, 11, 7, 12, tzinfo=UTC)


def customer_fields(**changes: str) -> dict[str, str]:
    fields = {"reference": "acme", "name": "Acme", "currency": "EUR", "timezone": "Europe/Berlin"}
    fields |= {"email": "", "tax_id": "", "address": "", "country": "DE"}
    for prefix in ("aliases", "contacts", "overrides", "subscriptions"):
        fields |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    return fields | changes


def subscription_fields(customer: Customer, version: object, **changes: str) -> dict[str, str]:
    fields = {"customer": customer.pk, "version": version.pk, "starts_on": "2023-11-01", "alignment": "calendar"}
    return {**fields, **changes}


def action(name: str, row: int) -> str:
    return reverse(f"admin:customers_unknowncustomer_{name}", args=[row])


def errors(answer: object) -> str:
    return " ".join(re.findall(r"<li>(.*?)</li>", str(answer.context["errors"])))


@pytest.fixture
def acme(db: None) -> Customer:
    return create_customer(reference="acme", name="Acme", timezone="Europe/Berlin")


class TestCustomers:
    def test_one_is_added_with_aliases_and_contacts(self, operator: Client) -> None:
        assert operator.get(f"{CUSTOMERS}add/").status_code == 200
        fields = customer_fields(
            **{
                "aliases-TOTAL_FORMS": "1",
                "aliases-0-reference": " a-1",
                "contacts-TOTAL_FORMS": "1",
                "contacts-0-name": "Ann",
                "contacts-0-email": "ann@example.com",
            }
        )
        assert operator.post(f"{CUSTOMERS}add/", fields).status_code == 302
        acme = Customer.objects.get()
        assert (acme.reference, acme.name, acme.currency, acme.timezone) == ("acme", "Acme", "EUR", "Europe/Berlin")
        assert set(acme.aliases.values_list("reference", "own")) == {("acme", True), (" a-1", False)}
        assert acme.contacts.get().email == "ann@example.com"

    def test_one_is_changed_by_what_changed(self, operator: Client, acme: Customer) -> None:
        Alias.objects.create(customer=acme, reference="old")
        alias = acme.aliases.get(own=False)
        fields = customer_fields(
            reference="acme-2",
            currency="USD",
            **{
                "aliases-TOTAL_FORMS": "2",
                "aliases-INITIAL_FORMS": "1",
                "aliases-0-id": str(alias.pk),
                "aliases-0-DELETE": "on",
                "aliases-1-reference": "new",
            },
        )
        answer = operator.post(f"{CUSTOMERS}{acme.pk}/change/", fields)
        assert answer.status_code == 302, errors(answer)
        assert set(acme.aliases.values_list("reference", "own")) == {("acme-2", True), ("acme", False), ("new", False)}

    def test_faults_stand_at_their_fields(self, operator: Client, acme: Customer) -> None:
        answer = operator.post(f"{CUSTOMERS}add/", customer_fields(name="Other"))
        assert answer.status_code == 200
        assert answer.context["adminform"].form.errors["reference"] == [
            "“acme” already means the customer “Acme” (acme)."
        ]
        fields = customer_fields(reference="b", **{"aliases-TOTAL_FORMS": "1", "aliases-0-reference": "acme"})
        assert "already means the customer “Acme”" in operator.post(f"{CUSTOMERS}add/", fields).content.decode()
        assert Customer.objects.count() == 1

    def test_a_currency_with_a_subscription_stays(self, operator: Client, acme: Customer) -> None:
        subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1))
        answer = operator.post(f"{CUSTOMERS}{acme.pk}/change/", customer_fields())
        assert "keeps its currency USD" in str(answer.context["adminform"].form.errors["currency"])

    def test_somebody_faster_is_a_message_and_not_a_failure(self, operator: Client, monkeypatch) -> None:
        def late(**_: object) -> None:
            raise Refused(Fault("reference_conflict", "Another customer has this reference.", "reference"))

        monkeypatch.setattr(subscribing, "create_customer", late)
        answer = operator.post(f"{CUSTOMERS}add/", customer_fields(), follow=True)
        assert "Another customer has this reference." in answer.content.decode()
        assert not Customer.objects.exists()

    @time_machine.travel(datetime(2023, 11, 7, 15, tzinfo=UTC), tick=False)
    def test_the_page_shows_subscriptions_and_usage_of_the_month(self, operator: Client, acme: Customer) -> None:
        tokens = making.meter("tokens", unit="token")
        subscribe(
            customer=acme,
            version=making.published(tokens, name="Chatbot"),
            starts_on=date(2023, 11, 1),
            reference="main",
        )
        making.use("acme", tokens, NOON, "1234567.5")
        making.use("acme", tokens, datetime(2023, 10, 31, 22, 59, tzinfo=UTC), 5)
        page = operator.get(f"{CUSTOMERS}{acme.pk}/change/").content.decode()
        assert "1,234,567.5" in page
        assert "From 2023-11-01 to today, 2023-11-07" in page
        assert "Chatbot v1" in page
        assert f'href="{SUBSCRIPTIONS}{Subscription.objects.get().pk}/change/">main</a>' in page
        subscribing_page = operator.get(reverse("admin:customers_customer_subscribe", args=[acme.pk]))
        assert subscribing_page.url == f"{SUBSCRIPTIONS}add/?customer={acme.pk}"

    def test_hostile_names_are_written_out(self, operator: Client) -> None:
        name = '<script>alert(1)</script> O\'Brien "שלום" 🦄'
        made = create_customer(reference=name, name=name)
        for address in (
            CUSTOMERS,
            f"{CUSTOMERS}{made.pk}/change/",
            f"{CUSTOMERS}{made.pk}/delete/",
            f"{CUSTOMERS}{made.pk}/history/",
        ):
            page = operator.get(address).content.decode()
            assert "<script>alert(1)" not in page
            assert "&lt;script&gt;alert(1)&lt;/script&gt; O&#x27;Brien" in page

    def test_the_list_searches_aliases_and_costs_the_same_for_any_length(self, operator: Client) -> None:
        create_customer(reference="c-0", name="First", aliases=["needle"])
        operator.get(CUSTOMERS)
        with CaptureQueriesContext(connection) as few:
            assert "First" in operator.get(CUSTOMERS, {"q": "needle"}).content.decode()
        for number in range(1, 20):
            create_customer(reference=f"c-{number}", name="Other", aliases=[f"needle-{number}"])
        with CaptureQueriesContext(connection) as many:
            operator.get(CUSTOMERS, {"q": "needle"})
        assert len(many) == len(few)

    def test_a_customer_without_subscriptions_can_be_deleted(self, operator: Client, acme: Customer) -> None:
        assert operator.post(f"{CUSTOMERS}{acme.pk}/delete/", {"post": "yes"}).status_code == 302
        assert not Alias.objects.exists()

    def test_a_customer_with_one_cannot(self, operator: Client, acme: Customer) -> None:
        subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1))
        operator.post(f"{CUSTOMERS}{acme.pk}/delete/", {"post": "yes"})
        assert Customer.objects.count() == 1


class TestSubscriptions:
    def test_one_is_added(self, operator: Client, acme: Customer) -> None:
        version, draft = making.published(name="Chatbot"), making.version(name="Sketch")
        page = operator.get(f"{SUBSCRIPTIONS}add/", {"customer": acme.pk}).content.decode()
        assert "Chatbot v1 – USD, by the month" in page
        assert "Sketch" not in page
        answer = operator.post(f"{SUBSCRIPTIONS}add/", subscription_fields(acme, version, ends_on="2023-12-01"))
        assert answer.status_code == 302, errors(answer)
        made = Subscription.objects.get()
        assert (made.customer, made.version, made.starts_at) == (acme, version, datetime(2023, 10, 31, 23, tzinfo=UTC))
        assert made.reference.startswith("sub_")
        assert operator.post(f"{SUBSCRIPTIONS}add/", subscription_fields(acme, draft)).status_code == 200

    def test_faults_can_be_read(self, operator: Client, acme: Customer) -> None:
        version = making.published(name="Chatbot")
        subscribe(customer=acme, version=version, starts_on=date(2023, 11, 1), reference="one")
        overlap = operator.post(f"{SUBSCRIPTIONS}add/", subscription_fields(acme, version))
        assert "“one” (Chatbot v1, from 2023-11-01) already reads" in str(
            overlap.context["adminform"].form.errors["starts_on"]
        )
        euros = operator.post(f"{SUBSCRIPTIONS}add/", subscription_fields(acme, making.published(currency="EUR")))
        assert "priced in EUR and the customer “Acme” pays in USD" in str(
            euros.context["adminform"].form.errors["version"]
        )
        order = subscription_fields(acme, making.published(), ends_on="2023-11-01", reference="one")
        refused = operator.post(f"{SUBSCRIPTIONS}add/", order).context["adminform"].form.errors
        assert set(refused) == {"ends_on", "reference"}
        assert Subscription.objects.count() == 1

    def test_one_is_ended_and_nothing_else_changes(self, operator: Client, acme: Customer) -> None:
        made = subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1), reference="one")
        address = f"{SUBSCRIPTIONS}{made.pk}/change/"
        page = operator.get(address).content.decode()
        assert 'name="ends_on"' in page
        assert not [name for name in ("customer", "version", "alignment", "starts_on") if f'name="{name}"' in page]
        assert operator.post(address, {"ends_on": "2023-11-20", "reference": "two"}).status_code == 302
        made.refresh_from_db()
        assert (made.reference, made.ends_at) == ("one", datetime(2023, 11, 19, 23, tzinfo=UTC))
        assert 'value="2023-11-20"' in operator.get(address).content.decode()
        early = operator.post(address, {"ends_on": "2023-10-01"})
        assert "invoiced up to 2023-11-01" in str(early.context["adminform"].form.errors["ends_on"])

    def test_the_list_filters_by_state(self, operator: Client, acme: Customer) -> None:
        over = subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1), reference="over")
        end_subscription(over, date(2023, 12, 1))
        subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1), reference="runs")
        subscribe(customer=acme, version=making.published(), starts_on=date(2190, 1, 1), reference="later")
        for state, reference in (("ended", "over"), ("active", "runs"), ("scheduled", "later")):
            rows = operator.get(SUBSCRIPTIONS, {"state": state}).context["cl"].result_list
            assert [row.reference for row in rows] == [reference]


class TestUnknownCustomers:
    @pytest.fixture(autouse=True)
    def stray(self, acme: Customer) -> Stream:
        meter = making.meter("tokens")
        for hour in (9, 11, 10):
            making.use("<stray>", meter, NOON.replace(hour=hour), 1)
        making.use("acme", meter, NOON, 1)
        Stream.objects.create(customer="acme", type=meter.event_type)
        Stream.objects.create(customer="<stray>", type="other.type")
        return Stream.objects.create(customer="<stray>", type=meter.event_type)

    def row(self) -> int:
        return Stream.objects.filter(customer="<stray>").earliest("pk").pk

    def test_the_list_counts_what_nobody_is_billed_for(self, operator: Client) -> None:
        answer = operator.get(UNKNOWN)
        (row,) = answer.context["cl"].result_list
        assert (row.customer, row.seen.types, row.seen.events) == ("<stray>", ["other.type", "tokens.used"], 3)
        assert row.seen.last_at == NOON.replace(hour=11)
        page = answer.content.decode()
        assert "&lt;stray&gt;" in page
        assert "<stray>" not in page

    def test_counting_stops_at_its_limit(self, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("customers.accounts.unknown.COUNTED_UP_TO", 2)
        assert "more than 2" in operator.get(UNKNOWN).content.decode()

    def test_a_customer_is_created_from_a_row(self, operator: Client) -> None:
        address = action("create_customer", self.row())
        assert 'name="currency"' in operator.get(address).content.decode()
        fields = {"name": "Stray Ltd", "currency": "EUR", "timezone": "UTC", "_form_submitted": "on"}
        answer = operator.post(address, fields)
        made = Customer.objects.get(reference="<stray>")
        assert (made.name, made.currency) == ("Stray Ltd", "EUR")
        assert answer["HX-Redirect"] == f"{CUSTOMERS}{made.pk}/change/"
        assert operator.get(UNKNOWN).context["cl"].result_list == []

    def test_a_row_is_attached_to_a_customer(self, operator: Client, acme: Customer) -> None:
        address = action("attach", self.row())
        subscribing.create_customer(reference="acme-2", name="Acme East")
        for typed, said in (
            ("nobody", "No customer has “nobody” in its reference or name"),
            ("acm", "“acm” is in the reference or name of acme (Acme); acme-2 (Acme East): write the reference"),
            ("acme-", "“acme-” is in the reference or name of acme-2 (Acme East): write the reference in full"),
            ("", "“Customer” is empty: write it."),
        ):
            wrong = operator.post(address, {"customer": typed, "_form_submitted": "on"})
            assert said in wrong.content.decode()
        assert not Alias.objects.filter(reference="<stray>").exists()
        answer = operator.post(address, {"customer": "acme", "_form_submitted": "on"})
        assert answer["HX-Redirect"] == f"{CUSTOMERS}{acme.pk}/change/"
        assert acme.aliases.filter(reference="<stray>").exists()

    def test_a_row_is_attached_by_the_name_in_full(self, operator: Client, acme: Customer) -> None:
        operator.post(action("attach", self.row()), {"customer": acme.name, "_form_submitted": "on"})
        assert acme.aliases.filter(reference="<stray>").exists()

    def test_customers_are_offered_while_one_types(self, operator: Client, acme: Customer) -> None:
        subscribing.create_customer(reference="other", name="<b>ACME East")
        found = operator.get(f"{UNKNOWN}offered/", {"q": "acm"}).json()["options"]
        assert found == [{"value": "acme", "label": acme.name}, {"value": "other", "label": "<b>ACME East"}]
        assert operator.get(f"{UNKNOWN}offered/", {"q": "\0"}).json() == {"options": []}

    def test_customers_are_created_for_all_that_are_ticked(self, operator: Client) -> None:
        fields = {"action": "create_customers", "_selected_action": [self.row()]}
        answer = operator.post(UNKNOWN, fields, follow=True)
        assert "1 customer created" in answer.content.decode()
        assert Customer.objects.get(reference="<stray>").name == "<stray>"

    def test_a_reference_that_cannot_be_a_customers_own_says_why(self, operator: Client) -> None:
        odd = Stream.objects.create(customer="odd/usage", type="x")
        fields = {"name": "Odd", "currency": "EUR", "timezone": "UTC", "_form_submitted": "on"}
        assert operator.post(action("create_customer", odd.pk), fields)["HX-Redirect"] == UNKNOWN
        assert "“odd/usage” ends in a word" in operator.get(UNKNOWN).content.decode()
        assert operator.post(action("attach", odd.pk), {"customer": "acme", "_form_submitted": "on"}).status_code == 200
        assert Alias.objects.filter(reference="odd/usage", own=False).exists()


@pytest.mark.parametrize("address", [CUSTOMERS, f"{CUSTOMERS}add/", SUBSCRIPTIONS, f"{SUBSCRIPTIONS}add/", UNKNOWN])
def test_who_has_no_permission_sees_nothing(address: str) -> None:
    client = Client()
    assert client.get(address).status_code == 302
    client.force_login(get_user_model().objects.create_user("clerk", is_staff=True, password="a long password"))
    assert client.get(address).status_code == 403


def test_a_clerk_who_may_only_look_cannot_create_from_unknown(acme: Customer) -> None:
    from django.contrib.auth.models import Permission

    clerk = get_user_model().objects.create_user("clerk", is_staff=True, password="a long password")
    clerk.user_permissions.add(Permission.objects.get(codename="view_unknowncustomer"))
    client = Client()
    client.force_login(clerk)
    stray = Stream.objects.create(customer="stray", type="x")
    assert client.get(UNKNOWN).status_code == 200
    fields = {"name": "Stray", "currency": "EUR", "timezone": "UTC", "_form_submitted": "on"}
    assert client.post(action("create_customer", stray.pk), fields).status_code == 403
    assert client.post(action("attach", stray.pk), {"customer": "acme", "_form_submitted": "on"}).status_code == 403
    assert not Customer.objects.filter(reference="stray").exists()
    assert client.get(f"{UNKNOWN}offered/?q=acme").status_code == 403


def test_only_currencies_in_use_are_offered() -> None:
    offered = {code for code, _ in currency_choices()}
    assert {"USD", "EUR", "JPY"} <= offered
    assert not {"DEM", "XAU", "XXX", "SUR"} & offered
