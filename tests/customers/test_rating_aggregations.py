"""Quantities that do not add up, priced: one for each row, of all the usage that the row takes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.periods import Period
from customers.models import Subscription
from customers.periodic import used
from customers.rating import Rated, Request, measure, rate
from customers.subscribing import create_customer, subscribe
from meters.decoding import Batch, SentEvent
from meters.ingest import accept
from meters.metering import define_meter
from meters.models import Meter
from tests.customers import making

pytestmark = pytest.mark.django_db

NOVEMBER = Period(datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC))
NOON = datetime(2023, 11, 7, 12, tzinfo=UTC)
ROWS = [({"model": "a"}, "2"), ({"model": "b", "region": "eu"}, "3"), ({}, "1")]
USED = [
    ("a", "eu", "5"),
    ("a", "us", "9"),
    ("a", "us", "9"),
    ("b", "eu", "3"),
    ("c", "eu", "7.5"),
    (None, "us", "0.25"),
]


def meter(aggregation: str, **changes: Any) -> Meter:
    return define_meter(
        code="peak",
        name="Peak",
        event_type="gauge",
        unit="unit",
        aggregation=aggregation,
        values=[("", "v")],
        dimensions=[("model", "model"), ("region", "region"), ("team", "team", "pending")],
        **changes,
    )


def send(rows: Sequence[tuple[str | None, str | None, str]], first: datetime = NOON) -> None:
    events = [
        SentEvent(
            number,
            f"{first}-{number}",
            "gauge",
            "acme",
            first + timedelta(hours=number),
            None,
            "succeeded",
            "",
            {"model": model, "region": region, "v": value, "team": f"t{number}"},
        )
        for number, (model, region, value) in enumerate(rows)
    ]
    accept(Batch(events))


def subscribed(priced: Meter, rows: Sequence[tuple[Mapping[str, str], str]] = ROWS, **charge: str) -> Subscription:
    draft = making.version()
    making.usage_charge(draft, priced, rows, name="Peak", **charge)
    customer = create_customer(reference="acme", name="Acme")
    return subscribe(customer=customer, version=making.publish(draft), starts_on=date(2023, 11, 1))


def of(subscription: Subscription) -> Rated:
    return rate([Request(1, subscription.pk, NOVEMBER, None)])[1]


def shown(rated: Rated) -> list[tuple[str, str, str]]:
    return [(line.description, f"{line.quantity.normalize():f}", str(line.amount)) for line in rated.lines]


# Row a holds 5, 9 and 9; row b·eu 3; the row of only * 7.5 and 0.25.
PRICED = {
    "max": ("9", "3", "7.5", "18.00 9.00 7.50"),
    "min": ("5", "3", "0.25", "10.00 9.00 0.25"),
    "average": ("7.666666666667", "3", "3.875", "15.33 9.00 3.88"),
    "latest": ("9", "3", "0.25", "18.00 9.00 0.25"),
    "unique_count": ("2", "1", "2", "4.00 3.00 2.00"),
}


@pytest.mark.parametrize("aggregation", PRICED)
def test_a_row_has_one_quantity_of_all_it_takes(aggregation: str) -> None:
    priced = meter(aggregation)
    subscription = subscribed(priced)
    send(USED)
    rated = of(subscription)
    *quantities, amounts = PRICED[aggregation]
    names = ["Peak · a", "Peak · b · eu", "Peak"]
    assert shown(rated) == list(zip(names, quantities, amounts.split(), strict=True))
    assert list(rated.problems) == []
    # What late usage is compared with is what the lines say.
    ((combinations,),) = (each.values() for each in measure([Request(1, subscription.pk, NOVEMBER, None)]).values())
    assert {(tuple(line.dimensions.items()), line.quantity) for line in rated.lines} == {
        (tuple(each.dimensions.items()), each.quantity) for each in combinations
    }


def test_a_rounded_sum_is_rounded_for_each_row() -> None:
    subscription = subscribed(meter("sum", rounding=("ceil", 0)))
    send([("a", "eu", "0.1"), ("a", "us", "0.2"), ("c", "eu", "1.5"), ("d", None, "1.5")])
    assert shown(of(subscription)) == [("Peak · a", "1", "2.00"), ("Peak", "3", "3.00")]


def test_a_sum_that_is_not_rounded_keeps_a_line_for_each_combination() -> None:
    subscription = subscribed(meter("sum"))
    send([("a", "eu", "0.1"), ("a", "us", "0.2"), ("c", "eu", "1.5")])
    assert [(line[0], line[1]) for line in shown(of(subscription))] == [
        ("Peak · a · eu", "0.1"),
        ("Peak · a · us", "0.2"),
        ("Peak · c · eu", "1.5"),
    ]


def test_what_no_row_prices_is_named_by_its_combination() -> None:
    subscription = subscribed(meter("max"), rows=ROWS[:1])
    send(USED)
    rated = of(subscription)
    assert shown(rated) == [("Peak · a", "9", "18.00")]
    assert [problem.split(":")[0].split(" has no price for ")[1] for problem in rated.problems] == [
        "region = us",
        "model = b, region = eu",
        "model = c, region = eu",
    ]


def test_levels_are_carried_into_the_period() -> None:
    priced = meter("weighted_sum", value_kind="level", recurring=True)
    subscription = subscribed(priced, rows=[({}, "1")])
    send([("a", "eu", "10"), ("a", "us", "5")], NOVEMBER.start - timedelta(days=1))
    send([("a", "eu", "40")], NOVEMBER.start + timedelta(days=15))
    # Team t0 holds 10 for 15 days and then 40, team t1 5 all the time: (10 × 15 + 40 × 15 + 5 × 30) ÷ 30
    assert shown(of(subscription)) == [("Peak", "30", "30.00")]


def test_usage_by_fewer_dimensions_is_not_added_up() -> None:
    meter("max")
    customer = create_customer(reference="acme", name="Acme")
    send(USED)

    def read(*names: str) -> list[tuple[dict[str, str], Decimal]]:
        return [(dict(row.dimensions), row.quantity) for row in used(customer, NOVEMBER, group_by=names)]

    assert read() == [({}, 9)]
    assert read("region") == [({"region": "eu"}, Decimal("7.5")), ({"region": "us"}, 9)]
    assert read("model")[0] == ({}, Decimal("0.25"))


def test_the_number_of_queries_is_that_of_a_sum() -> None:
    subscription = subscribed(meter("max"))
    send(USED)
    of(subscription)
    with CaptureQueriesContext(connection) as for_one:
        of(subscription)
    with CaptureQueriesContext(connection) as for_many:
        rate([Request(number, subscription.pk, NOVEMBER, None) for number in range(50)])
    assert len(for_one) == len(for_many) <= 12
