"""Whole plans in the API: read as documents, and made true."""

from copy import deepcopy
from decimal import Decimal

import pytest

from catalog.documents import exporting
from catalog.documents import text as document_text
from catalog.models import Plan, PlanVersion
from catalog.versions.publishing import change_charge, clone_version, create_plan, publish
from meters.models import Backfill, Meter
from tests.catalog.calling import V1, Caller, brought, faults
from tests.catalog.making import in_credits
from tests.catalog.plan_documents import chatbot
from tests.meters.making import event, send

pytestmark = pytest.mark.django_db
PATH = "/v1/plans/chatbot/document"


@pytest.fixture
def writer(db: None) -> Caller:
    return Caller("read", "write", "publish")


def test_a_whole_plan_in_one_request(writer: Caller) -> None:
    answer = writer.put(PATH, chatbot())
    assert answer.status_code == 200
    said = answer.json()
    assert (said["did"], said["version"]["number"], said["version"]["status"]) == ("created", 1, "draft")
    assert (said["notes"][0], said["faults"], said["warnings"]) == ("The plan “Chatbot” (chatbot) is new.", [], [])
    version = PlanVersion.objects.get()
    exported = writer.get(PATH).json()
    assert exported == document_text.to_json(exporting.export(version))
    assert "meters" not in exported
    whole = writer.get(PATH, definitions="true").json()
    assert whole == document_text.to_json(exporting.export(version, definitions=True))
    again = writer.put(PATH, whole).json()
    assert (again["did"], again["notes"]) == ("unchanged", [])
    assert writer.post(f"{V1}/publish", None).status_code == 200


def test_what_a_document_says_otherwise_is_a_draft(writer: Caller) -> None:
    publish(brought())
    said = deepcopy(chatbot())
    said["charges"]["base"]["amount"] = "25"
    del said["charges"]["base"]["lists"]
    answer = writer.put(PATH, said).json()
    assert (answer["did"], answer["version"]["number"]) == ("created", 2)
    assert answer["changes"] == [
        "“Base”: the fee changes from $20.00 to $25.00.",
        "“Base” in EUR: the fee changes from 18.5 to nothing.",
    ]
    assert [(fault["field"], fault["code"]) for fault in answer["faults"]] == [
        ("charges.base.lists.EUR.amount", "amount_missing")
    ]
    assert writer.get(PATH).json()["charges"]["base"]["amount"] == "20"  # what is sold
    assert writer.get(V1.replace("/1", "/2") + "/document").json()["charges"]["base"]["amount"] == "25"


def test_what_changes_in_credits_is_said_in_credits(writer: Caller) -> None:
    """By the review, by the answer to publishing, and by what a document changes."""
    version = clone_version(publish(in_credits()))
    change_charge(version.charges.get(code="calls"), rows=[({}, Decimal(8))])
    said = ["“Calls”: everything (*) changes from 7 credits per call to 8 credits per call."]
    where = "/v1/plans/credits"
    document = writer.get(f"{where}/versions/2/document").json()
    assert writer.put(f"{where}/document", document).json()["changes"] == said
    assert writer.get(f"{where}/versions/2/review").json()["changes"] == said
    assert writer.post(f"{where}/versions/2/publish", None).json()["changes"] == said


def test_the_version_of_an_address_is_the_one_that_changes(writer: Caller) -> None:
    first = publish(brought())
    clone_version(first)
    clone_version(first)
    path = V1.replace("/1", "/2") + "/document"
    assert writer.put(path, chatbot(interval="year")).json()["version"]["number"] == 2
    assert list(PlanVersion.objects.order_by("number").values_list("interval", flat=True)) == ["month", "year", "month"]
    assert writer.put(f"{V1}/document", chatbot()).json()["did"] == "unchanged"


def test_what_is_wrong_is_named_and_nothing_is_changed(writer: Caller) -> None:
    answer = writer.put(PATH, chatbot(format=2, nmae=""))
    assert (answer.status_code, faults(answer)) == (400, [("nmae", "field_unknown"), ("format", "number_invalid")])
    said = chatbot(currency="EUX")
    said["charges"]["tokens"]["rows"][1]["unit_price"] = "-1"
    answer = writer.put(PATH, said)
    assert (answer.status_code, faults(answer)) == (
        422,
        [("currency", "currency_unknown"), ("charges.tokens.rows.1.unit_price", "price_negative")],
    )
    answer = writer.put(PATH, chatbot(code="other"))
    assert (answer.status_code, faults(answer)) == (422, [("code", "code_differs")])
    assert not Plan.objects.exists()
    assert faults(writer.get(PATH)) == [("", "plan_unknown")]
    create_plan(code="chatbot", name="Chatbot")
    assert faults(writer.get(PATH)) == [("", "version_unknown")]
    brought()
    assert faults(writer.get(PATH, definitions="yes")) == [("definitions", "boolean_invalid")]


def test_a_repeated_write_happens_once(writer: Caller) -> None:
    first = writer.put(PATH, chatbot(), key="once")
    again = writer.put(PATH, chatbot(), key="once")
    assert (again.json(), again["Idempotent-Replayed"]) == (first.json(), "true")
    assert again.json()["did"] == "created"


def test_a_meter_that_comes_with_it_counts_what_is_stored(writer: Caller) -> None:
    send(event())
    writer.put(PATH, chatbot())
    assert Backfill.objects.get().meter == Meter.objects.get()
    counting = writer.get("/v1/meters/tokens").json()["still_counting"]
    assert counting == {"percent": 0, "failed": False}
