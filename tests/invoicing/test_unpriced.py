"""Usage that no row prices: found before it is billed, with figures worked by hand."""

from datetime import date
from decimal import Decimal
from typing import Any

import pgtrigger
import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.money import plain
from catalog.charges.row_checks import DraftRow
from catalog.models import Plan
from catalog.pricing.book import Row
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.price import per_unit
from catalog.versions import publishing
from customers.models import Customer, Subscription
from customers.subscriptions import subscribing
from invoicing import unpriced
from invoicing.models import Invoice
from meters.models import Meter
from tests.customers import making
from tests.invoicing.running import plan_with, run, subscribed, utc

pytestmark = pytest.mark.django_db

NOW = utc(2024, 1, 20)
ROWS = [
    ({"model": "a", "kind": "in"}, "0.01"),
    ({"model": "a", "kind": "out"}, "0.02"),
    ({"model": "b", "kind": "in"}, "5"),
]


@pytest.fixture
def tokens() -> Meter:
    return making.meter("tokens", ("model", "kind"), unit="token")


def found() -> list[tuple[dict[str, str], str, int, int]]:
    return [
        (dict(gap.dimensions), plain(gap.quantity), len(gap.subscriptions), gap.invoices)
        for gap in unpriced.open_usage().gaps
    ]


