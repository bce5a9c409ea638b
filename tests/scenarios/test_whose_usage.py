"""Usage that changes hands after it was invoiced: whoever makes the change, nothing is billed twice, nothing lost."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from threading import Event as Flag
from typing import Any

import pytest
from django.db import transaction

from customers.models import Subscription
from customers.subscriptions.subscribing import add_alias, change_customer, end_subscription, subscribe
from invoicing import late
from invoicing.models import LateUsage, Line
from meters.database import fetch
from meters.ingestion import ingest
from tests.customers import making
from tests.invoicing.running import plan_with, run, sql, subscribed, together, utc
from tests.invoicing.sending import event, requests_meter, send

pytestmark = pytest.mark.django_db(transaction=True)

JANUARY, CLOSED = utc(2024, 1, 15, 12), utc(2024, 2, 1, 1)


def billed() -> Decimal:
    """On all invoices, with what is listed as late."""
    return sum((*Line.objects.values_list("quantity", flat=True), *listed()), Decimal(0))


def listed() -> list[Decimal]:
    late.watch(limit=100)
    return list(LateUsage.objects.values_list("quantity", flat=True))


@pytest.fixture
def january() -> Subscription:
    """10 requests, invoiced."""
    subscription = subscribed(plan_with(requests_meter()))
    send([event(JANUARY, 10)])
    run(CLOSED)
    assert listed() == []
    return subscription


@pytest.fixture
def open_one() -> Subscription:
    """1,000 units that name “b”, which nobody is, invoiced by the customer's open subscription."""
    meter = making.meter("tokens")
    subscription = subscribed(plan_with(meter))
    making.use("acme", meter, JANUARY, 1_000, subscription="b")
    run(CLOSED)
    assert (billed(), listed()) == (1_000, [])
    return subscription


def named(beside: Subscription, **terms: object) -> Subscription:
    return subscribe(
        customer=beside.customer,
        version=beside.version,
        reference="b",
        named_events_only=True,
        **{"starts_on": date(2024, 1, 1), **terms},  # type: ignore[arg-type]
    )


def test_a_named_subscription_from_a_day_that_was_invoiced_takes_its_usage_over(open_one: Subscription) -> None:
    named(open_one)
    run(CLOSED)
    assert Line.objects.count() == 2
    assert listed() == [-1_000]
    assert billed() == 1_000


def test_usage_comes_back_when_the_named_subscription_ends_before_it() -> None:
    meter = making.meter("tokens")
    mine = subscribed(plan_with(meter))
    other = named(mine, starts_on=date(2023, 12, 1))
    making.use("acme", meter, JANUARY, 1_000, subscription="b")
    sql("UPDATE customers_subscription SET due_at = '2024-03-01Z' WHERE reference = 'b'")  # invoiced later
    run(CLOSED)
    assert (billed(), listed()) == (0, [])
    end_subscription(other, date(2024, 1, 10))
    assert listed() == [1_000]
    run(utc(2024, 3, 1, 1))
    assert billed() == 1_000


REFERENCES: dict[str, Callable[[Subscription], object]] = {
    "an alias": lambda subscription: add_alias(subscription.customer, "acme-new"),
    "the own reference": lambda subscription: change_customer(subscription.customer, reference="acme-new"),
    "SQL": lambda subscription: sql(
        "INSERT INTO customers_alias (customer_id, reference, own) VALUES (%s, 'acme-new', false)",
        subscription.customer_id,
    ),
}


@pytest.mark.parametrize("give", REFERENCES.values(), ids=REFERENCES)
def test_usage_under_a_reference_that_becomes_the_customers_is_listed(
    january: Subscription, give: Callable[[Subscription], object]
) -> None:
    send([event(JANUARY, 6, customer="acme-new")])
    sql("DELETE FROM meters_usagechange")  # long ago
    give(january)
    assert listed() == [6]


def test_usage_under_a_reference_that_is_taken_away_is_listed_too(january: Subscription) -> None:
    add_alias(january.customer, "acme-new")
    send([event(JANUARY, 6, customer="acme-new")])
    assert listed() == [6]
    sql("DELETE FROM customers_alias WHERE NOT own")
    assert listed() == []


def test_events_that_commit_while_their_reference_is_given_away_are_found(
    january: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alias does not see the events, and who looks at the events does not see the alias."""
    add, stored, given, looked = ingest.send_additions, Flag(), Flag(), Flag()

    def add_and_wait(*counted: Any) -> None:
        add(*counted)  # committed after the wait
        fetch("SELECT 1")  # nothing waits for what was sent, but this does
        stored.set()
        assert given.wait(30)

    def give() -> None:
        assert stored.wait(30)
        with transaction.atomic():
            add_alias(january.customer, "acme-eu")
            given.set()
            assert looked.wait(30)

    def send_and_look() -> None:
        send([event(JANUARY, 4, customer="acme-eu")])
        late.watch(limit=100)
        sql("DELETE FROM meters_usagechange")  # what is of nobody is not kept for ever
        looked.set()

    monkeypatch.setattr(ingest, "send_additions", add_and_wait)
    together(send_and_look, give)
    assert listed() == [4]
