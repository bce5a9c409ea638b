"""Usage that comes after its period was closed: listed with its quantity, never dropped, never counted twice."""

from datetime import date, timedelta
from decimal import Decimal
from threading import Event, Thread

import msgspec
import pgtrigger
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from customers.models import Alias, Subscription
from customers.rating import chunks as rating
from customers.subscriptions.subscribing import add_alias
from invoicing import late
from invoicing.models import Invoice, LateProblem, LateUsage
from meters.definitions.metering import define_meter
from meters.events.decoding import SentEvent
from meters.models import Meter, UsageChange
from tests.customers import making
from tests.invoicing.running import plan_with, run, sql, subscribed, together, utc
from tests.invoicing.sending import event, requests_meter, send

pytestmark = pytest.mark.django_db(transaction=True)

JANUARY = utc(2024, 1, 15, 12)
CLOSED = utc(2024, 2, 1, 1)
PRICES = [({"model": "a"}, "1"), ({"model": "b"}, "2")]


@pytest.fixture
def january() -> Invoice:
    """10 requests of model a, invoiced; nobody has looked for late usage since."""
    subscribed(plan_with(requests_meter(), rows=PRICES))
    send([event(JANUARY, 10)])
    late.watch(limit=100)
    run(CLOSED)
    return Invoice.objects.get(status="finalized")


def listed() -> list[tuple[int, dict[str, str], Decimal]]:
    return list(LateUsage.objects.order_by("dimensions__model").values_list("invoice", "dimensions", "quantity"))


def test_late_usage_is_listed_by_combination_and_leaves_the_invoice_alone(january: Invoice) -> None:
    before = Invoice.objects.values().get()
    send([event(JANUARY, 4), event(JANUARY, 7, "b"), event(utc(2024, 2, 1), 1000)])
    assert late.watch(limit=100) > 0
    assert listed() == [(january.pk, {"model": "a"}, 4), (january.pk, {"model": "b"}, 7)]
    assert Invoice.objects.values().get() == before
    assert not UsageChange.objects.exists()


READ = [("a", "us", 8), ("a", "eu", 5), ("b", "eu", 3), ("b", "us", 4)]
LATE = [("a", "us", 9), ("c", "eu", 5)]


@pytest.mark.parametrize(
    ("aggregation", "invoiced", "later"),
    [
        ("max", [("a", 8), ("eu", 3), ("", 4)], [("a", 1), ("eu", 2)]),
        ("latest", [("a", 5), ("eu", 3), ("", 4)], [("a", 4), ("eu", 2)]),
        ("unique_count", [("a", 2), ("eu", 1), ("", 1)], [("a", 1), ("eu", 1)]),
        ("average", [("a", Decimal("6.5")), ("eu", 3), ("", 4)], [("a", Decimal("0.833333333333")), ("eu", 1)]),
    ],
)
def test_of_what_does_not_add_up_the_difference_of_each_row_is_listed(
    aggregation: str, invoiced: list[tuple[str, object]], later: list[tuple[str, object]]
) -> None:
    """A row's quantity is one, of all its usage, whatever other dimensions tell it apart."""
    meter = define_meter(
        code="m",
        name="M",
        event_type="request",
        aggregation=aggregation,
        unit="u",
        values=[("", "v")],
        dimensions=[("model", "model"), ("region", "region"), ("team", "team", "pending")],
    )
    subscribed(plan_with(meter, rows=[({"model": "a"}, "1"), ({"region": "eu"}, "10"), ({}, "100")]))

    def used(number: int, model: str, region: str, value: int) -> SentEvent:
        properties = {"model": model, "region": region, "team": f"t{number}", "v": value}
        return msgspec.structs.replace(event(JANUARY + timedelta(minutes=number)), properties=properties)

    send([used(number, *each) for number, each in enumerate(READ)])
    late.watch(limit=100)
    run(CLOSED)
    invoice = Invoice.objects.get(status="finalized")
    lines = [("".join(line.dimensions.values()), line.quantity) for line in invoice.lines.all()]
    assert lines == invoiced
    send([used(number, *each) for number, each in enumerate(LATE, start=200)])
    late.watch(limit=100)
    assert [("".join(values.values()), quantity) for _, values, quantity in listed()] == later


