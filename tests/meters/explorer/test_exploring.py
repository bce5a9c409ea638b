"""The event explorer finds what is there, in order, a page at a time, and says where it stopped."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from meters.explorer import admin as explorer_admin
from meters.explorer import exploring, scanning
from meters.explorer.exploring import Condition, Operator, Search, find
from tests.meters.making import NOON, event, send

pytestmark = pytest.mark.django_db

LIST = "admin:meters_event_changelist"


@pytest.fixture
def events(db: None) -> None:
    send(
        event("r1"),
        event("r2", type="other"),
        event("r1", customer="globex"),
        event("r3", customer="globex", status="failed", timestamp="2026-03-11T06:00:00Z"),
    )


def found(client: Client, query: str) -> list[str]:
    answer = client.get(reverse(LIST) + query)
    assert answer.status_code == 200
    return [f"{row['event'].customer} {row['event'].reference}" for row in answer.context["rows"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["globex r3", "globex r1", "acme r2", "acme r1"]),
        ("?reference=r1", ["globex r1", "acme r1"]),
        ("?reference=%20r1%20&customer=acme", ["acme r1"]),
        ("?reference=r1&type=other", []),
        ("?reference=r", []),
        ("?customer=globex", ["globex r3", "globex r1"]),
        ("?customer=glob", []),
        ("?type=other", ["acme r2"]),
        ("?customer=acme&type=llm.request", ["acme r1"]),
        ("?status=failed", ["globex r3"]),
        ("?status=failed&customer=acme", []),
        ("?customer=globex&start=2026-03-11T06:00", ["globex r3"]),
        ("?customer=globex&end=2026-03-11T06:00:00", ["globex r1"]),
        ("?customer=globex&start=2026-03-10T12:00:01&end=2026-03-11T06:00:00", []),
        ("?reference=r3&start=2026-03-11T06:00", ["globex r3"]),
        ("?customer=acme&p-0-property=model&p-0-operator=is&p-0-value=model-a&type=other", ["acme r2"]),
        ("?customer=acme&p-0-property=model&p-0-operator=is&p-0-value=model-b", []),
        ("?customer=acme&p-3-property=input_tokens&p-3-operator=is&p-3-value=100.0&type=other", ["acme r2"]),
        ("?after=nonsense", ["globex r3", "globex r1", "acme r2", "acme r1"]),
    ],
)
def test_finding_events(operator: Client, events: None, query: str, expected: list[str]) -> None:
    assert found(operator, query) == expected


PROPERTIES: dict[str, Any] = {
    "text": {"p": "1"},
    "number": {"p": 1.0},
    "fraction": {"p": 1.50},
    "true": {"p": True},
    "null": {"p": None},
    "missing": {"q": 1},
    "list": {"p": [1]},
    "nested": {"p": {"q": "1"}},
    "dotted": {"p.q": "1", "p": {"q": "2"}},
    "empty": {"p": ""},
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition("p", Operator.IS, "1"), {"text", "number"}),
        (Condition("p", Operator.IS, "1.0"), {"text", "number"}),
        (Condition("p", Operator.IS, "1.5"), {"fraction"}),
        (Condition("p", Operator.IS, "true"), {"true"}),
        (Condition("p", Operator.IS, ""), {"empty"}),
        (Condition("p", Operator.IS_NOT, "1"), set(PROPERTIES) - {"text", "number"}),
        (Condition("p", Operator.PRESENT), set(PROPERTIES) - {"null", "missing"}),
        (Condition("p", Operator.ABSENT), {"null", "missing"}),
        (Condition("p.q", Operator.IS, "1"), {"nested", "dotted"}),
        (Condition("p.q", Operator.IS, "2"), set()),
        (Condition("' OR true --", Operator.PRESENT), set()),
        (Condition("%s{}", Operator.PRESENT), set()),
    ],
)
def test_properties_compare_as_meters_compare_them(condition: Condition, expected: set[str]) -> None:
    send(*(event(name, properties=properties) for name, properties in PROPERTIES.items()))
    for search in (Search(customer="acme", conditions=(condition,)), Search(conditions=(condition,))):
        assert {each.reference for each in find(search).events} == expected
    both = Search(customer="acme", conditions=(condition, Condition("q", Operator.ABSENT)))
    assert {each.reference for each in find(both).events} == expected - {"missing"}


def all_pages(search: Search) -> tuple[list[str], int]:
    """What all pages hold together, and how many there were."""
    references: list[str] = []
    after = None
    for number in range(1, 1_000):
        page = find(search, after)
        references += [each.reference for each in page.events]
        if page.next is None:
            return references, number
        after = page.next
    pytest.fail("The pages do not end.")


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Thirty events of three types, some at the same instant; few fit on a page."""

    def make(looked_through: int) -> None:
        monkeypatch.setattr(exploring, "PAGE", 4)
        monkeypatch.setattr(exploring, "LOOKED_THROUGH", looked_through)
        send(
            *(
                event(
                    f"e{n:02}",
                    type=f"type-{n % 3}",
                    timestamp=(NOON + timedelta(minutes=n // 5)).isoformat(),
                    properties={"odd": n % 2 == 1, "last": n == 0},
                )
                for n in range(30)
            ),
            *(event(f"x{n}", customer="globex", type="type-1") for n in range(3)),
        )

    return make


NEWEST = [f"e{n:02}" for n in reversed(range(30))]


@pytest.mark.parametrize("looked_through", [1, 4, 7, 100])
def test_pages_hold_every_event_once_in_order(many: Callable[[int], None], looked_through: int) -> None:
    many(looked_through)
    odd = (Condition("odd", Operator.IS, "true"),)
    assert all_pages(Search(customer="acme")) == (NEWEST, 8)
    assert all_pages(Search(customer="acme", type="type-1"))[0] == [each for each in NEWEST if int(each[1:]) % 3 == 1]
    assert all_pages(Search(customer="acme", conditions=odd))[0] == [each for each in NEWEST if int(each[1:]) % 2]
    assert all_pages(Search(conditions=odd))[0] == [each for each in NEWEST if int(each[1:]) % 2]
    assert all_pages(Search())[0] == ["x2", "x1", "x0", *NEWEST]
    assert all_pages(Search(type="type-1"))[0][:4] == ["x2", "x1", "x0", "e28"]


def test_it_says_where_it_stopped(many: Callable[[int], None]) -> None:
    many(10)
    last = Search(customer="acme", conditions=(Condition("last", Operator.IS, "true"),))
    page = find(last)
    assert (page.events, page.stopped) == ([], True)
    assert page.next is not None
    assert page.next.timestamp == NOON + timedelta(minutes=4)
    assert all_pages(last)[0] == ["e00"]


def test_it_stops_among_events_of_one_type_too(many: Callable[[int], None]) -> None:
    many(4)
    nothing = (Condition("odd", Operator.IS, "perhaps"),)
    for search in (Search(customer="acme", type="type-0", conditions=nothing), Search(customer="globex", status="x")):
        page = find(search)
        assert page.events == []
        assert page.stopped == (search.customer == "acme")  # of globex there are three
        assert all_pages(search)[0] == []


def test_customers_and_types_are_suggested(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploring, "SUGGESTED", 2)
    for name in ("b", "ab", "aa", "ac", "a"):
        send(event("r", customer=name, type=f"t-{name}"), event("r2", customer=name, type="other"))

    def offered(what: str, **query: str) -> list[str]:
        answer = operator.get(reverse("admin:meters_event_suggest", args=[what]), query)
        return [option["value"] for option in answer.json()["options"]]

    assert offered("customers", q="a") == ["a", "aa"]
    assert offered("customers", q="ab") == ["ab"]
    assert offered("customers", q="A") == offered("customers", q="") == offered("customers", q="\0") == []
    assert offered("types", q="t-", customer="ab") == ["t-ab"]
    assert offered("types", customer="ab") == ["other", "t-ab"]
    assert offered("types", q="t-a") == ["t-a", "t-aa"]
    assert offered("types", q="\0") == offered("types", customer="\0") == []


def test_a_condition_is_removed_from_the_address(operator: Client) -> None:
    query = {"customer": "acme", "after": "x", "p-0-property": "a", "p-0-value": "1", "p-1-property": "b"}
    answer = operator.get(reverse(LIST), {**query, "remove": "0"})
    assert (answer.status_code, answer["Location"]) == (302, "?customer=acme&p-1-property=b")


def test_many_customers_with_one_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploring, "PAGE", 4)
    send(*(event("same", customer=f"c{n}") for n in range(11)))
    assert all_pages(Search(reference="same")) == (["same"] * 11, 3)


def test_the_explorer_says_so(operator: Client, many: Callable[[int], None]) -> None:
    many(10)
    address = reverse(LIST) + "?customer=acme&p-0-property=last&p-0-operator=is&p-0-value=true"
    page = operator.get(address)
    assert "events were looked through, back to 2026-03-10 12:04:00 UTC" in page.content.decode()
    assert "Nothing among these." in page.content.decode()
    for _ in range(2):
        page = operator.get(reverse(LIST) + page.context["older"])
    assert [row["event"].reference for row in page.context["rows"]] == ["e00"]
    assert page.context["older"] is None
    assert page.context["newest"] == address.removeprefix(reverse(LIST))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?start=2026-03-10T00:00", "Name a customer, or an event"),
        ("?customer=a&start=2026-03-10T00:00&end=2026-03-09T00:00", "2026-03-09 00:00:00 is not after"),
        ("?customer=a&start=soon", "Enter a valid date/time."),
        ("?status=lost", "Select a valid choice."),
        ("?p-0-value=x", "Which property is “x”?"),
        ("?reference=%00", "Null characters are not allowed."),
    ],
)
def test_what_cannot_be_asked_is_said(operator: Client, events: None, query: str, says: str) -> None:
    answer = operator.get(reverse(LIST) + query)
    assert says in answer.content.decode()
    assert answer.context["rows"] == []