class TestOpenUsage:
    @pytest.fixture(autouse=True)
    def _now(self, time_machine: time_machine.TimeMachineFixture) -> None:
        time_machine.move_to(NOW, tick=False)

    def test_what_no_row_matches_is_added_up_over_subscriptions(self, tokens: Meter) -> None:
        version = plan_with(tokens, rows=ROWS)
        subscribed(version)
        subscribed(version, "other")
        for customer, quantity in (("acme", 100), ("acme", 20), ("other", 3)):
            making.use(customer, tokens, utc(2024, 1, 5), quantity, {"model": "c", "kind": "in"})
        making.use("acme", tokens, utc(2024, 1, 5), 7, {"model": "a"})
        making.use("acme", tokens, utc(2024, 1, 5), 1000, {"model": "a", "kind": "in"})
        assert found() == [({"model": "c", "kind": "in"}, "123", 2, 0), ({"model": "a"}, "7", 1, 0)]
        first, second = unpriced.open_usage().gaps
        # Nearest to c/in are the two rows of “in”: 123 × 0.01 and 123 × 5. Nearest to a are the two rows of a.
        assert (first.estimate.low, first.estimate.high, first.estimate.rows) == (Decimal("1.23"), Decimal("615.00"), 2)
        assert (second.estimate.low, second.estimate.high) == (Decimal("0.07"), Decimal("0.14"))

    def test_usage_before_and_after_the_open_period_is_not_open(self, tokens: Meter) -> None:
        subscribed(plan_with(tokens, rows=ROWS), start=date(2024, 1, 10))
        for day in (9, 10, 31):
            making.use("acme", tokens, utc(2024, 1, day, 12), day, {"model": "c"})
        making.use("acme", tokens, utc(2024, 2, 1), 1, {"model": "c"})
        assert found() == [({"model": "c"}, "41", 1, 0)]

    def test_aliases_count_and_others_do_not(self, tokens: Meter) -> None:
        subscribed(plan_with(tokens, rows=ROWS))
        subscribing.add_alias(Customer.objects.get(), "acme-eu")
        making.use("acme-eu", tokens, utc(2024, 1, 5), 5, {"model": "c"})
        making.use("stranger", tokens, utc(2024, 1, 5), 9, {"model": "c"})
        assert found() == [({"model": "c"}, "5", 1, 0)]

    def test_a_row_of_only_any_leaves_no_gap(self, tokens: Meter) -> None:
        subscribed(plan_with(tokens, rows=[*ROWS, ({}, "1")]))
        making.use("acme", tokens, utc(2024, 1, 5), 5, {"model": "c"})
        assert found() == []

    def test_each_customer_is_looked_at_by_the_price_list_of_its_currency(self, tokens: Meter) -> None:
        """In dollars everything has a price; in euros model a alone. Neither list's rows stand in for the other's."""
        version = making.version()
        charge = making.usage_charge(version, tokens, [({}, "1")])
        euro = publishing.set_price_list(version, "EUR")
        publishing.set_rows(charge, euro, [DraftRow({"model": "a"}, per_unit(Decimal(2)))])
        making.publish(version)
        subscribed(version, "dollars")
        subscribing.create_customer(reference="euros", name="Euros", currency="EUR", timezone="UTC")
        subscribed(version, "euros")
        for customer in ("dollars", "euros"):
            for model in ("a", "c"):
                making.use(customer, tokens, utc(2024, 1, 5), 5, {"model": model})
        assert found() == [({"model": "c"}, "5", 1, 0)]
        [gap] = unpriced.open_usage().gaps
        assert (gap.book.currency, gap.subscriptions) == (
            "EUR",
            {Subscription.objects.get(customer__reference="euros").pk},
        )
        with pgtrigger.ignore():  # credits have one list for all; a row of only * is in it
            Plan.objects.update(consumption="credits")
        assert found() == []

    def test_a_charge_without_rows_has_no_worth(self, tokens: Meter) -> None:
        version = making.version()
        making.usage_charge(version, tokens, [])
        subscribed(making.publish(version))
        making.use("acme", tokens, utc(2024, 1, 5), 5, {"model": "c"})
        [gap] = unpriced.open_usage().gaps
        assert (gap.quantity, gap.estimate) == (Decimal(5), None)

    def test_a_subscription_that_is_not_begun_has_none(self, tokens: Meter) -> None:
        subscribed(plan_with(tokens, rows=ROWS), start=date(2024, 1, 25))
        making.use("acme", tokens, utc(2024, 1, 26), 5, {"model": "c"})
        assert found() == []

    def test_only_so_many_are_looked_at_and_it_is_said(self, tokens: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
        version = plan_with(tokens, rows=ROWS)
        for customer in ("a", "b", "c"):
            subscribed(version, customer)
            making.use(customer, tokens, utc(2024, 1, 5), 5, {"model": "c"})
        monkeypatch.setattr(unpriced, "LOOKED_AT", 2)
        assert (found(), unpriced.open_usage().complete) == ([({"model": "c"}, "10", 2, 0)], False)
        monkeypatch.setattr(unpriced, "LOOKED_AT", 3)
        assert (found(), unpriced.open_usage().complete) == ([({"model": "c"}, "15", 3, 0)], True)

    def test_the_number_of_queries_is_fixed(self, tokens: Meter) -> None:
        version = plan_with(tokens, rows=ROWS)

        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                unpriced.open_usage()
            return len(captured)

        def add(customer: str) -> None:
            subscribed(version, customer)
            making.use(customer, tokens, utc(2024, 1, 5), 5, {"model": f"of {customer}"})

        add("first")
        queries()  # the meters are read once
        few = queries()
        for number in range(5):
            add(f"c{number}")
        assert queries() == few


@time_machine.travel(utc(2024, 2, 2), tick=False)
def test_a_held_draft_is_counted_with_what_holds_it(tokens: Meter) -> None:
    subscribed(plan_with(tokens, rows=ROWS))
    making.use("acme", tokens, utc(2024, 1, 5), 5, {"model": "c", "kind": "in"})
    making.use("acme", tokens, utc(2024, 2, 1, 5), 2, {"model": "c", "kind": "in"})
    run(utc(2024, 2, 2))
    assert Invoice.objects.exclude(hold_reason="").count() == 1
    assert found() == [({"model": "c", "kind": "in"}, "7", 1, 1)]


class TestBilledAtNothing:
    def billed(self, tokens: Meter, **uses: int) -> None:
        subscribed(plan_with(tokens, rows=ROWS, unmatched="zero"))
        for model, quantity in uses.items():
            making.use("acme", tokens, utc(2024, 1, 5), quantity, {"model": model, "kind": "in"})
        run(utc(2024, 2, 2))

    def gaps(self) -> list[tuple[dict[str, str], Any, int]]:
        rows = unpriced.billed_at_nothing(9)
        return [(dict(gap.dimensions), (gap.estimate.low, gap.estimate.high), gap.invoices) for gap in rows]

    def test_lines_that_say_not_priced_are_found(self, tokens: Meter) -> None:
        self.billed(tokens, a=1000, c=200, d=300)
        assert Invoice.objects.get().status == "finalized"
        assert self.gaps() == [
            ({"kind": "in", "model": "d"}, (Decimal("3.00"), Decimal("1500.00")), 1),
            ({"kind": "in", "model": "c"}, (Decimal("2.00"), Decimal("1000.00")), 1),
        ]
        assert len(unpriced.billed_at_nothing(1)) == 1

    def test_what_was_billed_is_found_when_the_subscription_has_moved_on(self, tokens: Meter) -> None:
        """To the version with the row, which is how it is mended."""
        self.billed(tokens, c=200)
        before = self.gaps()
        subscription = Subscription.objects.get()
        mended = publishing.clone_version(subscription.version)
        making.publish(mended)
        subscribing.move_to_version(subscription, mended)
        assert self.gaps() == before != []

    def test_after_35_days_it_is_past(self, tokens: Meter) -> None:
        self.billed(tokens, c=200)
        finalized = Invoice.objects.get().finalized_at
        with time_machine.travel(finalized + unpriced.BILLED_AT_NOTHING_FOR, tick=False):
            assert len(self.gaps()) == 1
        with time_machine.travel(finalized + 2 * unpriced.BILLED_AT_NOTHING_FOR, tick=False):
            assert self.gaps() == []


def row(number: int, price: str, **match: str) -> Row:
    return Row(number, number, match, PerUnit(Decimal(price)))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], None),
        ([row(1, "2"), row(2, "3", model="x")], ("6", "9", 2)),
        ([row(1, "2"), row(2, "5", kind="in"), row(3, "9", model="x", kind="out")], ("15", "15", 1)),
        ([row(1, "0.001", kind="in"), row(2, "0.005", kind="in", model="x")], ("0", "0.02", 2)),
    ],
)
def test_the_worth_is_that_of_the_nearest_rows(rows: list[Row], expected: tuple[str, str, int] | None) -> None:
    worth = unpriced.estimate(rows, {"model": "c", "kind": "in"}, Decimal(3), "USD")
    shown = worth and (worth.low, worth.high, worth.rows)
    assert shown == (expected and (Decimal(expected[0]), Decimal(expected[1]), expected[2]))
