"""Negotiated terms and coupons on invoices: to the cent, on drafts, against what is finalized, and in a race."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from threading import Event, Thread
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction

from billing_site.foundation.errors import Refused
from catalog.models import Cell, Charge, Product
from customers.deals import closed, overriding, redeeming
from customers.models import Override, Redemption
from customers.rating import chunks as rating
from invoicing import chunks, closing, late, planning, unpriced
from invoicing.models import Invoice, LateUsage
from invoicing.sheet import sheet
from meters.definitions.metering import define_meter
from tests.customers import making
from tests.customers.dealing import coupon, override
from tests.invoicing.running import lines, plan_with, run, sql, subscribed, utc
from tests.invoicing.sending import event, requests_meter, send

pytestmark = pytest.mark.django_db(transaction=True)

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)
CLOSED = utc(2024, 2, 1, 1)


def refused(do: Callable[[], object]) -> list[tuple[str, str, str]]:
    with pytest.raises(Refused) as refusal:
        do()
    return [(fault.code, fault.field, fault.message) for fault in refusal.value.faults]


def test_allowance_tiers_minimum_two_coupons_and_an_override_on_one_invoice() -> None:
    tokens = making.meter("tokens", unit="token")
    draft = making.version()
    charge = making.usage_charge(draft, tokens, name="Tokens")
    Charge.objects.filter(pk=charge.pk).update(included=310, minimum=125)
    tiers = {"bounds": [1000], "unit_prices": ["0.10", "0.04"], "flat_prices": [0, 5], "packages": [None, None]}
    Cell.objects.filter(charge=charge).update(model="graduated", unit_price=None, **tiers)
    seats = making.fee(draft, "29", "advance", "Seats")
    platform = Product.objects.create(code="platform", name="Platform")
    Charge.objects.filter(pk=seats.pk).update(product=platform)
    subscription = subscribed(making.publish(draft))
    making.use("acme", tokens, utc(2024, 1, 5), 1_500)
    making.use("acme", tokens, utc(2024, 1, 25), 200)
    run(utc(2024, 1, 1, 1))  # the opening invoice: January's seats
    override(subscription, "price", date(2024, 1, 21), charge="charge-0", price="0.05", reason="Framework 7")
    coupon("ALL20", amount="20", duration="forever")
    coupon("TOKENS", "12.5", charges=["charge-0"])
    for code in ("all20", "tokens"):
        redeeming.redeem(subscription, code, first_invoice_on=FEBRUARY)
    run(CLOSED)
    invoice = Invoice.objects.get(kind="period")
    # 310 included of 1,700: 274 of the 1,500 before the 21st (273.53), 36 of the 200 after it (36.47)
    # 1,000 × 0.10 + 226 × 0.04 + 5 = 114.04; 164 × 0.05 = 8.20; to the minimum of 125 are missing 2.76
    # 12.5 % of 125.00 = 15.625; then 20 off 109.37 + 29.00, of which the seats bear 29 ÷ 138.37: 4.19
    assert lines(invoice) == [
        ("Tokens", "1500", "114.04"),
        ("Tokens", "200", "8.20"),
        ("Tokens · minimum commitment", "1", "2.76"),
        ("Seats", "1", "29.00"),
        ("Tokens (TOKENS)", "1", "-15.63"),
        ("All20 (ALL20)", "1", "-15.81"),
        ("All20 (ALL20)", "1", "-4.19"),
    ]
    assert (invoice.status, invoice.total) == ("finalized", Decimal("118.37"))
    products = list(invoice.lines.filter(kind="discount").values_list("product__code", "charge__code"))
    assert products == [("product", "charge-0"), ("product", "charge-0"), ("platform", "charge-1")]
    assert invoice.lines.get(amount="8.20").explanation["overrides"][0]["reason"] == "Framework 7"
    assert invoice.lines.get(amount="8.20").explanation["steps"][-1] == "164 token × 0.05 = 8.2"
    term = Override.objects.get()
    said = ("Negotiated", f"Price of a row, from 2024-01-21 on: Framework 7 (no. {term.pk})")
    coupons = ("Coupon", "TOKENS"), ("Coupon", "ALL20"), ("Coupon", "ALL20")
    rests_on = [line.rests_on for line in sheet(invoice).lines]
    assert rests_on == [[], [said], [], [], *([each] for each in coupons)]


def test_a_draft_has_it_at_once_and_what_is_finalized_stays() -> None:
    subscription = subscribed(plan_with(arrears="31"))
    run(utc(2024, 2, 1))
    draft = Invoice.objects.get()
    assert (draft.status, draft.total) == ("draft", 31)
    override(subscription, "fee", JANUARY, charge="charge-0", amount="20")
    draft.refresh_from_db()
    assert draft.rated_at is None  # the next pass looks again
    run(utc(2024, 2, 1, 0, 5))
    draft.refresh_from_db()
    assert draft.total == 20
    run(CLOSED)
    draft.refresh_from_db()
    assert (draft.status, draft.total) == ("finalized", 20)
    told = refused(lambda: override(subscription, "fee", date(2024, 1, 31), charge="charge-0", amount="5"))
    assert told == [
        (
            "closed_conflict",
            "starts_on",
            "2024-01-31 is too early: what is before is invoiced for good. The earliest possible day is 2024-02-01.",
        )
    ]
    term = Override.objects.get()
    assert refused(lambda: overriding.end_override(term, date(2024, 1, 31)))[0][:2] == ("closed_conflict", "ends_on")
    overriding.end_override(term, FEBRUARY)
    run(utc(2024, 3, 1, 1))
    assert [str(each.total) for each in Invoice.objects.order_by("id")] == ["20.0000", "31.0000"]


@pytest.mark.parametrize(
    ("what", "fields", "earliest"),
    [
        ("fee", {"charge": "charge-0", "amount": "5"}, MARCH),
        ("discount", {"percent": "5"}, MARCH),
        ("discount", {"charge": "charge-0", "percent": "5"}, MARCH),
        ("discount", {"charge": "charge-1", "percent": "5"}, FEBRUARY),
        ("minimum", {"amount": "5"}, FEBRUARY),
        ("price", {"charge": "charge-1", "price": "5"}, FEBRUARY),
    ],
)
def test_fees_in_advance_are_finalized_a_period_earlier(what: str, fields: dict[str, Any], earliest: date) -> None:
    subscription = subscribed(plan_with(making.meter("tokens"), advance="30"))
    run(CLOSED)
    day_before = date.fromordinal(earliest.toordinal() - 1)
    assert refused(lambda: override(subscription, what, day_before, **fields))[0][0] == "closed_conflict"
    made = override(subscription, what, earliest, **fields)
    with pytest.raises(IntegrityError) as violation, transaction.atomic():
        sql(
            "INSERT INTO customers_override SELECT (jsonb_populate_record(override,"
            " jsonb_build_object('id', id + 1, 'starts_at', starts_at - interval '1 day', 'ends_at', starts_at))).*"
            " FROM customers_override AS override"
        )
    assert violation.value.__cause__.diag.constraint_name == "term_after_closed"
    assert violation.value.__cause__.diag.message_primary == (
        f"What is before {earliest} is invoiced: choose that day or a later one."
    )
    overriding.end_override(made, earliest)
    assert closed.of(subscription.pk).boundary == utc(2024, 2, 1)


def test_a_coupon_is_for_drafts_and_never_for_what_is_finalized() -> None:
    subscription = subscribed(plan_with(advance="30"))
    coupon(duration="periods", periods=2, max_per_customer=None)
    run(utc(2024, 1, 1))
    with time_machine.travel(utc(2024, 1, 1, 0, 30), tick=False):
        made = redeeming.redeem(subscription, "SPRING")  # the draft of today
    assert (made.first_at, made.until_at) == (utc(2024, 1, 1), utc(2024, 3, 1))
    run(utc(2024, 3, 1, 1))
    assert [str(each.total) for each in Invoice.objects.order_by("id")] == ["27.0000", "27.0000", "30.0000"]
    with time_machine.travel(utc(2024, 3, 1, 2), tick=False):
        assert redeeming.redeem(subscription, "SPRING").first_at == utc(2024, 4, 1)
    with pytest.raises(IntegrityError) as violation, transaction.atomic():
        Redemption.objects.create(
            coupon=made.coupon, subscription=subscription, redeemed_at=CLOSED, first_at=utc(2024, 3, 1)
        )
    assert violation.value.__cause__.diag.constraint_name == "redemption_after_closed"
    with pytest.raises(IntegrityError), transaction.atomic():
        Redemption.objects.filter(pk=made.pk).update(until_at=utc(2024, 2, 1))


def test_a_coupon_that_ends_leaves_what_is_finalized() -> None:
    subscription = subscribed(plan_with(arrears="30"))
    coupon(duration="forever")
    with time_machine.travel(utc(2024, 1, 5), tick=False):
        made = redeeming.redeem(subscription, "SPRING")
    run(CLOSED)
    assert redeeming.end_redemption(made).until_at == utc(2024, 3, 1)
    run(utc(2024, 3, 1, 1))
    assert [str(each.total) for each in Invoice.objects.order_by("id")] == ["27.0000", "30.0000"]


def test_a_run_that_died_is_repeated_to_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when the lines were written and nothing was committed; the coupons count by dates, so none is used up."""
    for number in range(3):
        subscription = subscribed(plan_with(arrears="30"), f"customer-{number}")
        if not number:
            coupon(duration="once")
        redeeming.redeem(subscription, "SPRING", first_invoice_on=FEBRUARY)
    usual = closing._write_totals

    def dies(*args: Any) -> None:
        usual(*args)
        raise KeyboardInterrupt

    planning.plan(CLOSED)
    monkeypatch.setattr(closing, "_write_totals", dies)
    with pytest.raises(KeyboardInterrupt):
        closing.work(chunks.takeable()[0], "killed")
    monkeypatch.setattr(closing, "_write_totals", usual)
    sql("UPDATE invoicing_chunk SET leased_until = now() - interval '1 minute'")
    run(CLOSED)
    run(utc(2024, 3, 1, 1))
    assert sorted(str(each.total) for each in Invoice.objects.all()) == ["27.0000"] * 3 + ["30.0000"] * 3


