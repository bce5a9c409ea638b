"""Who may subscribe to what and when, how it ends, and what the database refuses whoever asks."""

import threading
from datetime import UTC, date, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from billing_site.foundation.errors import Refused
from catalog.models import PlanVersion
from customers.models import Customer, MeterClaim, Subscription
from customers.subscriptions.subscribing import advance, change_customer, create_customer, end_subscription, subscribe
from meters.measuring.counting import hour_of
from meters.models import UsageChange
from tests.customers import making

pytestmark = pytest.mark.django_db


def utc(month: int, day: int, hour: int = 0) -> datetime:
    return datetime(2023, month, day, hour, tzinfo=UTC)


def faults(refused: pytest.ExceptionInfo[Refused]) -> list[tuple[str, str]]:
    return [(fault.field, fault.code) for fault in refused.value.faults]


def sql(statement: str, *values: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def bill(subscription: Subscription) -> Subscription:
    """What the invoice run does at a boundary."""
    subscription.due_from, subscription.due_at = advance(subscription)
    subscription.save(update_fields=["due_from", "due_at"])
    return subscription


@pytest.fixture
def acme() -> Customer:
    return create_customer(reference="acme", name="Acme", timezone="Europe/Berlin")


def test_days_begin_at_midnight_of_the_customer(acme: Customer) -> None:
    made = subscribe(customer=acme, version=making.published(), starts_on=date(2023, 10, 1), ends_on=date(2023, 12, 1))
    assert (made.starts_at, made.ends_at) == (utc(9, 30, 22), utc(11, 30, 23))
    assert (made.due_from, made.due_at) == (utc(9, 30, 22), utc(10, 31, 23))
    assert made.reference.startswith("sub_")
    assert made.timezone == "Europe/Berlin"


def test_fees_in_advance_are_due_at_the_start(acme: Customer) -> None:
    made = subscribe(customer=acme, version=making.published(advance="30"), starts_on=date(2023, 10, 10))
    assert made.due_from == made.due_at == made.starts_at
    assert advance(made) == (utc(10, 9, 22), utc(10, 31, 23))


def test_anniversary_periods_count_from_the_first_day(acme: Customer) -> None:
    made = subscribe(customer=acme, version=making.published(), starts_on=date(2023, 10, 10), alignment="anniversary")
    assert made.due_at == utc(11, 9, 23)


def test_advance_walks_to_the_end_and_no_further(acme: Customer) -> None:
    made = subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1), ends_on=date(2023, 12, 1))
    assert advance(made) == (None, None)
    bill(made)
    with pytest.raises(ValueError, match="no boundary left"):
        advance(made)


def test_claims_name_each_meter_once(acme: Customer) -> None:
    tokens, calls = making.meter(), making.meter()
    draft = making.version()
    for each in (tokens, tokens, calls):
        making.usage_charge(draft, each)
    made = subscribe(customer=acme, version=making.publish(draft), starts_on=date(2023, 11, 1), named_events_only=True)
    claims = MeterClaim.objects.order_by("meter_id")
    assert [(c.subscription, c.customer, c.meter, c.named_events_only) for c in claims] == [
        (made, acme, tokens, True),
        (made, acme, calls, True),
    ]
    assert {(c.period.lower, c.period.upper) for c in claims} == {(made.starts_at, None)}


@pytest.mark.parametrize(
    ("changes", "fault", "words"),
    [
        ({"ends_on": date(2023, 11, 1)}, ("ends_on", "ends_too_early"), "2023-11-01 is not after the start 2023-11-01"),
        ({"starts_on": date(23, 11, 1)}, ("starts_on", "date_out_of_range"), "“0023-11-01” is not a day from"),
        ({"ends_on": date(9999, 12, 31)}, ("ends_on", "date_out_of_range"), "“9999-12-31”"),
        ({"starts_on": utc(11, 1)}, ("starts_on", "date_out_of_range"), "is not a day"),
        ({"alignment": "monthly"}, ("alignment", "alignment_unknown"), "“monthly” is not an alignment"),
        ({"reference": ""}, ("reference", "blank"), "Reference is empty"),
        ({"reference": "a/./b"}, ("reference", "reference_reserved"), "between slashes"),
        ({"reference": "nul\0"}, ("reference", "text_invalid"), "cannot be stored"),
    ],
)
def test_bad_terms_are_refused(acme: Customer, changes: dict, fault: tuple[str, str], words: str) -> None:
    terms = {"customer": acme, "version": making.published(), "starts_on": date(2023, 11, 1)}
    with pytest.raises(Refused) as refused:
        subscribe(**{**terms, **changes})
    assert faults(refused) == [fault]
    assert words in str(refused.value)
    assert not Subscription.objects.exists()


