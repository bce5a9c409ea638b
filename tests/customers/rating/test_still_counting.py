"""A meter that is still counting stored events: its usage is shown as unfinished, and is in no line."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.test import Client

from billing_site.foundation.periods import Period
from catalog.models import PlanVersion
from customers.models import Customer, Subscription
from customers.rating.chunks import Request, measure, rate
from customers.subscriptions.subscribing import create_customer, subscribe
from customers.usage import as_csv as usage_csv
from customers.usage import periodic
from meters.models import Backfill, Meter
from meters.usage.reading import StillCounting
from tests.customers import making
from tests.customers.conftest import Caller

pytestmark = pytest.mark.django_db

NOON = datetime(2023, 11, 7, 12, tzinfo=UTC)
NOVEMBER = Period(datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC))
ASKED = {"from": "2023-11-01", "to": "2023-12-01"}


@pytest.fixture
def acme(db: None) -> Customer:
    return create_customer(reference="acme", name="Acme")


@pytest.fixture
def tokens(acme: Customer) -> Meter:
    """43 of 100 ids are counted."""
    meter = making.meter("tokens")
    making.use("acme", meter, NOON, 7)
    Backfill.objects.create(meter=meter, generation=1, start=10, cursor=53, boundary=110)
    return meter


def on(customer: Customer, version: PlanVersion) -> Subscription:
    return subscribe(customer=customer, version=version, starts_on=date(2023, 11, 1))


def finish(meter: Meter) -> None:
    Backfill.objects.filter(meter=meter).update(status="done", cursor=110, counted_at=NOON)


def test_it_makes_no_line_and_holds_the_invoice(acme: Customer, tokens: Meter) -> None:
    version = making.version()
    making.usage_charge(version, tokens)
    making.fee(version, "20", "arrears")
    other = making.version()
    making.fee(other, "5", "arrears")
    waits = on(acme, making.publish(version))
    free = on(acme, making.publish(other))
    requests = [Request(1, waits.pk, NOVEMBER, None), Request(2, free.pk, NOVEMBER, None)]
    rated = rate(requests)
    assert [str(line.amount) for line in rated[1].lines] == ["20.00"]
    assert rated[1].problems == [
        "The meter “tokens” is still counting stored events (43 %). The invoice waits for it, and goes on by itself."
    ]
    assert (len(rated[2].lines), rated[2].problems) == (1, [])
    assert list(measure(requests)) == [2], "what late usage is measured by is not known either"
    finish(tokens)
    rated = rate(requests)
    assert [line.quantity for line in rated[1].lines] == [7, 1]
    assert (rated[1].problems, list(measure(requests))) == ([], [1, 2])


def test_a_fee_in_advance_waits_for_nothing(acme: Customer, tokens: Meter) -> None:
    version = making.version()
    making.usage_charge(version, tokens)
    making.fee(version, "20")
    subscription = on(acme, making.publish(version))
    rated = rate([Request(1, subscription.pk, None, NOVEMBER)])
    assert ([line.amount for line in rated[1].lines], rated[1].problems) == ([Decimal(20)], [])


@pytest.mark.parametrize("address", ["/v1/usage", "/v1/customers/acme/usage"])
def test_the_api_says_so(address: str, writer: Caller, tokens: Meter) -> None:
    making.meter("calls")
    answer = writer.get(address, **ASKED).json()
    assert answer["still_counting"] == [{"meter": "tokens", "percent": 43}]
    assert writer.get(address, **ASKED, meter="calls").json()["still_counting"] == []
    finish(tokens)
    assert writer.get(address, **ASKED).json()["still_counting"] == []


@pytest.mark.parametrize("address", ["/v1/usage", "/v1/customers/acme/usage"])
def test_the_api_says_so_of_a_meter_that_begins_to_count_in_between(
    address: str, writer: Caller, tokens: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, early = periodic.still_counting, iter([[]])
    monkeypatch.setattr(periodic, "still_counting", lambda meters: next(early, None) or asked(meters))
    assert writer.get(address, **ASKED).json()["still_counting"] == [{"meter": "tokens", "percent": 43}]


def test_a_file_breaks_off_when_a_meter_begins_to_count_in_between(
    writer: Caller, tokens: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_csv, "still_counting", lambda meters: [])
    answer = writer.get("/v1/usage", **ASKED, format="csv")
    with pytest.raises(StillCounting):
        b"".join(answer.streaming_content)


def test_a_file_is_refused_until_it_is_whole(writer: Caller, tokens: Meter) -> None:
    making.meter("calls")
    answer = writer.get("/v1/usage", **ASKED, format="csv")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "usage_still_counting_conflict")
    assert "“tokens” is still counting stored events (43 %)" in answer.json()["errors"][0]["message"]
    assert writer.get("/v1/usage", **ASKED, format="csv", meter="calls").status_code == 200
    finish(tokens)
    assert writer.get("/v1/usage", **ASKED, format="csv").status_code == 200


def test_the_customers_page_says_so(admin_client: Client, acme: Customer, tokens: Meter) -> None:
    address = f"/admin/customers/customer/{acme.pk}/change/"
    assert "“tokens” is still counting stored events (43 %)" in admin_client.get(address).content.decode()
    finish(tokens)
    assert "still counting" not in admin_client.get(address).content.decode()
