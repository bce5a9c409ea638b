"""Coupons are redeemed: for which invoices, how often, by whom; whoever comes at the same time."""

from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction

from billing_site.foundation.errors import Refused
from catalog.models import Coupon, Plan
from customers.deals import redeeming
from customers.models import Redemption, Subscription
from customers.subscriptions import subscribing
from tests.customers import making
from tests.customers.dealing import coupon
from tests.invoicing.running import plan_with, sql, subscribed, together

pytestmark = pytest.mark.django_db
TODAY = datetime(2024, 1, 10, 12, tzinfo=UTC)


@pytest.fixture
def subscription(db: None) -> Subscription:
    return subscribed(plan_with(making.meter("tokens")), timezone="Asia/Kolkata")


def redeemed(subscription: Subscription, code: str = "SPRING", day: date | None = None) -> tuple[str, str | None]:
    with time_machine.travel(TODAY, tick=False):
        row = redeeming.redeem(subscription, code, first_invoice_on=day)
    return f"{row.first_at:%Y-%m-%d %H:%M}", row.until_at and f"{row.until_at:%Y-%m-%d %H:%M}"


def refused(subscription: Subscription, code: str = "SPRING", day: date | None = None) -> list[tuple[str, str]]:
    before = Redemption.objects.count()
    with pytest.raises(Refused) as refusal, time_machine.travel(TODAY, tick=False):
        redeeming.redeem(subscription, code, first_invoice_on=day)
    assert Redemption.objects.count() == before
    return [(fault.code, fault.field) for fault in refusal.value.faults]


@pytest.mark.parametrize(
    ("fields", "until"),
    [
        ({}, "2024-02-29 18:30"),
        ({"duration": "periods", "periods": 3}, "2024-04-30 18:30"),
        ({"duration": "forever"}, None),
    ],
)
def test_it_is_for_the_invoices_of_as_many_periods(
    subscription: Subscription, fields: dict[str, Any], until: str | None
) -> None:
    coupon(**fields)
    assert redeemed(subscription, " sprIng ") == ("2024-01-31 18:30", until)
    assert Coupon.objects.get().redeemed == 1


def test_a_later_invoice_can_be_the_first(subscription: Subscription) -> None:
    coupon()
    assert redeemed(subscription, day=date(2024, 5, 2)) == ("2024-05-31 18:30", "2024-06-30 18:30")


def test_the_invoice_that_opens_the_subscription_counts_as_one() -> None:
    opening = subscribed(plan_with(making.meter("tokens"), advance="30"), start=date(2024, 1, 10))
    coupon(duration="periods", periods=2)
    assert redeemed(opening) == ("2024-01-10 00:00", "2024-03-01 00:00")


def test_no_invoice_comes_after_the_end(subscription: Subscription) -> None:
    coupon()
    subscribing.end_subscription(subscription, date(2024, 1, 20))
    subscription.refresh_from_db()
    assert refused(subscription, day=date(2024, 3, 1)) == [("closed_conflict", "first_invoice_on")]
    # the last period's, however short it is
    assert redeemed(subscription)[0] == "2024-01-31 18:30"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"active": False}, ("coupon_over_conflict", "code")),
        ({"redeem_by": date(2024, 1, 9)}, ("coupon_over_conflict", "code")),
        ({"max_redemptions": 0}, ("coupon_over_conflict", "code")),
        ({"max_per_customer": 0}, ("coupon_limit_conflict", "code")),
        ({"amount": "5", "currency": "EUR"}, ("currency_differs", "code")),
        ({"charges": ["nothing-like-it"]}, ("coupon_for_nothing", "code")),
    ],
)
def test_what_cannot_be_redeemed_is_said(
    subscription: Subscription, fields: dict[str, Any], expected: tuple[str, str]
) -> None:
    coupon(**fields)
    assert refused(subscription) == [expected]
    assert refused(subscription, "OTHER") == [("coupon_unknown", "code")]
    assert refused(subscription, "\0") == [("coupon_unknown", "code")]


def test_one_for_other_plans_is_refused(subscription: Subscription) -> None:
    other = Plan.objects.create(code="other", name="Other")
    coupon(plans=[other])
    coupon("OURS", plans=[other, subscription.version.plan])
    assert refused(subscription) == [("coupon_plan_differs", "code")]
    redeemed(subscription, "ours")


def test_the_last_day_counts(subscription: Subscription) -> None:
    coupon(redeem_by=date(2024, 1, 10))
    redeemed(subscription)


