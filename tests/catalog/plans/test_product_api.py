"""Products in the API, and who may not."""

from threading import Thread
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from catalog.models import Product
from catalog.versions.products import create_product
from catalog.versions.publishing import publish
from tests.catalog.calling import Caller, brought, faults, message

pytestmark = pytest.mark.django_db
PATH = "/v1/products"


@pytest.fixture
def writer(db: None) -> Caller:
    return Caller("read", "write")


def test_made_read_changed_and_deleted(writer: Caller) -> None:
    body = {"code": "api", "name": "API", "description": "All of it", "tax_category": "saas"}
    made = writer.post(PATH, body)
    assert (made.status_code, made.json()) == (201, {**body, "created_at": made.json()["created_at"]})
    assert writer.get(f"{PATH}/api").json() == made.json()
    changed = writer.patch(f"{PATH}/api", {"name": "API 2", "tax_category": ""})
    assert (changed.status_code, changed.json()) == (200, {**made.json(), "name": "API 2", "tax_category": ""})
    assert writer.get(PATH).json() == {"data": [changed.json()], "next": None}
    gone = writer.delete(f"{PATH}/api")
    assert (gone.status_code, gone.content) == (204, b"")
    assert writer.get(f"{PATH}/api").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"code": "a"}, 400, [("name", "required")]),
        ({"code": "a", "name": 1, "colour": ""}, 400, [("colour", "field_unknown"), ("name", "text_invalid")]),
        ({"code": "a", "name": "\0"}, 400, [("name", "text_invalid")]),
        ({"code": "a", "name": "A", "created_at": ""}, 400, [("created_at", "field_read_only")]),
        ([], 400, [("", "object_invalid")]),
        ({"code": "A b", "name": ""}, 422, [("code", "invalid"), ("name", "blank")]),
        ({"code": "a" * 101, "name": "n" * 201}, 422, [("code", "max_length"), ("name", "max_length")]),
        ({"code": "taken", "name": "A"}, 422, [("code", "code_taken")]),
    ],
)
def test_what_is_wrong_is_named(writer: Caller, body: Any, status: int, expected: list[tuple[str, str]]) -> None:
    create_product(code="taken", name="Taken")
    answer = writer.post(PATH, body)
    assert (answer.status_code, sorted(faults(answer))) == (status, expected)
    assert Product.objects.count() == 1


def test_a_number_where_a_text_is_asked_is_quoted_as_people_write_it(writer: Caller) -> None:
    assert message(writer.post(PATH, {"code": "a", "name": 0.00001})) == "“0.00001” is not a text: put it in quotes."


def test_words_name_the_value_and_the_mend(writer: Caller) -> None:
    create_product(code="taken", name="Taken")
    assert message(writer.post(PATH, {"code": "taken", "name": "A"})) == (
        "There is a product “taken” already: choose another code."
    )
    assert message(writer.post(PATH, {"code": "A b", "name": "A"})) == (
        "Code cannot be “A b”: use lower-case letters, digits, “_”, “.” and “-”, beginning with a letter or digit."
    )
    assert message(writer.get(f"{PATH}/takn")) == "There is no product “takn”: did you mean “taken”?"
    assert message(writer.get(f"{PATH}/a%00")) == "There is no product “a\0”."


def test_a_name_that_stands_twice_is_refused(writer: Caller) -> None:
    headers = {"Idempotency-Key": "twice"}
    body = '{"code": "a", "name": "A", "code": "b"}'
    answer = writer.client.post(PATH, body, content_type="application/json", headers=headers)
    assert (answer.status_code, faults(answer)) == (400, [("", "parse_error")])
    assert "“code” stands twice" in message(answer)
    for body in ("[" * 100_000, '{"code": NaN}', '{"code": "\\ud800"', "\xff", "1" * 5_000):
        answer = writer.client.post(PATH, body, content_type="application/json", headers=headers)
        assert answer.status_code == 400


def test_one_that_is_sold_stays(writer: Caller) -> None:
    brought()
    publish(brought(code="other", minimum="1", commitment_product="api", lists={"EUR": {"minimum": "1"}}))
    answer = writer.delete(f"{PATH}/api")
    assert (answer.status_code, faults(answer)) == (409, [("", "product_used_conflict")])
    assert message(answer) == "“Chatbot API” is sold by Chatbot v1, Chatbot v1: it stays."


def test_a_repeated_write_happens_once(writer: Caller) -> None:
    body = {"code": "a", "name": "A"}
    first, again = (writer.post(PATH, body, key="once") for _ in range(2))
    assert (again.status_code, again.json(), again["Idempotent-Replayed"]) == (201, first.json(), "true")
    assert writer.post(PATH, {**body, "name": "B"}, key="once").status_code == 409
    assert writer.client.post(PATH, body, format="json").status_code == 400
    assert [writer.delete(f"{PATH}/a", key="gone").status_code for _ in range(2)] == [204, 204]


def test_lists_are_read_a_page_at_a_time(writer: Caller) -> None:
    for code in ("c", "a", "b"):
        create_product(code=code, name=code)
    first = writer.get(PATH, limit="2").json()
    assert [each["code"] for each in first["data"]] == ["a", "b"]
    with CaptureQueriesContext(connection) as captured:
        assert [each["code"] for each in writer.get(PATH, after=first["next"]).json()["data"]] == ["c"]
    assert len(captured) == 2  # the key, and the page


@pytest.mark.parametrize("method", ["get", "post", "patch", "delete"])
def test_who_may_not(method: str) -> None:
    create_product(code="a", name="A")
    path = PATH if method == "post" else f"{PATH}/a"
    assert Caller().send(method, path, {}).status_code == 401
    scope = "read" if method == "get" else "write"
    others = {"ingest", "read", "write", "publish", "backfill", "correct"} - {scope}
    refused = Caller(*others).send(method, path, {})
    assert (refused.status_code, faults(refused)) == (403, [("", "scope_missing")])
    assert Product.objects.get().name == "A"
    assert Caller("read").get(PATH, colour="red").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_not_make_two() -> None:
    callers = [Caller("write") for _ in range(4)]
    answers: list[int] = []

    def run(caller: Caller) -> None:
        answers.append(caller.post(PATH, {"code": "a", "name": "A"}).status_code)
        connections.close_all()

    threads = [Thread(target=run, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 422, 422, 422]
