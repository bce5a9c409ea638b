"""Customers, their references and contacts; and what the database refuses whoever asks."""

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from billing_site.foundation.errors import Refused
from customers.models import Alias, Customer
from customers.subscriptions.subscribing import add_alias, change_customer, create_customer, subscribe
from meters.models import Meter, UsageChange
from tests.customers import making

pytestmark = pytest.mark.django_db


def references(customer: Customer) -> dict[str, bool]:
    return dict(customer.aliases.values_list("reference", "own"))


def faults(refused: pytest.ExceptionInfo[Refused]) -> list[tuple[str, str]]:
    return [(fault.field, fault.code) for fault in refused.value.faults]


def sql(statement: str, *values: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_a_customer_is_known_by_its_reference_and_its_aliases() -> None:
    customer = create_customer(
        reference="acme", name="Acme", currency="EUR", timezone="Europe/Berlin", aliases=["a-1", "a-2", "a-1"]
    )
    assert (customer.currency, customer.timezone) == ("EUR", "Europe/Berlin")
    assert references(customer) == {"acme": True, "a-1": False, "a-2": False}


@pytest.mark.parametrize(
    ("field", "value", "code", "words"),
    [
        ("reference", "", "blank", "Reference is empty"),
        ("reference", "x" * 256, "max_length", "256 characters; at most 255"),
        ("reference", "nul\0", "text_invalid", "cannot be stored"),
        ("reference", "half\ud800", "text_invalid", "cannot be stored"),
        ("reference", "acme/usage", "reference_reserved", "“acme/usage” ends in a word"),
        ("reference", "a/../b", "reference_reserved", "“.” or “..” between slashes"),
        ("reference", "acme ", "reference_unreadable", "begins or ends with a blank"),
        ("name", "", "blank", "Name is empty"),
        ("currency", "usd", "currency_unknown", "“usd” is not a currency code"),
        ("currency", "XXXX", "currency_unknown", "such as USD or EUR"),
        ("timezone", "Mars/Olympus", "timezone_unknown", "“Mars/Olympus” is not a timezone"),
        # whatever the machine is set to: periods would have other bounds on another one
        ("timezone", "localtime", "timezone_unknown", "“localtime” is not a timezone"),
        ("timezone", "Factory", "timezone_unknown", "“Factory” is not a timezone"),
        ("email", "nobody", "invalid", "“nobody” is not an e-mail address"),
        ("country", "de", "country_unknown", "“de” is not a country"),
    ],
)
def test_a_bad_field_is_refused_by_name_and_value(field: str, value: str, code: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        create_customer(**{"reference": "acme", "name": "Acme", field: value})
    assert (field, code) in faults(refused)
    assert words in str(refused.value)
    assert not Customer.objects.exists()


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(Refused) as refused:
        create_customer(reference="", name="", currency="?")
    assert {field for field, _ in faults(refused)} == {"reference", "name", "currency"}


@pytest.mark.parametrize(
    "name",
    [
        "שלום עולם",
        "🦄🦄 GmbH",
        'O\'Brien "& Söhne" <script>alert(1)</script>',
        "名" * 255,
        "a; DROP TABLE customers",
        "x\u202ey",
    ],
)
def test_hostile_names_are_kept_to_the_letter(name: str) -> None:
    made = create_customer(reference=name, name=name)
    made.refresh_from_db()
    assert (made.reference, made.name) == (name, name)
    assert references(made) == {name: True}


def test_one_reference_means_one_customer() -> None:
    create_customer(reference="acme", name="Acme", aliases=["a-1"])
    for reference in ("acme", "a-1"):
        with pytest.raises(Refused, match="already means the customer “Acme”") as refused:
            create_customer(reference=reference, name="Other")
        assert faults(refused) == [("reference", "reference_conflict")]
    other = create_customer(reference="other", name="Other")
    with pytest.raises(Refused, match="already means the customer “Acme”"):
        add_alias(other, "acme")
    assert Customer.objects.count() == 2
    assert references(other) == {"other": True}


def test_a_refused_alias_leaves_no_customer_behind() -> None:
    create_customer(reference="acme", name="Acme")
    with pytest.raises(Refused):
        create_customer(reference="other", name="Other", aliases=["acme"])
    assert not Customer.objects.filter(reference="other").exists()


def test_a_former_reference_stays_an_alias_and_can_come_back() -> None:
    customer = create_customer(reference="old", name="Acme")
    change_customer(customer, reference="new")
    assert references(customer) == {"old": False, "new": True}
    change_customer(customer, reference="old")
    assert references(customer) == {"old": True, "new": False}


def test_a_change_names_only_what_changes() -> None:
    customer = create_customer(reference="acme", name="Acme", email="a@example.com", aliases=["a-1"])
    change_customer(customer, name="Acme Corp", contacts=[{"name": "Ann", "email": "ann@example.com"}])
    assert (customer.name, customer.email) == ("Acme Corp", "a@example.com")
    assert references(customer) == {"acme": True, "a-1": False}
    assert [contact.name for contact in customer.contacts.all()] == ["Ann"]
    with pytest.raises(TypeError, match="no nickname"):
        change_customer(customer, nickname="A")


def test_a_bad_contact_is_named_by_its_place() -> None:
    contacts = [{"name": "Ann", "email": "ann@example.com"}, {"name": "Bob", "email": "bob"}]
    with pytest.raises(Refused) as refused:
        create_customer(reference="acme", name="Acme", contacts=contacts)
    assert faults(refused) == [("contacts.1.email", "invalid")]
    assert not Customer.objects.exists()


def test_contacts_that_stay_keep_their_row() -> None:
    ann, bob = {"name": "Ann", "email": "ann@example.com"}, {"name": "Bob", "email": "bob@example.com"}
    customer = create_customer(reference="acme", name="Acme", contacts=[ann, bob])
    before = customer.contacts.get(name="Ann").pk
    change_customer(customer, contacts=[ann])
    assert list(customer.contacts.values_list("pk", "name")) == [(before, "Ann")]


ADD = "INSERT INTO customers_alias (customer_id, reference, own) VALUES (%s, 'x', false)"


@pytest.fixture
def charged() -> tuple[Customer, Meter]:
    """A customer who is charged for one meter from 1 November on, and nothing left to look at."""
    customer, tokens = create_customer(reference="acme", name="Acme", aliases=["a-1"]), making.meter("tokens")
    subscribe(customer=customer, version=making.published(tokens), starts_on=date(2023, 11, 1))
    assert not UsageChange.objects.exists()
    return customer, tokens


@pytest.mark.parametrize(
    ("change", "reference"),
    [
        (lambda customer: add_alias(customer, "stray"), "acme"),
        (lambda customer: change_customer(customer, aliases=[]), "acme"),
        (lambda customer: change_customer(customer, reference="acme-2"), "acme-2"),
        (lambda customer: sql("UPDATE customers_customer SET reference = 'x' WHERE id = %s", customer.pk), "x"),
        (lambda customer: sql("UPDATE customers_alias SET reference = 'x' WHERE NOT own"), "acme"),
        (lambda customer: sql("DELETE FROM customers_alias WHERE NOT own"), "acme"),
        (lambda customer: sql(ADD, customer.pk), "acme"),
    ],
    ids=["add", "remove", "rename", "rename by SQL", "change by SQL", "remove by SQL", "add by SQL"],
)
def test_what_was_invoiced_is_looked_at_again_when_a_reference_comes_or_goes(
    charged: tuple[Customer, Meter], change: Callable[[Customer], object], reference: str
) -> None:
    customer, tokens = charged
    change(customer)
    start = datetime(2023, 11, 1, tzinfo=UTC)
    assert list(UsageChange.objects.values_list("customer", "meter", "hour")) == [(reference, tokens.pk, start)]


def test_a_reference_that_stays_changes_nothing(charged: tuple[Customer, Meter]) -> None:
    customer, _ = charged
    add_alias(customer, "a-1")
    change_customer(customer, name="Acme Corp", aliases=["a-1"])
    sql("UPDATE customers_alias SET reference = reference WHERE NOT own")
    assert not UsageChange.objects.exists()


def test_a_reference_that_moves_is_looked_at_for_both_customers(charged: tuple[Customer, Meter]) -> None:
    _, tokens = charged
    globex = create_customer(reference="globex", name="Globex")
    subscribe(customer=globex, version=making.published(tokens), starts_on=date(2023, 11, 5))
    sql("UPDATE customers_alias SET customer_id = %s WHERE NOT own", globex.pk)
    assert set(UsageChange.objects.values_list("customer", "hour__day")) == {("acme", 1), ("globex", 5)}


@pytest.mark.parametrize("table", ["customer", "alias", "contact", "subscription", "meterclaim"])
def test_nothing_is_emptied_away(table: str) -> None:
    with pytest.raises(IntegrityError, match="cannot be emptied away"):
        sql(f"TRUNCATE customers_{table} CASCADE")


def test_the_own_alias_follows_raw_sql_and_takes_none() -> None:
    customer = create_customer(reference="acme", name="Acme")
    sql("UPDATE customers_customer SET reference = 'acme-2' WHERE id = %s", customer.pk)
    assert references(customer) == {"acme": False, "acme-2": True}
    own = Alias.objects.get(own=True)
    for statement in (
        "DELETE FROM customers_alias WHERE id = %s",
        "UPDATE customers_alias SET reference = 'x' WHERE id = %s",
        "UPDATE customers_alias SET own = false WHERE id = %s",
    ):
        with pytest.raises(IntegrityError, match="own reference is changed on the customer"):
            sql(statement, own.pk)
    with pytest.raises(IntegrityError, match="own reference"):
        sql("INSERT INTO customers_alias (customer_id, reference, own) VALUES (%s, 'y', true)", customer.pk)
    sql("DELETE FROM customers_alias WHERE reference = 'acme'")
    assert references(customer) == {"acme-2": True}


def test_raw_sql_cannot_give_two_customers_one_reference() -> None:
    create_customer(reference="acme", name="Acme", aliases=["a-1"])
    insert = "INSERT INTO customers_customer (reference, name, currency, timezone, email, tax_id, address, country)"
    with pytest.raises(IntegrityError, match="alias_reference_once"):
        sql(f"{insert} VALUES ('a-1', 'Thief', 'USD', 'UTC', '', '', '', '')")


def test_a_deleted_customer_takes_its_aliases_along() -> None:
    customer = create_customer(reference="acme", name="Acme", aliases=["a-1"])
    customer.delete()
    assert not Alias.objects.exists()
    create_customer(reference="a-1", name="Next")