def test_a_customer_redeems_it_so_often(subscription: Subscription) -> None:
    coupon(max_per_customer=2)
    redeemed(subscription)
    # at the same time it is refused, one after the other not
    assert refused(subscription) == [("coupon_conflict", "code")]
    redeemed(subscription, day=date(2024, 3, 1))
    assert refused(subscription, day=date(2024, 6, 1)) == [("coupon_limit_conflict", "code")]


def test_it_ends_before_the_next_invoice_and_then_can_be_redeemed_anew(subscription: Subscription) -> None:
    coupon(duration="forever", max_per_customer=None)
    redeemed(subscription)
    row = Redemption.objects.get()
    ended = redeeming.end_redemption(row)
    assert ended.until_at == ended.first_at
    with pytest.raises(Refused, match="takes off nothing more"):
        redeeming.end_redemption(row)
    redeemed(subscription)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE customers_redemption SET first_at = first_at - interval '1 day'", "redemption_only_ends"),
        ("UPDATE customers_redemption SET until_at = until_at + interval '1 day'", "redemption_only_ends"),
        ("DELETE FROM customers_redemption", "redemption_only_ends"),
        ("UPDATE catalog_coupon SET redeemed = 0", "coupon_counts_redemptions"),
        ("UPDATE catalog_coupon SET percent = 50", "coupon_redeemed_stays"),
        ("DELETE FROM catalog_coupon", "coupon_redeemed_stays"),
        ("UPDATE catalog_coupon SET max_redemptions = 0", "coupon_redeemed_within_limit"),
        (
            "INSERT INTO catalog_couponplan (coupon_id, plan_id) SELECT c.id, p.id FROM catalog_coupon c, catalog_plan p",  # noqa: E501
            "coupon_redeemed_stays",
        ),
        ("TRUNCATE customers_redemption", "customers_kept"),
        ("TRUNCATE catalog_coupon CASCADE", "coupon_redeemed_stays"),
    ],
)
def test_the_database_keeps_what_was_redeemed(subscription: Subscription, statement: str, constraint: str) -> None:
    coupon()
    redeemed(subscription)
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError) as violation, transaction.atomic():
        sql(statement)
    assert violation.value.__cause__.diag.constraint_name in (constraint, "customers_kept")


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"active": False}, "coupon_can_be_redeemed"),
        ({"max_redemptions": 0}, "coupon_can_be_redeemed"),
        ({"redeem_by": date(2024, 1, 9)}, "coupon_can_be_redeemed"),
        ({"max_per_customer": 0}, "coupon_customer_limit"),
        ({"percent": None, "amount": 5, "currency": "EUR"}, "coupon_currency_fits"),
    ],
)
def test_the_database_redeems_only_what_can_be(
    subscription: Subscription, change: dict[str, Any], constraint: str
) -> None:
    made = coupon()
    Coupon.objects.update(**change)
    with pytest.raises(IntegrityError) as violation, transaction.atomic():
        Redemption.objects.create(coupon=made, subscription=subscription, redeemed_at=TODAY, first_at=TODAY)
    assert violation.value.__cause__.diag.constraint_name == constraint


@pytest.mark.django_db(transaction=True)
def test_the_last_one_is_redeemed_once_by_whoever_comes_first() -> None:
    """Eight at once for three that are left: three have it, the count says so, the others are told."""
    version = plan_with(making.meter("tokens"))
    subscriptions = [subscribed(version, f"customer-{number}") for number in range(8)]
    coupon(max_redemptions=3)
    told: list[str] = []

    def attempt(subscription: Subscription) -> None:
        try:
            redeeming.redeem(subscription, "SPRING")
        except Refused as error:
            told.append(error.faults[0].code)

    together(*(partial(attempt, each) for each in subscriptions))
    assert told == ["coupon_over_conflict"] * 5
    assert (Redemption.objects.count(), Coupon.objects.get().redeemed) == (3, 3)


@pytest.mark.django_db(transaction=True)
def test_a_customers_limit_holds_for_two_at_once() -> None:
    """Two subscriptions of one customer: the database alone, past the customer's lock that the verb takes."""
    version, other = plan_with(making.meter("tokens")), plan_with(making.meter("calls"))
    pair = [subscribed(version, "acme"), subscribed(other, "acme")]
    made = coupon(max_redemptions=None, max_per_customer=1)
    told: list[str] = []

    def attempt(subscription: Subscription) -> None:
        try:
            with transaction.atomic():
                Redemption.objects.create(coupon=made, subscription=subscription, redeemed_at=TODAY, first_at=TODAY)
        except IntegrityError as error:
            told.append(error.__cause__.diag.constraint_name)  # type: ignore[union-attr]

    together(*(partial(attempt, each) for each in pair))
    assert told == ["coupon_customer_limit"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT redeemed FROM catalog_coupon")
        assert cursor.fetchone() == (1,)