def test_a_customer_with_too_many_types(operator: Client, events: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploring, "TYPES_AT_ONCE", 1)
    assert "name one of them" in operator.get(reverse(LIST) + "?customer=acme").content.decode()
    assert found(operator, "?customer=acme&type=other") == ["acme r2"]


def test_a_search_that_takes_too_long_is_ended(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any) -> None:
        connection.cursor().execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(explorer_admin, "find", slow)
    monkeypatch.setattr(scanning, "SECONDS_AT_MOST", 0.05)
    assert "This took too long" in operator.get(reverse(LIST) + "?reference=x").content.decode()


def test_nothing_there(operator: Client) -> None:
    assert "What programs send to /v1/events" in operator.get(reverse(LIST)).content.decode()
    assert "No event is like that" in operator.get(reverse(LIST) + "?customer=acme").content.decode()


def test_hostile_texts(operator: Client) -> None:
    hostile = "<script>alert(1)</script>"
    send(event(hostile, customer=hostile, type=hostile, properties={hostile: hostile, "deep": {"a": [hostile]}}))
    page = operator.get(reverse(LIST), {"customer": hostile, "p-0-property": hostile, "p-0-value": hostile})
    assert "<script>alert" not in page.content.decode()
    assert "&lt;script&gt;alert(1)" in page.content.decode()


