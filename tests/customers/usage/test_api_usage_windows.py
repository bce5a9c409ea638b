"""GET /v1/usage: by window of time, dimension and customer, a page at a time."""

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.models import Customer
from customers.subscriptions.subscribing import create_customer
from customers.usage import pages as usage_pages
from meters.models import Event, Meter
from tests.customers import making
from tests.customers.conftest import Caller

pytestmark = pytest.mark.django_db

NOON = datetime(2023, 11, 7, 12, tzinfo=UTC)
NOVEMBER = {"from": "2023-11-01", "to": "2023-12-01"}


def ask(caller: Caller, **query: Any) -> Any:
    return caller.client.get("/v1/usage", {**NOVEMBER, **query})


def data(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    answer = ask(caller, **query)
    assert answer.status_code == 200, answer.content
    return list(answer.json()["data"])


def pages(caller: Caller, **query: Any) -> Iterator[dict[str, Any]]:
    after: dict[str, str] = {}
    for _ in range(1_000):
        page = ask(caller, **query, **after).json()
        yield page
        if page["next"] is None:
            return
        after = {"after": page["next"]}
    pytest.fail("The pages do not end.")


@pytest.fixture
def tokens(db: None) -> Meter:
    create_customer(reference="acme", name="Acme", timezone="Europe/Berlin", aliases=["a-1"])
    create_customer(reference="globex", name="Globex", timezone="America/New_York")
    create_customer(reference="idle", name="Idle")
    meter = making.meter("tokens", ["model"], "token_type", "token")
    for reference, at, model, kind, quantity in [
        ("acme", NOON, "b", "input", "10"),
        ("a-1", NOON, "b", "input", "5.5"),
        ("acme", NOON + timedelta(days=1), "a", "output", "2"),
        ("acme", datetime(2023, 11, 7, 23, 30, tzinfo=UTC), "a", "input", "100"),
        ("globex", datetime(2023, 11, 8, 4, 30, tzinfo=UTC), "a", "input", "7"),
        ("globex", datetime(2023, 11, 8, 5, 0, tzinfo=UTC), "a", "input", "0.5"),
        ("stranger", NOON, "a", "input", "1000"),
    ]:
        making.use(reference, meter, at, quantity, {"model": model, "token_type": kind})
    making.use("acme", meter, NOON, 1, {"token_type": "input"}, subscription="any")
    return meter


def test_days_of_each_customers_timezone(writer: Caller, tokens: Meter) -> None:
    answer = ask(writer, window="day", meter="tokens")
    assert answer.json() == {
        "data": [
            {
                "customer": customer,
                "meter": "tokens",
                "unit": "token",
                "start": start,
                "end": end,
                "dimensions": {},
                "quantity": quantity,
                "events": events,
            }
            for customer, start, end, quantity, events in [
                ("acme", "2023-11-07T00:00:00+01:00", "2023-11-08T00:00:00+01:00", "16.5", 3),
                ("acme", "2023-11-08T00:00:00+01:00", "2023-11-09T00:00:00+01:00", "102", 2),
                ("globex", "2023-11-07T00:00:00-05:00", "2023-11-08T00:00:00-05:00", "7", 1),
                ("globex", "2023-11-08T00:00:00-05:00", "2023-11-09T00:00:00-05:00", "0.5", 1),
            ]
        ],
        "totals": [
            {
                "customer": customer,
                "meter": "tokens",
                "unit": "token",
                "start": start,
                "end": end,
                "dimensions": {},
                "quantity": quantity,
                "events": events,
            }
            for customer, start, end, quantity, events in [
                ("acme", "2023-11-01T00:00:00+01:00", "2023-12-01T00:00:00+01:00", "118.5", 5),
                ("globex", "2023-11-01T00:00:00-04:00", "2023-12-01T00:00:00-05:00", "7.5", 2),
            ]
        ],
        "next": None,
        "still_counting": [],
    }


def test_by_dimension_and_for_some_values(writer: Caller, tokens: Meter) -> None:
    def quantities(**query: Any) -> list[tuple[Any, str]]:
        return [(row["dimensions"], row["quantity"]) for row in data(writer, customer="a-1", **query)]

    assert quantities(group_by="model") == [({}, "1"), ({"model": "a"}, "102"), ({"model": "b"}, "15.5")]
    assert quantities(group_by="token_type,model", window="month") == [
        ({"token_type": "input"}, "1"),
        ({"token_type": "input", "model": "a"}, "100"),
        ({"token_type": "input", "model": "b"}, "15.5"),
        ({"token_type": "output", "model": "a"}, "2"),
    ]
    assert quantities(**{"filter[model]": "a"}) == [({}, "102")]
    assert quantities(**{"filter[model]": ["a", ""]}) == [({}, "103")]
    assert quantities(**{"filter[model]": "a", "filter[token_type]": "output", "group_by": "model"}) == [
        ({"model": "a"}, "2")
    ]
    assert quantities(**{"filter[model]": "none such"}) == []


def test_totals_are_of_the_whole_period_under_the_filters(writer: Caller, tokens: Meter) -> None:
    answer = ask(writer, customer="acme", window="day", group_by="model", limit="1", **{"filter[model]": "a"}).json()
    assert [(row["dimensions"], row["quantity"]) for row in answer["data"]] == [({"model": "a"}, "102")]
    assert [(row["dimensions"], row["quantity"]) for row in answer["totals"]] == [({}, "102")]
    answer = ask(writer, customer="acme", window="hour", limit="1").json()
    assert [row["quantity"] for row in answer["data"]] == ["16.5"]
    assert [row["quantity"] for row in answer["totals"]] == ["118.5"]


@pytest.mark.parametrize("limit", [1, 2, 1000])
@pytest.mark.parametrize("cells", [1, 4, 1000])
def test_pages_hold_every_row_once(
    writer: Caller, tokens: Meter, monkeypatch: pytest.MonkeyPatch, limit: int, cells: int
) -> None:
    making.use("globex", making.meter("calls"), NOON, 3)
    query = {"window": "week", "group_by": "model,token_type"}
    everything = data(writer, **query, limit="1000")
    assert len(everything) == 6
    monkeypatch.setattr(usage_pages, "CELLS_AT_ONCE", cells)
    found = list(pages(writer, **query, limit=str(limit)))
    assert [row for page in found for row in page["data"]] == everything
    assert all(len(page["data"]) <= limit for page in found)


def test_a_row_that_comes_between_two_pages_hides_no_other(writer: Caller, tokens: Meter) -> None:
    query = {"customer": "acme", "group_by": "model", "limit": "2"}
    first = ask(writer, **query).json()
    making.use("acme", tokens, NOON, 1, {"model": "0"})
    making.use("acme", tokens, NOON, 1, {"model": "c"})
    second = ask(writer, **query, after=first["next"]).json()
    assert [row["dimensions"] for row in first["data"]] == [{}, {"model": "a"}]
    assert [row["dimensions"] for row in second["data"]] == [{"model": "b"}, {"model": "c"}]


@pytest.mark.parametrize("how", [{"format": "csv"}, {}])
def test_csv_holds_all_rows(
    writer: Caller, tokens: Meter, monkeypatch: pytest.MonkeyPatch, how: dict[str, str]
) -> None:
    making.use("acme", tokens, NOON, 1, {"model": 'a, "b"\n=1'})
    monkeypatch.setattr(usage_pages, "CELLS_AT_ONCE", 3)
    answer = writer.client.get(
        "/v1/usage",
        {**NOVEMBER, "window": "day", "group_by": "model", **how},
        headers={} if how else {"accept": "text/csv"},
    )
    assert answer["Content-Type"] == "text/csv; charset=utf-8; header=present"
    rows = list(csv.reader(StringIO(answer.getvalue().decode())))
    assert rows[:3] == [
        ["customer", "meter", "unit", "start", "end", "dimensions.model", "quantity", "events"],
        ["acme", "tokens", "token", "2023-11-07T00:00:00+01:00", "2023-11-08T00:00:00+01:00", "", "1", "1"],
        [*rows[1][:5], 'a, "b"\n=1', "1", "1"],
    ]
    expected = [row for page in pages(writer, window="day", group_by="model") for row in page["data"]]
    assert [(row[0], row[3], row[6]) for row in rows[1:]] == [
        (row["customer"], row["start"], row["quantity"]) for row in expected
    ]


BAD = {
    "no period": ({"to": ""}, 422, ("to", "bound_invalid"), "“” is neither a day"),
    "window": ({"window": "year"}, 422, ("window", "window_unknown"), "“year” is not a window; use one of hour"),
    "hours of years": ({"window": "hour", "from": "2020-01-01"}, 422, ("window", "windows_too_many"), "at most 10,000"),
    "meter": ({"meter": "x"}, 422, ("meter", "meter_unknown"), "no meter “x”; the meters are tokens"),
    "customer": ({"customer": "stranger"}, 422, ("customer", "customer_unknown"), "by “stranger”"),
    "group": ({"group_by": "colour"}, 422, ("group_by", "dimension_unknown"), "“tokens” has model, token_type."),
    "filter": ({"filter[colour]": "x"}, 422, ("filter[colour]", "dimension_unknown"), "no dimension “colour”"),
    "parameter": ({"filter": "x"}, 400, ("filter", "parameter_unknown"), "There is no parameter “filter”"),
    "limit": ({"limit": "0"}, 400, ("limit", "limit_invalid"), "“0” is not a whole number from 1 to 1000"),
    "cursor": ({"after": "x"}, 400, ("after", "cursor_invalid"), "not one of this query's"),
    "format": ({"format": "xml"}, 400, ("format", "format_unknown"), "“xml” is not a format; use json or csv."),
    "csv and limit": ({"format": "csv", "limit": "1"}, 422, ("limit", "limit_unused"), "leave “limit” out"),
    "csv and fault": ({"format": "csv", "meter": "x"}, 422, ("meter", "meter_unknown"), "no meter “x”"),
}


@pytest.mark.parametrize(("query", "status", "fault", "words"), BAD.values(), ids=BAD)
def test_bad_queries(
    writer: Caller, tokens: Meter, query: dict[str, str], status: int, fault: tuple[str, str], words: str
) -> None:
    answer = ask(writer, **query)
    error = answer.json()["errors"][0]
    assert (answer.status_code, (error["field"], error["code"])) == (status, fault)
    assert words in error["message"]
    assert answer["Content-Type"] == "application/json"


def test_a_cursor_of_another_query_is_refused(writer: Caller, tokens: Meter) -> None:
    cursor = ask(writer, window="day", limit="1").json()["next"]
    assert ask(writer, window="day", limit="5", after=cursor).status_code == 200
    assert ask(writer, window="week", limit="1", after=cursor).status_code == 400


def test_bounds_of_both_kinds_must_make_a_period_everywhere(writer: Caller, tokens: Meter) -> None:
    mixed = {"from": "2023-11-07", "to": "2023-11-07T03:00:00Z"}
    assert ask(writer, **mixed).json()["errors"][0]["code"] == "period_empty"
    assert ask(writer, **mixed, customer="acme").status_code == 200
    assert ask(writer, **mixed, customer="globex").json()["errors"][0]["code"] == "period_empty"


@pytest.mark.parametrize(("scopes", "status"), [((), 401), (("write",), 403), (("ingest",), 403), (("read",), 200)])
def test_who_may(caller: Callable[..., Caller], tokens: Meter, scopes: tuple[str, ...], status: int) -> None:
    for form in ("json", "csv"):
        answer = ask(caller(*scopes), format=form)
        assert answer.status_code == status
        if status != 200:
            assert "quantity" not in answer.content.decode()


def test_nothing_there(writer: Caller) -> None:
    nothing = {"data": [], "totals": [], "next": None, "still_counting": []}
    assert ask(writer).json() == nothing
    create_customer(reference="acme", name="Acme")
    assert ask(writer).json() == nothing
    making.meter("calls")
    assert ask(writer, window="day").json() == nothing


def test_the_number_of_queries_does_not_grow(writer: Caller, tokens: Meter) -> None:
    query = {"window": "day", "group_by": "model"}
    ask(writer, **query)
    with CaptureQueriesContext(connection) as few:
        ask(writer, **query)
    for number in range(10):
        create_customer(reference=f"c{number}", name="C")
        meter = making.meter(dimensions=["model"])
        for day in range(5):
            making.use(f"c{number}", meter, NOON + timedelta(days=day), 1, {"model": "a"})
    ask(writer, **query)
    with CaptureQueriesContext(connection) as many:
        found = ask(writer, **query)
    assert len(found.json()["data"]) > 5
    assert len(many) == len(few)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_windows_are_what_events_come_to(writer: Caller, data: st.DataObject) -> None:
    """Against a plain addition of the events that are stored, by the customer's calendar."""
    timezone = data.draw(st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe"]))
    code = f"m{Event.objects.count()}-{Meter.objects.count()}"
    customer = create_customer(reference=f"c-{code}", name="C", timezone=timezone)
    meter = making.meter(code, ["model", "region"])
    start = datetime(2023, 10, 28, tzinfo=UTC)
    for minutes, quantity, model, region in data.draw(
        st.lists(
            st.tuples(
                st.integers(0, 60 * 24 * 14), st.decimals(-5, 5, places=2), st.sampled_from("ab"), st.sampled_from("xy")
            ),
            max_size=12,
        )
    ):
        at = start + timedelta(minutes=minutes)
        making.use(customer.reference, meter, at, quantity, {"model": model, "region": region})
    period = {"from": "2023-10-29T13:20:00Z", "to": "2023-11-08T05:45:10Z"}
    step = data.draw(st.sampled_from(["hour", "day", "week", "month"]))
    rows = [
        row
        for page in pages(writer, **period, customer=customer.reference, meter=code, window=step, group_by="model")
        for row in page["data"]
    ]
    assert {
        (datetime.fromisoformat(row["start"]), row["dimensions"]["model"]): (Decimal(row["quantity"]), row["events"])
        for row in rows
    } == (_naive(customer, meter, step, datetime.fromisoformat(period["from"]), datetime.fromisoformat(period["to"])))


def _naive(
    customer: Customer, meter: Meter, step: str, start: datetime, end: datetime
) -> dict[tuple[datetime, str], tuple[Decimal, int]]:
    found: dict[tuple[datetime, str], tuple[Decimal, int]] = defaultdict(lambda: (Decimal(0), 0))
    zone = ZoneInfo(customer.timezone)
    for event in Event.objects.filter(type=meter.event_type, timestamp__gte=start, timestamp__lt=end):
        local = event.timestamp.astimezone(zone)
        begun = local.replace(minute=0)
        if step != "hour":
            begun = begun.replace(hour=0, fold=0)
        if step == "week":
            begun -= timedelta(days=local.weekday())
        if step == "month":
            begun = begun.replace(day=1)
        # A window that has begun before the period begins with it.
        bound = max(begun.astimezone(UTC), start)
        quantity, events = found[bound, event.properties["model"]]
        found[bound, event.properties["model"]] = quantity + event.value, events + 1
    return dict(found)


def test_what_may_be_asked_is_told_in_json_whatever_the_format(writer: Caller) -> None:
    answer = writer.client.options("/v1/usage?format=csv")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
