"""The run, with figures worked by hand: what becomes due, what it comes to, and that twice is once."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation import clock
from catalog.models import Cell, PlanVersion
from catalog.versions import publishing
from customers.models import Customer, Subscription
from customers.subscriptions import subscribing
from customers.subscriptions.boundaries import Boundary
from invoicing import chunks, closing, late, planning
from invoicing.models import Chunk, Invoice, LateUsage, Line, NumberSeries, Run
from tests.customers import making
from tests.invoicing.running import backdate, lines, plan_with, run, sql, subscribed, utc

pytestmark = pytest.mark.django_db

START = utc(2024, 1, 1)


def figures() -> list[tuple[str, str, str, str]]:
    rows = Invoice.objects.order_by("id")
    return [(each.kind, each.status, each.number, f"{each.total:.2f}") for each in rows]


def test_fees_in_advance_and_in_arrears_and_usage_of_a_first_month_from_the_11th() -> None:
    requests = making.meter("requests", unit="request")
    subscription = subscribed(plan_with(requests, advance="30", arrears="12"), start=date(2024, 1, 11))
    making.use("acme", requests, utc(2024, 1, 11), 1000)
    making.use("acme", requests, utc(2024, 1, 31, 23), 234)
    making.use("acme", requests, utc(2024, 1, 10, 23), 7)  # before it began
    making.use("acme", requests, utc(2024, 2, 1), 50)  # the next period's

    run(utc(2024, 1, 11, 1))
    opening = Invoice.objects.get()
    # 11–31 January: 21 of 31 days. 30 × 21 ÷ 31 = 20.3225…
    assert lines(opening) == [("Platform (21 of 31 days)", "1", "20.32")]
    assert (opening.kind, opening.status, opening.number, opening.total) == (
        "opening",
        "finalized",
        "INV-000001",
        Decimal("20.32"),
    )
    assert (opening.period_start, opening.period_end, opening.advance_end) == (
        utc(2024, 1, 11),
        utc(2024, 1, 11),
        utc(2024, 2, 1),
    )

    run(utc(2024, 2, 1, 1))
    period = Invoice.objects.get(kind="period")
    # 12 × 21 ÷ 31 = 8.129…; 1,234 × 0.01 = 12.34; a full February in advance.
    assert lines(period) == [
        ("Platform", "1", "30.00"),
        ("Support (21 of 31 days)", "1", "8.13"),
        ("Requests", "1234", "12.34"),
    ]
    assert (period.status, period.number) == ("finalized", "INV-000002")
    assert f"{period.total:.2f}" == "50.47"
    assert (period.period_start, period.period_end, period.advance_end) == (
        utc(2024, 1, 11),
        utc(2024, 2, 1),
        utc(2024, 3, 1),
    )
    subscription.refresh_from_db()
    assert (subscription.due_from, subscription.due_at) == (utc(2024, 2, 1), utc(2024, 3, 1))


def test_one_that_is_three_months_behind_gets_three_invoices_in_order() -> None:
    requests = making.meter("requests")
    version = plan_with(requests, price="1")
    subscription = subscribed(version, start=date(2023, 11, 1), ends_on=date(2024, 2, 1))
    for month, quantity in ((11, 10), (12, 20)):
        making.use("acme", requests, utc(2023, month, 15), quantity)
    making.use("acme", requests, utc(2024, 1, 15), 30)

    run(utc(2024, 3, 1))

    assert figures() == [
        ("period", "finalized", "INV-000001", "10.00"),
        ("period", "finalized", "INV-000002", "20.00"),
        ("period", "finalized", "INV-000003", "30.00"),
    ]
    starts = list(Invoice.objects.order_by("number").values_list("period_start", flat=True))
    assert starts == [utc(2023, 11, 1), utc(2023, 12, 1), utc(2024, 1, 1)]
    assert Invoice.objects.order_by("-id").first().advance_end is None  # it ended: nothing is billed ahead
    subscription.refresh_from_db()
    assert (subscription.due_from, subscription.due_at) == (None, None)


def test_days_are_the_customers_own() -> None:
    requests = making.meter("requests")
    subscribed(plan_with(requests, price="1"), timezone="Europe/Berlin", ends_on=date(2024, 2, 1))
    making.use("acme", requests, utc(2023, 12, 31, 23), 1)  # New Year's Day in Berlin
    making.use("acme", requests, utc(2024, 1, 31, 23), 100)  # February in Berlin
    run(utc(2024, 2, 1, 1))
    invoice = Invoice.objects.get()
    assert (invoice.period_start, invoice.period_end) == (utc(2023, 12, 31, 23), utc(2024, 1, 31, 23))
    assert (invoice.timezone, f"{invoice.total:.2f}") == ("Europe/Berlin", "1.00")


def test_a_draft_in_grace_is_previewed_refreshed_and_then_finalized_with_the_late_event() -> None:
    requests = making.meter("requests")
    subscribed(plan_with(requests, price="1"))
    making.use("acme", requests, utc(2024, 1, 15), 10)

    run(utc(2024, 2, 1, 0, 30))
    assert figures() == [("period", "draft", "", "10.00")]
    assert Chunk.objects.get().step == Chunk.Step.RATE

    making.use("acme", requests, utc(2024, 1, 31, 23), 5)
    assert run(utc(2024, 2, 1, 0, 45)) == []  # previewed a moment ago
    Invoice.objects.update(rated_at=utc(2024, 2, 1, 0, 30))
    run(utc(2024, 2, 1, 0, 45))  # as old as INVOICE_REFRESH: refreshed
    assert figures() == [("period", "draft", "", "15.00")]

    making.use("acme", requests, utc(2024, 1, 31, 23), 7)
    run(utc(2024, 2, 1, 1))
    assert figures() == [("period", "finalized", "INV-000001", "22.00")]
    assert lines(Invoice.objects.get()) == [("Requests", "22", "22.00")]


def test_nothing_happens_before_the_grace_is_over() -> None:
    subscribed(plan_with(making.meter("requests"), arrears="5"))
    run(utc(2024, 2, 1, 0, 59))
    assert Invoice.objects.get().status == "draft"
    run(utc(2024, 2, 1, 1, 0))
    assert Invoice.objects.get().status == "finalized"


def test_what_is_not_due_leaves_no_run_behind() -> None:
    subscribed(plan_with(arrears="5"))
    run(utc(2024, 1, 31, 23, 59))
    assert not Run.objects.exists()
    assert not Invoice.objects.exists()


def test_run_twice_is_run_once() -> None:
    requests = making.meter("requests")
    subscribed(plan_with(requests, advance="30"))
    making.use("acme", requests, utc(2024, 1, 15), 3)
    now = utc(2024, 2, 1, 1)
    run(now)
    before = (figures(), list(Line.objects.order_by("id").values()), Run.objects.count(), Chunk.objects.count())
    assert run(now) == []
    assert (figures(), list(Line.objects.order_by("id").values()), Run.objects.count(), Chunk.objects.count()) == before


def test_a_boundary_that_comes_up_again_makes_no_second_invoice() -> None:
    subscription = subscribed(plan_with(arrears="5", grace=timedelta(0)))
    run(utc(2024, 2, 1))
    backdate(subscription, date(2024, 1, 1))
    run(utc(2024, 2, 1))
    assert figures() == [("period", "finalized", "INV-000001", "5.00")]
    subscription.refresh_from_db()
    assert subscription.due_at == utc(2024, 3, 1)


def test_a_period_without_anything_to_bill_is_empty_and_takes_no_number() -> None:
    requests = making.meter("requests")
    version = plan_with(requests, price="1")
    subscribed(version, "idle")
    subscribed(version, "busy")
    making.use("busy", requests, utc(2024, 1, 2), 1)
    run(utc(2024, 2, 1, 1))
    assert [each[1:3] for each in figures()] == [("empty", ""), ("finalized", "INV-000001")]
    assert NumberSeries.objects.get().next_number == 2


def later_version(of: PlanVersion, *rows: tuple[dict[str, str], str]) -> PlanVersion:
    """A clone of a version, published, whose charge of usage has these rows as well."""
    draft = publishing.clone_version(of)
    charge = draft.charges.get(kind="usage")
    for position, (match, price) in enumerate(rows, start=charge.cells.count()):
        Cell.objects.create(charge=charge, position=position, match=match, unit_price=Decimal(price))
    return publishing.publish(draft)


def test_a_draft_with_a_problem_is_held_alone_and_closed_once_its_subscription_has_moved() -> None:
    requests = making.meter("requests", dimensions=["model"])
    version = plan_with(requests, advance="31", rows=[({"model": "a"}, "1")])
    priced, unpriced = subscribed(version, "priced"), subscribed(version, "unpriced")
    making.use("priced", requests, utc(2024, 1, 2), 1, {"model": "a"})
    making.use("unpriced", requests, utc(2024, 1, 2), 4, {"model": "a"})
    making.use("unpriced", requests, utc(2024, 1, 3), 3, {"model": "new"})
    now = utc(2024, 2, 1, 1)
    run(now)
    held = Invoice.objects.get(status="draft")
    assert held.subscription == unpriced
    assert "no price for model = new" in held.hold_reason
    assert "move the subscription to that version" in held.hold_reason
    assert held.chunk is None
    assert run(now) == []  # not again and again

    second = later_version(version, ({"model": "new"}, "2.5"))
    subscribing.move_to_version(unpriced, second)
    run(now)  # at once, not after INVOICE_REFRESH

    held.refresh_from_db()
    # 31 for February in advance; 4 × 1; 3 × 2.5
    assert lines(held) == [("Platform", "1", "31.00"), ("Requests · a", "4", "4.00"), ("Requests · new", "3", "7.50")]
    assert (held.status, held.number, held.hold_reason, f"{held.total:.2f}") == ("finalized", "INV-000004", "", "42.50")
    assert held.version == second
    others = Invoice.objects.exclude(pk=held.pk)
    assert set(others.values_list("version", flat=True)) == {version.pk}
    priced.refresh_from_db()
    assert priced.version == version

    # Late usage of a period that was closed before the move is compared by the charges that it was invoiced by.
    sql("INSERT INTO meters_usagechange (customer, meter_id, hour) VALUES ('unpriced', %s, %s)", requests.pk, now)
    subscribing.move_to_version(priced, second)
    making.use("priced", requests, utc(2024, 1, 20), 2, {"model": "a"})
    sql("INSERT INTO meters_usagechange (customer, meter_id, hour) VALUES ('priced', %s, %s)", requests.pk, START)
    late.watch(limit=100)
    found = LateUsage.objects.values_list("invoice__customer__reference", "charge__version", "quantity")
    assert list(found) == [("priced", version.pk, 2)]


def test_a_negative_total_is_held_and_takes_no_number() -> None:
    requests = making.meter("requests")
    subscribed(plan_with(requests, arrears="5", price="1"))
    making.use("acme", requests, utc(2024, 1, 2), -15)
    now = utc(2024, 2, 1, 1)
    run(now)
    held = Invoice.objects.get()
    assert (held.status, held.number, held.total) == ("draft", "", Decimal(-10))
    assert "The total is negative (-$10.00 USD): a credit note is needed" in held.hold_reason

    making.use("acme", requests, utc(2024, 1, 3), 10)  # 5 − 5: nothing to pay is no credit
    closing.retry_held([held.pk])
    run(now)
    assert figures() == [("period", "finalized", "INV-000001", "0.00")]


def test_an_old_hold_is_tried_again_by_itself() -> None:
    requests = making.meter("requests", dimensions=["model"])
    subscribed(plan_with(requests, rows=[({"model": "a"}, "1")]))
    making.use("acme", requests, utc(2024, 1, 2), 1, {"model": "new"})
    now = clock.now()
    run(now)
    assert Invoice.objects.exclude(hold_reason="").exists()
    Invoice.objects.exclude(hold_reason="").update(rated_at=now - timedelta(minutes=14))
    assert planning.plan(clock.now()).chunks == ()
    Invoice.objects.exclude(hold_reason="").update(rated_at=now - timedelta(minutes=16))
    assert len(planning.plan(clock.now()).chunks) == 1


def test_a_fast_clock_bills_nothing_early() -> None:
    """Due in five minutes by the database's clock; the planner's machine is ten minutes ahead."""
    now = clock.now()
    subscription = subscribed(plan_with(arrears="5", grace=timedelta(0)), start=date(2024, 1, 1))
    Subscription.objects.update(due_at=now + timedelta(minutes=5))
    assert planning.plan(now + timedelta(minutes=10)) == planning.Planned(0, ())
    Subscription.objects.update(due_at=now - timedelta(seconds=1))
    planning.plan(now + timedelta(minutes=10))
    assert Invoice.objects.get(subscription=subscription).period_end == now - timedelta(seconds=1)


def test_the_customer_and_the_seller_stay_as_they_stood(settings: Any) -> None:
    settings.INVOICE_SELLER = {"name": "Seller Ltd", "address": "1 Way", "tax_id": "GB1"}
    subscription = subscribed(plan_with(arrears="5"), "acme")
    Customer.objects.update(name="Acme Ltd", address="2 Street", tax_id="DE9", country="DE")
    run(utc(2024, 2, 1, 1))
    Customer.objects.update(name="Renamed")
    settings.INVOICE_SELLER = {"name": "Other"}
    run(utc(2024, 2, 1, 2))
    invoice = Invoice.objects.get(subscription=subscription, status="finalized")
    assert invoice.bill_to == {
        "reference": "acme",
        "name": "Acme Ltd",
        "address": "2 Street",
        "tax_id": "DE9",
        "country": "DE",
        "email": "",
    }
    assert invoice.seller == {"name": "Seller Ltd", "address": "1 Way", "tax_id": "GB1"}


def test_a_subscription_that_cannot_tell_its_next_boundary_stops_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    version = plan_with(arrears="5")
    stuck, fine = subscribed(version, "stuck"), subscribed(version, "fine")
    advance = subscribing.advance

    def refusing(subscription: Subscription) -> Boundary:
        if subscription == stuck:
            raise KeyError("Nowhere/Land")
        return advance(subscription)

    monkeypatch.setattr(subscribing, "advance", refusing)
    run(utc(2024, 2, 1, 1))
    assert list(Invoice.objects.values_list("subscription", flat=True)) == [fine.pk]
    stuck.refresh_from_db()
    assert stuck.due_at == utc(2024, 2, 1)


def test_chunks_are_of_the_size_that_is_set(settings: Any) -> None:
    settings.INVOICE_CHUNK_SIZE = 2
    version = plan_with(arrears="5")
    for number in range(5):
        subscribed(version, f"customer-{number}")
    planned = planning.plan(utc(2024, 2, 1, 1))
    assert planned.drafts == 5
    assert list(Chunk.objects.order_by("id").values_list("invoices", flat=True)) == [2, 2, 1]
    assert Run.objects.count() == 1
    for chunk in chunks.takeable():
        assert closing.work(chunk, "test")
    assert sorted(Invoice.objects.values_list("number", flat=True)) == [f"INV-{n:06}" for n in range(1, 6)]


def _many(count: int) -> None:
    """Subscriptions of as many customers, each of a plan and a meter of its own, with usage in three combinations."""
    meters = [making.meter(f"m{count}-{n}", dimensions=["model"]) for n in range(count)]
    versions = [plan_with(meter, advance="3", arrears="2", price="1") for meter in meters]
    for number in range(count):
        reference = f"customer-{count}-{number}"
        meter = meters[number % len(meters)]
        subscribed(versions[number % len(meters)], reference)
        for model in "abc":
            making.use(reference, meter, utc(2024, 1, 15, 12, 30), 1, {"model": model})


def _queries_of(count: int, now: datetime) -> tuple[int, int]:
    _many(count)
    with CaptureQueriesContext(
        connection,
    ) as planned:
        planning.plan(now)
    (chunk,) = chunks.takeable()
    with CaptureQueriesContext(connection) as worked:
        assert closing.work(chunk, "test")
    assert Chunk.objects.get(pk=chunk).invoices == 2 * count
    return len(planned), len(worked)


def test_two_hundred_subscriptions_of_many_plans_cost_as_many_queries_as_two() -> None:
    now = utc(2024, 2, 1, 1)
    few = _queries_of(2, now)
    assert _queries_of(200, now) == few
    assert Invoice.objects.filter(status="finalized").count() == 404