def test_it_costs_the_same_for_many_events(operator: Client) -> None:
    def queries(query: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(reverse(LIST) + query).status_code == 200
        return len(captured)

    asked = ("", "?customer=acme", "?reference=r1", "?customer=acme&p-0-property=model&p-0-value=x")
    send(event("r1"))
    few = [queries(query) for query in asked]
    send(*(event(f"s{n}", type=f"t{n % 5}") for n in range(200)))
    assert [queries(query) for query in asked] == few


def test_searches_follow_their_indexes() -> None:
    """With small tables a plan by index has to be asked for; that it can follow the index alone is what counts."""
    from meters.explorer import exploring as searches

    send(*(event(f"s{n}", type=f"t{n % 3}") for n in range(50)))
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        plans = {}
        for name, search in {
            "customer": Search(customer="acme"),
            "type": Search(customer="acme", type="t1"),
            "arrived": Search(),
            "reference": Search(reference="s1"),
        }.items():
            looked_at, given, _ = searches._looked_at(search, searches._NOW, 51)
            cursor.execute(f"EXPLAIN {looked_at} LIMIT 51", given)
            plans[name] = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan; RESET enable_bitmapscan")
    assert "Merge Append" in plans["customer"]
    for name in ("customer", "type"):
        assert "Index Scan Backward using event_customer_type_time" in plans[name]
        assert "Incremental Sort" in plans[name]
        assert "  Sort  " not in plans[name]
    assert "Index Scan Backward using meters_event_pkey" in plans["arrived"]
    assert "event_once" in plans["reference"]


def test_who_may_not(client: Client, events: None) -> None:
    user = get_user_model().objects.create_user("viewer", password="a long password", is_staff=True)
    client.force_login(user)
    suggest = reverse("admin:meters_event_suggest", args=["customers"])
    assert client.get(reverse(LIST)).status_code == client.get(suggest).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_event"))
    assert client.get(reverse(LIST)).status_code == 200
    client.logout()
    assert client.get(reverse(LIST)).status_code == 302
