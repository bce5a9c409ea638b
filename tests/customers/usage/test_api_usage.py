"""Usage of one customer and period in the API."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.models import Customer
from customers.subscriptions.subscribing import create_customer
from meters.models import Meter
from tests.customers import making
from tests.customers.conftest import Caller

pytestmark = pytest.mark.django_db

NOON = datetime(2023, 11, 7, 12, tzinfo=UTC)
NOVEMBER = {"from": "2023-11-01", "to": "2023-12-01"}


def errors(answer: object) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


@pytest.fixture
def acme(db: None) -> Customer:
    return create_customer(reference="acme", name="Acme", timezone="Europe/Berlin", aliases=["a-1"])


@pytest.fixture
def tokens(db: None) -> Meter:
    meter = making.meter("tokens", ["model"], "token_type", "token")
    for reference, model, kind, quantity in [
        ("acme", "b", "input", "10"),
        ("a-1", "b", "input", "5.5"),
        ("acme", "a", "output", "2"),
        ("stranger", "a", "input", "1000"),
    ]:
        making.use(reference, meter, NOON, quantity, {"model": model, "token_type": kind})
    making.use("acme", meter, NOON, 1, {"token_type": "input"}, subscription="any")
    return meter


def test_quantities_by_meter(writer: Caller, acme: Customer, tokens: Meter) -> None:
    calls = making.meter("calls", unit="call")
    making.use("acme", calls, NOON, 3)
    making.meter("unused")
    answer = writer.get("/v1/customers/a-1/usage", **NOVEMBER)
    assert answer.status_code == 200
    assert answer.json() == {
        "customer": "acme",
        "from": "2023-10-31T23:00:00Z",
        "to": "2023-11-30T23:00:00Z",
        "data": [
            {"meter": "calls", "unit": "call", "dimensions": {}, "quantity": "3", "values": 1},
            {"meter": "tokens", "unit": "token", "dimensions": {}, "quantity": "18.5", "values": 4},
        ],
        "still_counting": [],
    }


def test_quantities_by_dimension(writer: Caller, acme: Customer, tokens: Meter) -> None:
    answer = writer.get("/v1/customers/acme/usage", **NOVEMBER, meter="tokens", group_by="model")
    assert [(row["dimensions"], row["quantity"]) for row in answer.json()["data"]] == [
        ({}, "1"),
        ({"model": "a"}, "2"),
        ({"model": "b"}, "15.5"),
    ]
    both = writer.get("/v1/customers/acme/usage", **NOVEMBER, meter="tokens", group_by="token_type,model").json()[
        "data"
    ]
    assert [row["dimensions"] for row in both] == [
        {"token_type": "input"},
        {"token_type": "input", "model": "b"},
        {"token_type": "output", "model": "a"},
    ]


def test_the_bounds_may_be_instants(writer: Caller, acme: Customer, tokens: Meter) -> None:
    hour = {"from": "2023-11-07T12:00:00Z", "to": "2023-11-07T12:00:01Z"}
    assert len(writer.get("/v1/customers/acme/usage", **hour).json()["data"]) == 1
    before = {"from": "2023-11-07T12:59:59+01:00", "to": "2023-11-07T12:00:00Z"}
    assert writer.get("/v1/customers/acme/usage", **before).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "fault", "words"),
    [
        ({"from": "2023-11-01"}, ("to", "bound_missing"), "Say which period"),
        ({**NOVEMBER, "from": "soon"}, ("from", "bound_invalid"), "“soon” is neither a day"),
        ({**NOVEMBER, "to": "2023-11-01"}, ("to", "period_empty"), "not after"),
        ({**NOVEMBER, "meter": "tokens,nope"}, ("meter", "meter_unknown"), "no meter “nope”; the meters are tokens"),
        ({**NOVEMBER, "group_by": "colour"}, ("group_by", "dimension_unknown"), "“tokens” has model, token_type."),
    ],
)
def test_bad_queries(
    writer: Caller, acme: Customer, tokens: Meter, query: dict, fault: tuple[str, str], words: str
) -> None:
    answer = writer.get("/v1/customers/acme/usage", **query)
    assert (answer.status_code, errors(answer)) == (422, [fault])
    assert words in answer.json()["errors"][0]["message"]


def test_the_number_of_queries_does_not_grow(writer: Caller, acme: Customer, tokens: Meter) -> None:
    writer.get("/v1/customers/acme/usage", **NOVEMBER)
    with CaptureQueriesContext(connection) as few:
        writer.get("/v1/customers/acme/usage", **NOVEMBER)
    for _ in range(10):
        meter = making.meter(dimensions=["model"])
        making.use("acme", meter, NOON, 1, {"model": "a"})
    writer.get("/v1/customers/acme/usage", **NOVEMBER)
    with CaptureQueriesContext(connection) as many:
        answer = writer.get("/v1/customers/acme/usage", **NOVEMBER)
    assert len(answer.json()["data"]) == 11
    assert len(many) == len(few)
