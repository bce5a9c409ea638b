"""Charges of a draft in the API: rows as a whole, in every currency."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.documents import exporting
from catalog.documents import plan as documents
from catalog.models import Cell, Charge, PlanVersion
from tests.catalog.calling import V1, Caller, brought, faults, message
from tests.catalog.plan_documents import chatbot

pytestmark = pytest.mark.django_db
PATH = f"{V1}/charges"
CALLS: dict[str, Any] = {
    "code": "calls",
    "name": "Calls",
    "kind": "usage",
    "product": "api",
    "meter": "tokens",
    "included": "100",
    "unmatched": "zero",
    "cost_model": "model",
    "rows": [
        {"match": {"model": "a", "token_type": "*"}, "model": "package", "unit_price": "2", "size": "1000"},
        {"unit_price": 1},
    ],
    "lists": {"EUR": {"minimum": "0.50", "rows": [{"unit_price": "0.9"}]}},
}


@pytest.fixture
def version(db: None) -> PlanVersion:
    return brought()


@pytest.fixture
def writer(db: None) -> Caller:
    return Caller("read", "write")


def without_ids(said: Any) -> Any:
    if isinstance(said, dict):
        return {name: without_ids(each) for name, each in said.items() if name != "id"}
    return [without_ids(each) for each in said] if isinstance(said, list) else said


def test_added_read_changed_and_removed(version: PlanVersion, writer: Caller) -> None:
    made = writer.post(PATH, CALLS)
    assert made.status_code == 201
    assert without_ids(made.json()) == {
        "code": "calls",
        "name": "Calls",
        "kind": "usage",
        "product": "api",
        "position": 2,
        "timing": "arrears",
        "amount": None,
        "meter": "tokens",
        "unit": "token",
        "dimensions": ["model", "size", "token_type"],
        "unmatched": "zero",
        "included": "100",
        "minimum": None,
        "cap": None,
        "cost_model": "model",
        "cost_token_type": "",
        "cost_context": "",
        "rows": [
            {"match": {"model": "a"}, "model": "package", "unit_price": "2", "size": "1000"},
            {"match": {}, "model": "per_unit", "unit_price": "1"},
        ],
        "lists": {
            "EUR": {
                "amount": None,
                "minimum": "0.5",
                "cap": None,
                "rows": [{"match": {}, "model": "per_unit", "unit_price": "0.9"}],
            }
        },
    }
    assert writer.get(f"{PATH}/calls").json() == made.json()
    listed = writer.get(PATH).json()
    assert [each["code"] for each in listed["data"]] == ["base", "tokens", "calls"]
    assert (listed["data"][2], listed["next"]) == (made.json(), None)
    changed = writer.patch(f"{PATH}/calls", {"code": "c", "included": None, "position": 0, "cost_model": ""})
    assert changed.json() == {**made.json(), "code": "c", "included": None, "position": 0, "cost_model": ""}
    assert writer.delete(f"{PATH}/c").status_code == 204
    assert [charge.code for charge in version.charges.all()] == ["base", "tokens"]


def test_a_fee(version: PlanVersion, writer: Caller) -> None:
    body = {"code": "setup", "name": "Setup", "kind": "flat", "product": "api", "amount": "99", "timing": "once"}
    made = writer.post(PATH, {**body, "position": 0, "lists": {"EUR": {"amount": "90"}}}).json()
    assert (made["amount"], made["timing"], made["position"]) == ("99.00", "once", 0)
    assert made["lists"]["EUR"] == {"amount": "90.00", "minimum": None, "cap": None, "rows": []}
    changed = writer.patch(f"{PATH}/setup", {"amount": "9.5", "timing": "arrears", "name": "Set-up"}).json()
    assert (changed["amount"], changed["timing"], changed["name"]) == ("9.50", "arrears", "Set-up")
    assert writer.patch(f"{PATH}/setup", {}).json() == changed
    assert writer.patch(f"{PATH}/setup", {"timing": None, "position": None}).json() == changed


def test_what_is_given_is_changed_and_the_rest_stays(version: PlanVersion, writer: Caller) -> None:
    writer.post(PATH, CALLS)
    before = {cell.pk for cell in Cell.objects.filter(charge__code="tokens")}
    changed = writer.patch(f"{PATH}/calls", {"lists": {"EUR": {"cap": "9"}}}).json()["lists"]["EUR"]
    assert (changed["minimum"], changed["cap"], len(changed["rows"])) == ("0.5", "9", 1)
    rows = [{"match": {"model": "b"}, "unit_price": "3"}]
    changed = writer.patch(f"{PATH}/calls", {"rows": rows, "lists": {"EUR": {"rows": []}}}).json()
    assert (without_ids(changed["rows"]), changed["lists"]["EUR"]["rows"]) == (
        [{**rows[0], "model": "per_unit"}],
        [],
    )
    assert changed["lists"]["EUR"]["cap"] == "9"
    assert {cell.pk for cell in Cell.objects.filter(charge__code="tokens")} == before


def test_what_cannot_be_read_is_named(version: PlanVersion, writer: Caller) -> None:
    rows = [{"match": {"model": 1.5}, "unit_price": 0.1}, {"price": "1"}]
    answer = writer.post(PATH, {**CALLS, "rows": rows, "kind": "usge", "unit": "x", "lists": {"EUR": {"amount": []}}})
    assert (answer.status_code, sorted(faults(answer))) == (
        400,
        [
            ("kind", "choice_unknown"),
            ("lists.EUR.amount", "number_invalid"),
            ("rows.0.match", "match_invalid"),
            ("rows.0.unit_price", "number_invalid"),
            ("rows.1.price", "field_unknown"),
            ("unit", "field_read_only"),
        ],
    )
    assert faults(writer.post(PATH, {**CALLS, "kind": "flat"})) == [
        ("amount", "required"),
        *((name, "field_of_other_kind") for name in ("meter", "unmatched", "included", "cost_model", "rows")),
        ("lists.EUR.minimum", "field_of_other_kind"),
        ("lists.EUR.rows", "field_of_other_kind"),
    ]
    assert faults(writer.patch(f"{PATH}/base", {"rows": [{}], "kind": "usage"})) == [("kind", "field_read_only")]
    assert faults(writer.patch(f"{PATH}/base", {"rows": [{"unit_price": "1"}]})) == [("rows", "field_of_other_kind")]
    assert faults(writer.patch(f"{PATH}/tokens", {"meter": "calls"})) == [("meter", "field_read_only")]
    assert Charge.objects.count() == 2


def test_everything_that_makes_no_sense_is_told_at_once(version: PlanVersion, writer: Caller) -> None:
    rows = [{"match": {"modle": "a"}, "unit_price": "-1"}, {"unit_price": "1", "size": "1"}]
    wrong = {"rows": rows, "minimum": "2.001", "included": "-1", "name": "", "cost_context": "model"}
    lists = {"EUR": {"cap": "0.001", "rows": rows[1:]}, "JPY": {}}
    expected = [
        ("cost_context", "band_unknown"),
        ("included", "price_negative"),
        ("minimum", "amount_too_precise"),
        ("name", "blank"),
        ("rows.0.match", "dimension_unknown"),
        ("rows.0.unit_price", "price_negative"),
        ("rows.1.size", "price_field_unused"),
    ]
    changed = writer.patch(f"{PATH}/tokens", {**wrong, "product": "ap", "lists": lists})
    assert (changed.status_code, sorted(set(faults(changed)))) == (
        422,
        sorted(
            {
                *expected,
                ("lists.EUR.cap", "amount_too_precise"),
                ("lists.EUR.rows.0.size", "price_field_unused"),
                ("lists.JPY", "price_list_unknown"),
                ("product", "product_unknown"),
                ("", "invalid"),
            }
        ),
    )
    made = writer.post(PATH, {**CALLS, **wrong})
    assert (made.status_code, sorted(set(faults(made)) - {("", "invalid")})) == (422, expected)
    answer = writer.post(PATH, {**CALLS, "product": "ap", "meter": "token"})
    assert faults(answer) == [("product", "product_unknown"), ("meter", "meter_unknown")]
    assert [error["message"] for error in answer.json()["errors"]] == [
        "There is no product “ap”: did you mean “api”?",
        "There is no meter “token”: did you mean “tokens”?",
    ]
    assert exporting.content(version) == documents.from_json(chatbot()).version


def test_a_code_is_taken_once(version: PlanVersion, writer: Caller) -> None:
    answer = writer.post(PATH, {**CALLS, "code": "tokens"})
    assert (answer.status_code, faults(answer)) == (422, [("code", "code_taken")])
    assert faults(writer.patch(f"{PATH}/base", {"code": "tokens"})) == [("code", "code_taken")]
    assert writer.patch(f"{PATH}/base", {"code": "base"}).status_code == 200


def test_a_charge_that_is_not_there(version: PlanVersion, writer: Caller) -> None:
    answer = writer.get(f"{PATH}/token")
    assert (answer.status_code, faults(answer)) == (404, [("", "charge_unknown")])
    assert message(answer) == "There is no charge of Chatbot v1 “token”: did you mean “tokens”?"
    assert writer.get(f"{PATH}/a%00").status_code == 404
    assert writer.patch(f"{PATH}/nothing", {}).status_code == 404
    assert writer.delete(f"{PATH}/nothing").status_code == 404


def test_a_repeated_write_happens_once(version: PlanVersion, writer: Caller) -> None:
    first, again = (writer.post(PATH, CALLS, key="once") for _ in range(2))
    assert (again.status_code, again.json()) == (201, first.json())
    assert version.charges.count() == 3


def test_thousands_of_rows_are_written_in_a_few_statements(version: PlanVersion, writer: Caller) -> None:
    def statements(number: int, price: str) -> int:
        rows = [{"match": {"model": f"m{each}"}, "unit_price": price} for each in range(number)]
        with CaptureQueriesContext(connection) as captured:
            assert writer.patch(f"{PATH}/tokens", {"rows": rows}).status_code == 200
        return len(captured)

    statements(5, "1")
    few = statements(5, "2")
    assert statements(5_000, "2") <= few + 5  # a thousand in a batch, and those that are gone
    assert statements(5_000, "3") == few
    assert few < 60