@pytest.mark.parametrize("aggregation", ["count", "max"])
def test_late_usage_is_compared_part_by_part(aggregation: str) -> None:
    """Quantities of both parts of January add up on the invoice, and so they do when it is compared again."""
    values = [] if aggregation == "count" else [("", "v")]
    requests = define_meter(
        code="requests",
        name="Requests",
        event_type="request",
        aggregation=aggregation,
        unit="request",
        values=values,
        dimensions=[("model", "model")],
    )
    subscription = subscribed(plan_with(requests, rows=[({}, "1")]))
    override(subscription, "price", date(2024, 1, 16), charge="charge-0", price="0.5")

    def used(day: int, value: int) -> None:
        made = event(utc(2024, 1, day), value)
        made.properties["v"] = value
        send([made])

    used(5, 4)
    used(20, 3)
    late.watch(limit=100)
    run(CLOSED)
    invoice = Invoice.objects.get(status="finalized")
    assert [each[1:] for each in lines(invoice)] == [("4", "4.00"), ("3", "1.50")]
    assert not LateUsage.objects.exists()
    used(25, 5)
    late.watch(limit=100)
    # 5 more; of the greatest value of 16–31 January, 5 − 3
    assert [int(row.quantity) for row in LateUsage.objects.all()] == [5 if aggregation == "count" else 2]
    invoice.refresh_from_db()
    assert invoice.total == Decimal("5.50")