def test_more_of_it_adds_up_and_what_goes_away_again_is_forgotten(january: Invoice) -> None:
    send([event(JANUARY, 4)])
    late.watch(limit=100)
    first = LateUsage.objects.get()
    send([event(JANUARY, 5)])
    late.watch(limit=100)
    assert listed() == [(january.pk, {"model": "a"}, 9)]
    again = LateUsage.objects.get()
    assert (again.pk, again.noticed_at) == (first.pk, first.noticed_at)
    assert again.updated_at > first.updated_at

    sql("UPDATE meters_bucket SET quantity = 6")  # as a void does: less than was invoiced
    sql("INSERT INTO meters_usagechange (customer, meter_id, hour) SELECT 'acme', id, %s FROM meters_meter", JANUARY)
    late.watch(limit=100)
    assert sum(quantity for *_, quantity in listed()) < 0

    sql("DELETE FROM meters_bucket WHERE slot <> (SELECT min(slot) FROM meters_bucket)")
    sql("UPDATE meters_bucket SET quantity = 10")
    sql("INSERT INTO meters_usagechange (customer, meter_id, hour) SELECT 'acme', id, %s FROM meters_meter", JANUARY)
    late.watch(limit=100)
    assert listed() == []


def test_late_usage_that_no_row_prices_is_listed_too(january: Invoice) -> None:
    send([event(JANUARY, 3, "new"), event(JANUARY, 2, None)])
    late.watch(limit=100)
    assert {(str(dimensions), int(quantity)) for _, dimensions, quantity in listed()} == {
        ("{'model': 'new'}", 3),
        ("{}", 2),
    }


def test_an_invoice_that_was_empty_is_looked_at_as_well() -> None:
    subscribed(plan_with(requests_meter(), rows=PRICES))
    run(CLOSED)
    empty = Invoice.objects.get(status="empty")
    send([event(JANUARY, 3)])
    late.watch(limit=100)
    assert listed() == [(empty.pk, {"model": "a"}, 3)]


def test_a_draft_takes_the_usage_itself() -> None:
    subscribed(plan_with(requests_meter(), rows=PRICES))
    run(utc(2024, 2, 1))  # in grace
    send([event(JANUARY, 3)])
    late.watch(limit=100)
    assert listed() == []
    run(CLOSED)
    assert Invoice.objects.get().total == 3
    late.watch(limit=100)
    assert listed() == []


def test_only_the_periods_that_changed_are_touched() -> None:
    subscribed(plan_with(requests_meter(), rows=PRICES), start=date(2023, 11, 1))
    run(CLOSED)
    send([event(utc(2023, 12, 31, 23), 1), event(utc(2024, 1, 1), 2)])
    late.watch(limit=100)
    found = LateUsage.objects.order_by("invoice_id").values_list("invoice__period_start", "quantity")
    assert list(found) == [(utc(2023, 12, 1), 1), (utc(2024, 1, 1), 2)]


def test_events_under_a_reference_that_becomes_an_alias_later_are_found(january: Invoice) -> None:
    send([event(JANUARY, 6, customer="acme-eu")])
    late.watch(limit=100)
    assert listed() == []
    add_alias(january.customer, "acme-eu")
    late.watch(limit=100)
    assert listed() == [(january.pk, {"model": "a"}, 6)]


def test_a_change_waits_for_a_reference_that_is_being_given_to_a_customer(january: Invoice) -> None:
    """The alias looked for usage before the events were committed, and is committed after they were looked at."""
    send([event(JANUARY, 4, customer="second-name")])
    assert late.watch(limit=100) == 0
    with pgtrigger.ignore():  # no change of the alias's own: it saw no usage
        Alias.objects.create(customer=january.customer, reference="second-name")
    assert late.watch(limit=100) == 1
    assert listed() == [(january.pk, {"model": "a"}, 4)]


def test_a_change_of_a_customer_whom_nobody_knows_does_not_wait_for_ever(january: Invoice) -> None:
    send([event(JANUARY, 4, customer="nobody")])
    sql("UPDATE meters_usagechange SET created_at = created_at - interval '11 minutes'")
    assert late.watch(limit=100) == 1
    assert not UsageChange.objects.exists()


def retry_now() -> None:
    LateProblem.objects.update(retry_at=utc(2024, 1, 1))


