"""Terms are negotiated and ended; what is refused says what is possible; the database holds the rest."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from billing_site.foundation.changes import of_object
from billing_site.foundation.errors import Refused
from catalog.models import Charge, PlanVersion
from catalog.pricing.price import Model, Price
from customers.deals import checks as override_checks
from customers.deals import overriding
from customers.models import Override, Subscription
from customers.subscriptions import moving
from tests.customers import making
from tests.customers.dealing import override, wanted
from tests.invoicing.running import plan_with, sql, subscribed

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY, MARCH, MAY = (date(2024, month, 1) for month in (1, 2, 3, 5))
ROW = {"charge": "charge-1", "match": {"model": "a"}, "price": "0.8"}
TWICE = """
    INSERT INTO customers_override (subscription_id, what, charge, match, model, unit_price, free, fixed, free_events,
        bounds, unit_prices, flat_prices, packages, flat_at_zero, starts_at, reason, created_at)
    SELECT subscription_id, what, charge, match, model, 9, 0, 0, 0, '{}', '{}', '{}', '{}', true, '2024-06-01', 'twice',
        now() FROM customers_override
"""
BY_COST = Price(Model.COST_PLUS, percent=Decimal(1))


@pytest.fixture
def subscription(db: None) -> Subscription:
    """A fee in advance (charge-0) and tokens by model (charge-1)."""
    tokens = making.meter("tokens", ["model"])
    return subscribed(plan_with(tokens, advance="30", rows=[({"model": "a"}, "1"), ({}, "2")]), timezone="Asia/Kolkata")


def refused(subscription: Subscription, what: str, starts_on: date = JANUARY, **fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refusal:
        override(subscription, what, starts_on, **fields)
    assert Override.objects.count() == 0
    return [(fault.code, fault.field) for fault in refusal.value.faults]


def spans() -> list[tuple[str, str | None]]:
    rows = Override.objects.order_by("id")
    return [(f"{row.starts_at:%m-%d %H:%M}", row.ends_at and f"{row.ends_at:%m-%d %H:%M}") for row in rows]


def test_days_are_local_midnights_of_the_subscription(subscription: Subscription) -> None:
    made = override(subscription, "price", FEBRUARY, ends_on=MARCH, **ROW)
    assert spans() == [("01-31 18:30", "02-29 18:30")]
    assert (made.what, made.charge, made.match, made.unit_price) == (
        "price",
        "charge-1",
        {"model": "a"},
        Decimal("0.8"),
    )
    (entry,) = of_object(made)
    assert entry.changes[0].action == "added"


def test_a_later_one_of_the_same_supersedes_it(subscription: Subscription) -> None:
    override(subscription, "price", JANUARY, **ROW)
    override(subscription, "price", FEBRUARY, **{**ROW, "match": {}})  # another row
    override(subscription, "price", MARCH, **{**ROW, "price": "0.7"})
    assert spans() == [("12-31 18:30", "02-29 18:30"), ("01-31 18:30", None), ("02-29 18:30", None)]


def test_one_of_the_same_day_takes_the_earlier_back(subscription: Subscription) -> None:
    first = override(subscription, "minimum", JANUARY, amount="5")
    override(subscription, "minimum", JANUARY, amount="6")
    first.refresh_from_db()
    assert first.ends_at == first.starts_at


@pytest.mark.parametrize(("starts_on", "ends_on"), [(JANUARY, None), (JANUARY, MAY), (MARCH, MAY)])
def test_what_would_go_on_beside_it_is_refused(
    subscription: Subscription, starts_on: date, ends_on: date | None
) -> None:
    override(subscription, "minimum", FEBRUARY, amount="5")
    with pytest.raises(Refused) as refusal:
        override(subscription, "minimum", starts_on, ends_on=ends_on, amount="6")
    assert [(fault.code, fault.field) for fault in refusal.value.faults] == [("override_conflict", "starts_on")]
    assert "from 2024-02-01 already (“Deal”)" in str(refusal.value)
    assert len(spans()) == 1


def test_one_ends_earlier_and_on_its_first_day_never_held(subscription: Subscription) -> None:
    made = override(subscription, "fee", FEBRUARY, charge="charge-0", amount="20")
    ended = overriding.end_override(made, MARCH)
    assert spans() == [("01-31 18:30", "02-29 18:30")]
    for day, code in (
        (MAY, "override_ended_conflict"),
        (MARCH, "override_ended_conflict"),
        (JANUARY, "closed_conflict"),
    ):
        with pytest.raises(Refused) as refusal:
            overriding.end_override(ended, day)
        assert (refusal.value.faults[0].code, refusal.value.faults[0].field) == (code, "ends_on")
    overriding.end_override(made, FEBRUARY)
    assert spans() == [("01-31 18:30", "01-31 18:30")]


@pytest.mark.parametrize(
    ("what", "fields", "expected"),
    [
        ("colour", {}, [("what_unknown", "what")]),
        ("price", {"price": "1"}, [("charge_missing", "charge")]),
        ("price", {**ROW, "charge": "charge-9"}, [("charge_unknown", "charge")]),
        ("price", {**ROW, "charge": "charge-0"}, [("charge_unfit", "charge")]),
        ("fee", {"charge": "charge-1", "amount": "5"}, [("charge_unfit", "charge")]),
        ("price", {"charge": "charge-1"}, [("price_missing", "price")]),
        ("price", {**ROW, "match": {"modle": "a"}}, [("dimension_unknown", "match")]),
        ("price", {**ROW, "price": "-1"}, [("price_negative", "price.unit_price")]),
        ("price", {**ROW, "price": Price(Model.GRADUATED)}, [("tiers_missing", "price.tiers")]),
        (
            "price",
            {**ROW, "price": BY_COST},
            [("cost_model_missing", "price.model")],
        ),
        ("price", {**ROW, "amount": "5"}, [("field_unused", "amount")]),
        ("included", {"charge": "charge-1", "quantity": "-1"}, [("price_negative", "quantity")]),
        ("minimum", {"amount": "0.001"}, [("amount_too_precise", "amount")]),
        ("minimum", {}, [("amount_missing", "amount")]),
        ("discount", {}, [("discount_percent_or_amount", "percent")]),
        ("discount", {"percent": "101"}, [("percent_invalid", "percent")]),
        ("discount", {"percent": "0"}, [("percent_invalid", "percent")]),
        ("discount", {"amount": "5"}, [("charge_missing", "charge")]),
        ("discount", {"amount": "0", "charge": "charge-1"}, [("amount_invalid", "amount")]),
        ("minimum", {"amount": "5", "reason": "  "}, [("reason_missing", "reason")]),
        ("minimum", {"amount": "5", "reason": "x" * 501}, [("reason_too_long", "reason")]),
        ("minimum", {"amount": "5", "reason": "\0"}, [("text_invalid", "reason")]),
        ("minimum", {"amount": "5", "ends_on": JANUARY}, [("ends_too_early", "ends_on")]),
        ("minimum", {"amount": "5", "starts_on": date(2023, 12, 31)}, [("closed_conflict", "starts_on")]),
    ],
)
def test_what_cannot_be_negotiated_is_said(
    subscription: Subscription, what: str, fields: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert refused(subscription, what, **fields) == expected


def test_an_allowance_needs_a_total() -> None:
    highest = making.meter("peak")
    type(highest).objects.filter(pk=highest.pk).update(aggregation="max")
    subscription = subscribed(plan_with(highest))
    assert refused(subscription, "included", charge="charge-0", quantity="5") == [("included_not_offered", "quantity")]


def test_it_begins_before_the_subscription_ends(subscription: Subscription) -> None:
    Subscription.objects.update(ends_at="2024-02-29T18:30:00Z")
    subscription.refresh_from_db()
    assert refused(subscription, "minimum", MARCH, amount="5") == [("starts_too_late", "starts_on")]


def test_a_minimum_above_the_cap_at_any_time_is_refused(subscription: Subscription) -> None:
    override(subscription, "cap", FEBRUARY, charge="charge-1", amount="50")
    with pytest.raises(Refused) as refusal:
        override(subscription, "minimum", JANUARY, charge="charge-1", amount="60")
    assert "From 2024-02-01 on the minimum would be 60, above the cap of 50" in str(refusal.value)
    override(subscription, "minimum", JANUARY, ends_on=FEBRUARY, charge="charge-1", amount="60")
    override(subscription, "minimum", JANUARY, amount="60")  # of all usage is another thing


def test_a_move_says_which_terms_hold_for_nothing_there(subscription: Subscription) -> None:
    override(subscription, "fee", JANUARY, charge="charge-0", amount="20", reason="Seats at 20")
    override(subscription, "price", JANUARY, **ROW)
    later = PlanVersion.objects.create(plan=subscription.version.plan, number=2)
    meter = Charge.objects.get(version=subscription.version, code="charge-1").meter
    making.usage_charge(later, meter, [({}, "3")])  # charge-0 is usage there
    making.publish(later)
    price, fee = Override.objects.order_by("-id")
    assert moving.warnings(subscription, later) == [
        f"{later} has no fee “charge-0”: the negotiated term {fee.pk} (“Seats at 20”) holds for nothing there.",
        f"{later} has no charge “charge-1”: the negotiated term {price.pk} (“Deal”) holds for nothing there.",
    ]
    assert moving.warnings(subscription, subscription.version) == []


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("UPDATE customers_override SET unit_price = 0.1", "term_only_ends"),
        ("UPDATE customers_override SET reason = 'other'", "term_only_ends"),
        ("UPDATE customers_override SET starts_at = starts_at - interval '1 day'", "term_only_ends"),
        ("UPDATE customers_override SET ends_at = starts_at - interval '1 day'", "term_only_ends"),
        ("DELETE FROM customers_override", "term_only_ends"),
        ("TRUNCATE customers_override CASCADE", "customers_kept"),
        (
            TWICE,
            "term_one_at_a_time",
        ),
    ],
)
def test_the_database_keeps_terms(subscription: Subscription, change: str, constraint: str) -> None:
    override(subscription, "price", FEBRUARY, **ROW)
    sql("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError) as violation, transaction.atomic():
        sql(change)
    assert violation.value.__cause__.diag.constraint_name == constraint


def test_an_end_moves_only_forward_in_the_database(subscription: Subscription) -> None:
    override(subscription, "price", FEBRUARY, ends_on=MARCH, **ROW)
    with pytest.raises(IntegrityError), transaction.atomic():
        sql("UPDATE customers_override SET ends_at = ends_at + interval '1 day'")
    with pytest.raises(IntegrityError), transaction.atomic():
        sql("UPDATE customers_override SET ends_at = NULL")
    sql("UPDATE customers_override SET ends_at = ends_at - interval '1 day'")


@pytest.mark.parametrize(
    "columns",
    [
        {"what": "price", "charge": "c", "model": "per_unit"},
        {"what": "price", "charge": "", "model": "per_unit", "unit_price": 1},
        {"what": "included", "charge": "c"},
        {"what": "included", "charge": "c", "quantity": 1, "unit_price": 1},
        {"what": "fee", "charge": "", "amount": 1},
        {"what": "minimum", "charge": "", "amount": -1},
        {"what": "discount", "charge": "", "amount": 1},
        {"what": "discount", "charge": "", "percent": 101},
        {"what": "other", "charge": "", "amount": 1},
        {"what": "minimum", "charge": "", "amount": 1, "reason": ""},
    ],
)
def test_the_database_takes_only_terms_that_are_whole(subscription: Subscription, columns: dict[str, Any]) -> None:
    fields = {"subscription": subscription, "starts_at": "2024-02-01T00:00:00Z", "reason": "x", **columns}
    with pytest.raises(IntegrityError), transaction.atomic():
        Override.objects.create(**fields)


def test_nothing_is_written_by_a_check(subscription: Subscription) -> None:
    assert override_checks.faults(subscription, wanted("price", FEBRUARY, **ROW)) == []
    assert Override.objects.count() == 0