def test_only_a_published_version_in_the_customers_currency(acme: Customer) -> None:
    draft = making.version(name="Draft plan")
    with pytest.raises(Refused, match="Draft plan v1 is draft; only a published version"):
        subscribe(customer=acme, version=draft, starts_on=date(2023, 11, 1))
    retired = making.published()
    PlanVersion.objects.filter(pk=retired.pk).update(status="retired", retired_at=utc(11, 1))
    with pytest.raises(Refused, match="is retired; only a published version"):
        subscribe(customer=acme, version=retired, starts_on=date(2023, 11, 1))
    with pytest.raises(Refused, match="priced in EUR and the customer “Acme” pays in USD"):
        subscribe(customer=acme, version=making.published(currency="EUR"), starts_on=date(2023, 11, 1))
    assert not Subscription.objects.exists()


def test_a_reference_is_used_once(acme: Customer) -> None:
    subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1), reference="main")
    with pytest.raises(Refused, match="already a subscription “main”") as refused:
        subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1), reference="main")
    assert faults(refused) == [("reference", "reference_conflict")]


def test_two_subscriptions_do_not_read_one_meter_at_one_time(acme: Customer) -> None:
    tokens = making.meter("tokens")
    first = making.published(tokens, name="First")
    second = making.published(tokens, name="Second")
    november = {"starts_on": date(2023, 11, 1), "ends_on": date(2023, 12, 1)}
    subscribe(customer=acme, version=first, reference="one", **november)
    with pytest.raises(Refused) as refused:
        subscribe(customer=acme, version=second, starts_on=date(2023, 11, 30))
    assert faults(refused) == [("starts_on", "meter_conflict")]
    assert str(refused.value).startswith(
        "The subscription “one” (First v1, 2023-11-01 to 2023-12-01) already reads the meter “Tokens” at that time."
    )
    subscribe(customer=acme, version=second, starts_on=date(2023, 12, 1))
    subscribe(customer=acme, version=second, named_events_only=True, **november)
    other = create_customer(reference="other", name="Other")
    subscribe(customer=other, version=first, **november)
    assert Subscription.objects.count() == 4


class TestEnding:
    """November 2023 and on, in UTC."""

    @pytest.fixture
    def globex(self) -> Customer:
        return create_customer(reference="globex", name="Globex")

    def running(self, customer: Customer, advance: str | None = None, ends_on: date | None = None) -> Subscription:
        version = making.published(advance=advance)
        return subscribe(customer=customer, version=version, starts_on=date(2023, 11, 10), ends_on=ends_on)

    def due(self, subscription: Subscription) -> tuple:
        subscription.refresh_from_db()
        return subscription.ends_at, subscription.due_from, subscription.due_at

    def test_an_end_clips_the_next_boundary_and_the_claims(self, globex: Customer) -> None:
        made = end_subscription(self.running(globex), date(2023, 11, 20))
        assert self.due(made) == (utc(11, 20), utc(11, 10), utc(11, 20))
        assert MeterClaim.objects.get().period.upper == utc(11, 20)

    def test_an_end_later_leaves_the_next_boundary(self, globex: Customer) -> None:
        made = end_subscription(self.running(globex), date(2024, 2, 20))
        assert self.due(made)[1:] == (utc(11, 10), utc(12, 1))

    def test_an_end_can_move_and_go(self, globex: Customer) -> None:
        made = self.running(globex, ends_on=date(2023, 11, 20))
        end_subscription(made, date(2023, 11, 25))
        assert self.due(made) == (utc(11, 25), utc(11, 10), utc(11, 25))
        end_subscription(made, None)
        assert self.due(made) == (None, utc(11, 10), utc(12, 1))
        assert MeterClaim.objects.get().period.upper is None

    def test_an_end_where_all_is_billed_leaves_nothing_due(self, globex: Customer) -> None:
        made = bill(self.running(globex))
        end_subscription(made, date(2023, 12, 1))
        assert self.due(made) == (utc(12, 1), None, None)

    def test_an_end_before_what_is_billed_is_refused(self, globex: Customer) -> None:
        made = bill(self.running(globex))
        with pytest.raises(Refused, match="invoiced up to 2023-12-01; it can end on that day or later") as refused:
            end_subscription(made, date(2023, 11, 30))
        assert faults(refused) == [("ends_on", "billed_conflict")]
        assert self.due(made) == (None, utc(12, 1), datetime(2024, 1, 1, tzinfo=UTC))

    def test_an_end_before_the_opening_is_billed_leaves_the_opening(self, globex: Customer) -> None:
        made = end_subscription(self.running(globex, advance="30"), date(2023, 11, 20))
        assert self.due(made) == (utc(11, 20), utc(11, 10), utc(11, 10))

    def test_fees_in_advance_that_are_billed_bind_to_their_period(self, globex: Customer) -> None:
        made = bill(self.running(globex, advance="30"))
        with pytest.raises(Refused, match="invoiced up to 2023-12-01"):
            end_subscription(made, date(2023, 11, 30))
        end_subscription(made, date(2023, 12, 1))
        assert self.due(made) == (utc(12, 1), utc(11, 10), utc(12, 1))

    def test_fees_in_advance_that_are_billed_to_the_end_bind_the_end(self, globex: Customer) -> None:
        made = bill(self.running(globex, advance="30", ends_on=date(2023, 11, 20)))
        for day in (date(2023, 12, 1), None):
            with pytest.raises(Refused, match="invoiced up to its end"):
                end_subscription(made, day)

    def test_what_is_billed_to_its_end_is_over(self, globex: Customer) -> None:
        made = bill(self.running(globex, ends_on=date(2023, 11, 20)))
        with pytest.raises(Refused, match="has been invoiced to its end; start a new subscription"):
            end_subscription(made, date(2024, 1, 1))

    def test_an_end_at_the_start_is_refused(self, globex: Customer) -> None:
        for advance_fee in (None, "30"):
            made = self.running(globex, advance=advance_fee)
            with pytest.raises(Refused, match="2023-11-10 is not after the start 2023-11-10"):
                end_subscription(made, date(2023, 11, 10))

    def test_a_later_end_may_not_run_into_the_next_subscription(self, globex: Customer) -> None:
        tokens = making.meter()
        made = subscribe(
            customer=globex, version=making.published(tokens), starts_on=date(2023, 11, 1), ends_on=date(2023, 12, 1)
        )
        subscribe(customer=globex, version=making.published(tokens), starts_on=date(2023, 12, 1), reference="next")
        with pytest.raises(Refused, match="“next”") as refused:
            end_subscription(made, date(2023, 12, 2))
        assert faults(refused) == [("ends_on", "meter_conflict")]