def test_what_a_negotiated_row_prices_is_no_leak() -> None:
    rows = [({"model": "a"}, "1")]
    subscription = subscribed(plan_with(requests_meter(), rows=rows))
    send([event(utc(2024, 1, 5), 7, "x")])
    with time_machine.travel(utc(2024, 1, 10), tick=False):
        (gap,) = unpriced.open_usage().gaps
        assert (gap.dimensions, gap.quantity) == ({"model": "x"}, 7)
        override(subscription, "price", date(2024, 1, 1), charge="charge-0", match={"model": "x"}, price="2")
        assert list(unpriced.open_usage().gaps) == []


def test_one_that_is_negotiated_while_its_invoice_is_finalized_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the finalization, and then it is too late: the invoice never says less than what it came from."""
    subscription = subscribed(plan_with(arrears="31"))
    rated, go = Event(), Event()
    usual = rating.rate

    def slowly(requests: Any) -> Any:
        found = usual(requests)
        rated.set()
        go.wait(20)
        return found

    planning.plan(CLOSED)
    monkeypatch.setattr(rating, "rate", slowly)
    told: list[str] = []

    def negotiate() -> None:
        try:
            override(subscription, "fee", JANUARY, charge="charge-0", amount="1")
        except Refused as error:
            told.append(error.faults[0].message)
        finally:
            connection.close()

    def finalize() -> None:
        closing.work(chunks.takeable()[0], "test")
        connection.close()

    threads = [Thread(target=finalize), Thread(target=negotiate)]
    threads[0].start()
    assert rated.wait(20)
    threads[1].start()
    threads[1].join(1)
    assert threads[1].is_alive(), "it did not wait for the finalization"
    go.set()
    for thread in threads:
        thread.join(20)
    assert told == ["What is before 2024-02-01 is invoiced: choose that day or a later one."]
    assert (Invoice.objects.get().total, Override.objects.count()) == (31, 0)


def test_one_that_is_being_negotiated_is_waited_for_by_the_planner() -> None:
    """No draft is made, and finalized, behind the back of who has looked at what is finalized."""
    subscription = subscribed(plan_with(arrears="31"))
    with transaction.atomic():
        override(subscription, "fee", JANUARY, charge="charge-0", amount="1")
        found: list[int] = []

        def plan() -> None:
            found.append(planning.plan(CLOSED).drafts)
            connection.close()

        thread = Thread(target=plan)
        thread.start()
        thread.join(20)
        assert found == [0]
    run(CLOSED)
    assert [str(each.total) for each in Invoice.objects.all()] == ["1.0000"]