def test_a_change_is_kept_when_acting_on_it_fails(january: Invoice, monkeypatch: pytest.MonkeyPatch) -> None:
    send([event(JANUARY, 4)])

    def broken(requests: object) -> None:
        raise RuntimeError("cut off")

    monkeypatch.setattr(rating, "measure", broken)
    assert late.watch(limit=100) == 0
    problem = LateProblem.objects.get()
    assert (problem.customer, problem.meter.code, problem.error) == ("acme", "requests", "RuntimeError: cut off")
    monkeypatch.undo()
    assert late.watch(limit=100) == 0  # not again and again
    assert listed() == []
    retry_now()
    assert late.watch(limit=100) == 1
    assert listed() == [(january.pk, {"model": "a"}, 4)]
    assert not LateProblem.objects.exists()


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_one_customer_whose_terms_cannot_be_read_stops_nobody_and_loses_nothing(limit: int) -> None:
    meter = requests_meter()
    for reference in ("bad", "fine-1", "fine-2", "fine-3"):
        subscribed(plan_with(meter, rows=PRICES), reference)
    run(CLOSED)
    with pgtrigger.ignore():
        Subscription.objects.filter(customer__reference="bad").update(timezone="Nowhere/Land", alignment="sometimes")
    for reference in ("bad", "fine-1", "fine-2", "fine-3"):
        send([event(JANUARY, 4, customer=reference), event(JANUARY, 3, customer=reference)])
    late.watch(limit=limit)
    found = LateUsage.objects.order_by("invoice_id").values_list("invoice__customer__reference", "quantity")
    assert list(found) == [("fine-1", 7), ("fine-2", 7), ("fine-3", 7)]
    assert "could not be read" in LateProblem.objects.get(customer="bad").error
    assert set(UsageChange.objects.values_list("customer", flat=True)) == {"bad"}

    with pgtrigger.ignore():
        Subscription.objects.update(timezone="UTC", alignment="calendar")
    retry_now()
    late.watch(limit=limit)
    assert LateUsage.objects.get(invoice__customer__reference="bad").quantity == 7
    assert not UsageChange.objects.exists()


def test_a_difference_is_exact_to_the_last_digit() -> None:
    tokens = making.meter("tokens")
    subscribed(plan_with(tokens, price="0.000000000001"))
    making.use("acme", tokens, JANUARY, "100000000000000000.000000000001")
    run(CLOSED)
    assert Invoice.objects.get().status == "finalized"
    sql("UPDATE meters_bucket SET quantity = quantity + 0.000000000003")
    sql("INSERT INTO meters_usagechange (customer, meter_id, hour) VALUES ('acme', %s, %s)", tokens.pk, JANUARY)
    late.watch(limit=100)
    assert [quantity for *_, quantity in listed()] == [Decimal("0.000000000003")]


def test_usage_that_commits_while_the_invoice_is_being_finalized_is_found() -> None:
    """The run has read usage; before it commits, an event is accepted and the search for late usage begins."""
    subscribed(plan_with(requests_meter(), rows=PRICES))
    send([event(JANUARY, 10)])
    late.watch(limit=100)
    rate, rated, go_on = rating.rate, Event(), Event()

    def rate_and_wait(requests: object) -> object:
        result = rate(requests)  # type: ignore[arg-type]
        rated.set()
        assert go_on.wait(30)
        return result

    def meanwhile() -> None:
        assert rated.wait(30)
        send([event(JANUARY, 4)])
        searching = Thread(target=together, args=(lambda: late.watch(limit=100),))
        searching.start()
        searching.join(timeout=0.5)
        assert searching.is_alive(), "the search did not wait for the finalization"
        go_on.set()
        searching.join(timeout=30)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rating, "rate", rate_and_wait)
        together(lambda: run(CLOSED), meanwhile)
    invoice = Invoice.objects.get()
    assert (invoice.status, invoice.total) == ("finalized", 10)
    assert listed() == [(invoice.pk, {"model": "a"}, 4)]


def test_two_searches_at_once_end_with_the_newest_difference(january: Invoice) -> None:
    for _ in range(5):
        send([event(JANUARY, 1) for _ in range(3)])
        together(*[lambda: late.watch(limit=1)] * 4)
    assert listed() == [(january.pk, {"model": "a"}, 15)]


def _late_for(count: int) -> int:
    """Queries of one search that finds late usage of `count` customers."""
    meter = Meter.objects.first() or requests_meter()
    for number in range(count):
        subscribed(plan_with(meter, rows=PRICES), f"c-{count}-{number}")
    run(CLOSED)
    UsageChange.objects.all().delete()
    send([event(JANUARY, 1, customer=f"c-{count}-{number}") for number in range(count)])
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        late.watch(limit=10_000)
    return len(queries)


def test_a_search_costs_the_same_for_two_and_for_sixty_customers() -> None:
    few = _late_for(2)
    assert _late_for(60) == few
    assert LateUsage.objects.count() == 62