def test_a_customer_with_a_subscription_keeps_its_currency_but_may_move(acme: Customer) -> None:
    made = subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1))
    with pytest.raises(Refused, match="keeps its currency") as refused:
        change_customer(acme, currency="EUR")
    assert faults(refused) == [("currency", "currency_conflict")]
    change_customer(acme, timezone="Asia/Tokyo")
    made.refresh_from_db()
    assert (acme.timezone, made.timezone) == ("Asia/Tokyo", "Europe/Berlin")


class TestNamedUsageMoves:
    """What an open subscription may have billed is compared again when a named one comes, ends or goes."""

    def changes(self) -> list[tuple[str, int, datetime]]:
        found = list(UsageChange.objects.values_list("customer", "meter", "hour"))
        UsageChange.objects.all().delete()
        return found

    def test_from_its_start_and_from_where_its_end_was_or_is(self, acme: Customer) -> None:
        tokens = making.meter()
        named = subscribe(
            customer=acme, version=making.published(tokens), starts_on=date(2023, 11, 5), named_events_only=True
        )
        assert self.changes() == [("acme", tokens.pk, hour_of(named.starts_at))]
        end_subscription(named, date(2023, 11, 20))
        assert self.changes() == [("acme", tokens.pk, hour_of(named.ends_at))]
        earlier = named.ends_at
        end_subscription(named, date(2023, 11, 25))
        assert self.changes() == [("acme", tokens.pk, hour_of(earlier))]
        named.delete()
        assert self.changes() == [("acme", tokens.pk, hour_of(named.starts_at))]

    def test_an_open_subscription_moves_nothing(self, acme: Customer) -> None:
        subscription = subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 5))
        end_subscription(subscription, date(2023, 11, 20))
        assert self.changes() == []


