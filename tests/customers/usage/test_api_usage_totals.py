"""GET /v1/usage of what cannot be added up, before and after days are closed; and of hostile names, as CSV."""

import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from customers.subscriptions.subscribing import create_customer
from meters.events.decoding import decode
from meters.ingestion.ingest import accept
from meters.models import Bucket
from meters.usage import day_totals
from tests.customers.conftest import Caller
from tests.meters import making

pytestmark = pytest.mark.django_db
# Berlin's 29 March 2026 has 23 hours: from 23:00 UTC on the 28th until 22:00 UTC on the 29th.
START, END = "2026-03-27", "2026-03-31"
SENT = [
    ("2026-03-28T22:59:59Z", 3, "a"),
    ("2026-03-28T23:00:00Z", 9, "a"),
    ("2026-03-29T01:30:00Z", -4, "b"),
    ("2026-03-29T21:59:59Z", 9, "b"),
    ("2026-03-29T22:00:00Z", 5, "a"),
]
# The 28th, 29th and 30th, then all of it.
EXPECTED = {
    "count": ["1", "3", "1", "5"],
    "sum": ["3", "14", "5", "22"],
    "max": ["3", "9", "5", "9"],
    "min": ["3", "-4", "5", "-4"],
    "average": ["3", "4.666666666667", "5", "4.4"],
    "latest": ["3", "9", "5", "5"],
    "unique_count": ["1", "2", "1", "4"],
}


def meters(*aggregations: str) -> None:
    create_customer(reference="acme", name="Acme", timezone="Europe/Berlin")
    for each in aggregations:
        values = [] if each == "count" else [("", "v")]
        making.tokens_meter(code=each, aggregation=each, values=values, label_dimension="")


def send() -> None:
    events = [
        making.event(f"r{n}", timestamp=at, properties={"v": value, "model": model})
        for n, (at, value, model) in enumerate(SENT)
    ]
    assert accept(decode(json.dumps(events).encode(), datetime(2026, 4, 2, tzinfo=UTC), making.LIMITS)).accepted == 5


def answer(caller: Caller, **query: Any) -> Any:
    return caller.client.get("/v1/usage", {"from": START, "to": END, "customer": "acme", **query})


def test_what_cannot_be_added_up_is_right_in_rows_and_totals(writer: Caller) -> None:
    meters(*EXPECTED)
    send()
    before = answer(writer, window="day").json()
    for aggregation, expected in EXPECTED.items():
        rows = [row for row in before["data"] if row["meter"] == aggregation]
        totals = [row for row in before["totals"] if row["meter"] == aggregation]
        assert [row["quantity"] for row in (*rows, *totals)] == expected, aggregation
        assert [row["events"] for row in (*rows, *totals)] == [1, 3, 1, 5]
    assert before["data"][1]["start"] == "2026-03-29T00:00:00+01:00"
    assert before["data"][1]["end"] == "2026-03-30T00:00:00+02:00"

    with CaptureQueriesContext(connection) as by_hours:
        by_model = answer(writer, group_by="model").json()
    day_totals.close(datetime(2026, 4, 2, tzinfo=UTC))
    while day_totals.work(timedelta(minutes=1)):
        pass
    with CaptureQueriesContext(connection) as by_days:
        assert answer(writer, group_by="model").json() == by_model
    assert len(by_days) == len(by_hours)
    assert answer(writer, window="day").json() == before
    # The 29th and 30th lie wholly in it in UTC; their hours are not looked at any more.
    Bucket.objects.filter(hour__gte="2026-03-29T00:00Z", hour__lt="2026-03-30T00:00Z").update(quantity=1000, events=7)
    assert answer(writer, group_by="model").json() == by_model


def test_a_csv_runs_no_formula(writer: Caller) -> None:
    create_customer(reference="=1+1", name="Hostile")
    making.tokens_meter(code="sum", values=[("", "v")], label_dimension="")
    making.send(
        *(
            making.event(f"r{n}", customer="=1+1", properties={"v": -5, "model": model})
            for n, model in enumerate(["@SUM(A1)", "-2", "=cmd|' /C calc'!A0", "\tx", "+1", "plain"])
        )
    )
    found = writer.client.get(
        "/v1/usage", {"from": "2026-03-01", "to": "2026-04-01", "group_by": "model", "format": "csv"}
    )
    rows = list(csv.DictReader(StringIO(found.getvalue().decode())))
    assert {row["customer"] for row in rows} == {"'=1+1"}
    assert sorted(row["dimensions.model"] for row in rows) == sorted(
        ["'@SUM(A1)", "'-2", "'=cmd|' /C calc'!A0", "'\tx", "'+1", "plain"]
    )
    assert {row["quantity"] for row in rows} == {"-5"}, "a number is no formula"