class TestRawSql:
    """The database refuses by itself."""

    @pytest.mark.parametrize(
        "change",
        [
            "reference = 'x'",
            "alignment = 'anniversary'",
            "anchor = '2020-01-01'",
            "timezone = 'UTC'",
            "starts_at = starts_at - interval '1 day'",
            "named_events_only = true",
            "customer_id = customer_id + 1",
        ],
    )
    def test_terms_do_not_change(self, acme: Customer, change: str) -> None:
        subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1))
        with pytest.raises(IntegrityError, match="terms of a subscription do not change"):
            sql(f"UPDATE customers_subscription SET {change}")

    @pytest.mark.parametrize("due_from", ["due_from - interval '1 microsecond'", "starts_at"])
    def test_what_is_invoiced_stays_invoiced(self, acme: Customer, due_from: str) -> None:
        subscribe(customer=acme, version=making.published(), starts_on=date(2023, 11, 1))
        sql("UPDATE customers_subscription SET due_from = '2023-12-01Z', due_at = '2024-01-01Z'")
        with pytest.raises(IntegrityError, match="that is never done again"):
            sql(f"UPDATE customers_subscription SET due_from = {due_from}")
        sql("UPDATE customers_subscription SET due_from = NULL, due_at = NULL")
        with pytest.raises(IntegrityError, match="that is never done again"):
            sql("UPDATE customers_subscription SET due_from = '2024-01-01Z', due_at = '2024-02-01Z'")

    def insert(self, customer: Customer, version: PlanVersion, **fields: object) -> Subscription:
        return Subscription.objects.create(
            **{
                "reference": "raw",
                "customer": customer,
                "version": version,
                "anchor": date(2023, 11, 1),
                "timezone": "UTC",
                "starts_at": utc(11, 1),
                **fields,
            }
        )

    def test_a_draft_cannot_be_subscribed_to(self, acme: Customer) -> None:
        with pytest.raises(IntegrityError, match="Only a published plan version"), transaction.atomic():
            self.insert(acme, making.version())

    def test_currencies_are_equal(self, acme: Customer) -> None:
        with pytest.raises(IntegrityError, match="in EUR, the customer in USD"), transaction.atomic():
            self.insert(acme, making.published(currency="EUR"))

    def test_claims_follow_and_take_no_hand(self, acme: Customer) -> None:
        made = self.insert(acme, making.published())
        sql("UPDATE customers_subscription SET ends_at = '2023-12-01 00:00Z'")
        assert MeterClaim.objects.get().period.upper == utc(12, 1)
        for statement in (
            "DELETE FROM customers_meterclaim",
            "UPDATE customers_meterclaim SET named_events_only = true",
            "INSERT INTO customers_meterclaim SELECT * FROM customers_meterclaim",
        ):
            with pytest.raises(IntegrityError, match="not written by hand"):
                sql(statement)
        made.delete()
        assert not MeterClaim.objects.exists()

    def test_overlap_is_refused(self, acme: Customer) -> None:
        tokens = making.meter()
        self.insert(acme, making.published(tokens))
        with pytest.raises(IntegrityError, match="meter_claim_no_overlap"), transaction.atomic():
            self.insert(acme, making.published(tokens), reference="second")

    def test_a_subscribed_customers_currency_stays(self, acme: Customer) -> None:
        self.insert(acme, making.published())
        with pytest.raises(IntegrityError, match="keeps its currency"):
            sql("UPDATE customers_customer SET currency = 'EUR'")


@pytest.mark.django_db(transaction=True)
class TestRaces:
    """Two connections at once."""

    def both(self, *works: object) -> list[object]:
        """Runs each in a thread of its own, started together; what each returned or raised."""
        start = threading.Barrier(len(works))
        results: list[object] = [None] * len(works)

        def run(index: int, work: object) -> None:
            start.wait()
            try:
                results[index] = work()
            except Exception as error:  # noqa: BLE001 - the outcome is what is looked at
                results[index] = error
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        return results

    @pytest.mark.parametrize("attempt", range(3))
    def test_of_two_that_overlap_one_is_made_and_the_other_told_why(self, attempt: int) -> None:
        acme = create_customer(reference="acme", name="Acme")
        tokens, calls = making.meter(), making.meter()
        drafts = [making.version(), making.version()]
        for draft, meters in zip(drafts, [(tokens, calls), (calls, tokens)], strict=True):
            for each in meters:
                making.usage_charge(draft, each)
        versions = [making.publish(draft) for draft in drafts]
        results = self.both(
            *[lambda v=v: subscribe(customer=acme, version=v, starts_on=date(2023, 11, 1)) for v in versions]
        )
        assert sorted(type(result).__name__ for result in results) == ["Refused", "Subscription"]
        refused = next(result for result in results if isinstance(result, Refused))
        assert {fault.code for fault in refused.faults} == {"meter_conflict"}
        assert Subscription.objects.count() == 1
        assert MeterClaim.objects.count() == 2

    def test_raw_inserts_that_overlap_do_not_deadlock(self) -> None:
        acme = create_customer(reference="acme", name="Acme")
        tokens = making.meter()
        versions = [making.published(tokens), making.published(tokens)]
        insert = TestRawSql().insert
        results = self.both(*[lambda v=v, n=n: insert(acme, v, reference=f"raw-{n}") for n, v in enumerate(versions)])
        assert sorted(type(result).__name__ for result in results) == ["IntegrityError", "Subscription"]
        assert "meter_claim_no_overlap" in str(next(r for r in results if isinstance(r, IntegrityError)))

    def test_a_currency_cannot_slip_in_beside_a_subscription(self) -> None:
        acme = create_customer(reference="acme", name="Acme")
        version = making.published()
        results = self.both(
            lambda: subscribe(customer=acme, version=version, starts_on=date(2023, 11, 1)),
            lambda: change_customer(Customer.objects.get(), currency="EUR"),
        )
        assert len([result for result in results if isinstance(result, Refused)]) == 1
        currency = Customer.objects.get().currency
        assert currency == ("USD" if Subscription.objects.exists() else "EUR")
