"""Meters in the API: what a change counts anew, what is frozen, and who may not."""

from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from catalog.versions.publishing import add_usage_charge, publish
from meters.backfills import backfilling
from meters.models import Backfill, Meter
from tests.catalog.calling import Caller, faults, message
from tests.catalog.making import draft, product
from tests.meters.definitions.test_documents import SAID
from tests.meters.making import calls_meter, event, send, tokens_meter

pytestmark = pytest.mark.django_db
PATH = "/v1/meters"
CALLS = {"code": "calls", "name": "Calls", "event_type": "llm.request", "aggregation": "count", "unit": "call"}


@pytest.fixture
def writer(db: None) -> Caller:
    return Caller("read", "write")


def test_made_read_changed_and_deleted(writer: Caller) -> None:
    made = writer.post(PATH, SAID)
    assert made.status_code == 201
    state = {"frozen_at": None, "created_at": made.json()["created_at"], "still_counting": None}
    assert made.json() == {**SAID, **state}
    assert writer.get(f"{PATH}/tokens").json() == made.json()
    changed = writer.patch(f"{PATH}/tokens", {"name": "T", "filters": [], "series_limit": None})
    assert changed.json() == {**made.json(), "name": "T", "filters": [], "series_limit": None}
    assert writer.get(PATH).json() == {"data": [changed.json()], "next": None}
    assert writer.delete(f"{PATH}/tokens").status_code == 204
    assert not Meter.objects.exists()


def test_what_is_stored_is_counted_in_the_background_and_the_answer_says_how_far(writer: Caller) -> None:
    send(event(), event("r2"))
    assert writer.post(PATH, CALLS).json()["still_counting"] == {"percent": 0, "failed": False}
    backfilling.run(Meter.objects.get())
    assert writer.get(f"{PATH}/calls").json()["still_counting"] is None
    assert writer.patch(f"{PATH}/calls", {"unit": "request"}).json()["still_counting"] is None
    anew = writer.patch(f"{PATH}/calls", {"dimensions": [{"name": "model", "property": "model"}]}).json()
    assert (anew["still_counting"], anew["unit"]) == ({"percent": 0, "failed": False}, "request")
    Backfill.objects.filter(counted_at=None).update(status="failed", error="disk full")
    [listed] = writer.get(PATH).json()["data"]
    assert listed["still_counting"] == {"percent": 0, "failed": True}


def test_what_makes_no_sense_is_told_at_its_place(writer: Caller) -> None:
    calls_meter()
    wrong = {
        **SAID,
        "code": "No",
        "values": [{"property": "x"}, {"label": "a", "property": "y"}],
        "bands": [{"name": "model", "properties": [], "thresholds": ["2", "1"]}],
        "filters": [{"property": "x", "operator": "one_of"}],
    }
    answer = writer.post(PATH, wrong)
    assert (answer.status_code, faults(answer)) == (
        422,
        [
            ("code", "invalid_code"),
            ("values.0.label", "label_missing"),
            ("filters.0.values", "filter_values_missing"),
            ("bands.0.name", "dimension_name_taken"),
            ("bands.0.properties", "required"),
            ("bands.0.thresholds", "thresholds_not_ascending"),
        ],
    )
    answer = writer.post(PATH, {**CALLS, "code": "api_calls"})
    assert (answer.status_code, faults(answer)) == (422, [("code", "code_taken")])
    answer = writer.post(PATH, {**CALLS, "aggregation": "average?"})
    assert (answer.status_code, message(answer)) == (
        400,
        "“average?” is not possible here: did you mean “average”?",
    )
    assert faults(writer.patch(f"{PATH}/api_calls", {"still_counting": None})) == [
        ("still_counting", "field_read_only")
    ]
    assert Meter.objects.count() == 1


def test_a_frozen_meter_keeps_what_it_counts(writer: Caller) -> None:
    version = draft()
    add_usage_charge(version, code="t", name="T", product=product(), meter=tokens_meter(), rows=[({}, Decimal(1))])
    publish(version)
    path = f"{PATH}/llm_tokens"
    for change in ({"unit": "word"}, {"code": "other"}, {"dimensions": []}, {"aggregation": "max"}):
        answer = writer.patch(path, change)
        assert (answer.status_code, faults(answer)) == (409, [("", "meter_frozen_conflict")])
    answer = writer.delete(path)
    assert (answer.status_code, faults(answer)) == (409, [("", "meter_frozen_conflict")])
    changed = writer.patch(path, {"name": "All tokens", "description": "x", "series_limit": 50}).json()
    assert (changed["name"], changed["series_limit"]) == ("All tokens", 50)
    assert changed["frozen_at"] is not None


def test_a_meter_that_is_used_stays(writer: Caller) -> None:
    calls_meter()
    send(event())
    answer = writer.delete(f"{PATH}/api_calls")
    assert (answer.status_code, faults(answer)) == (409, [("", "meter_used_conflict")])
    add_usage_charge(draft(), code="t", name="T", product=product(), meter=tokens_meter(event_type="other"), rows=())
    answer = writer.delete(f"{PATH}/llm_tokens")
    assert (answer.status_code, faults(answer)) == (409, [("", "meter_used_conflict")])


def test_a_meter_that_is_not_there(writer: Caller) -> None:
    calls_meter()
    for method in ("get", "patch", "delete"):
        answer = writer.send(method, f"{PATH}/api_call", {})
        assert (answer.status_code, message(answer)) == (404, "There is no meter “api_call”: did you mean “api_calls”?")
    assert writer.get(f"{PATH}/a%00").status_code == 404


def test_a_repeated_write_happens_once(writer: Caller) -> None:
    first, again = (writer.post(PATH, CALLS, key="once") for _ in range(2))
    assert (again.status_code, again.json()) == (201, first.json())
    assert writer.client.post(PATH, CALLS, format="json").status_code == 400


def test_a_list_costs_the_same_whatever_its_length(writer: Caller) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert writer.get(PATH).status_code == 200
        return len(captured)

    tokens_meter()
    queries()
    few = queries()
    for number in range(5):
        tokens_meter(code=f"t{number}", bands=[("size", ["x"], [1])], filters=[("a", "present", [])])
    assert queries() == few
    assert [each["code"] for each in writer.get(PATH, limit="2").json()["data"]] == ["llm_tokens", "t0"]


@pytest.mark.parametrize(("method", "body"), [("get", {}), ("post", CALLS), ("patch", {"name": "X"}), ("delete", {})])
def test_who_may_not(method: str, body: Any) -> None:
    calls_meter()
    path = PATH if method == "post" else f"{PATH}/api_calls"
    assert Caller().send(method, path, body).status_code == 401
    scope = "read" if method == "get" else "write"
    others = {"ingest", "read", "write", "publish", "backfill", "correct"} - {scope}
    refused = Caller(*others).send(method, path, body)
    assert (refused.status_code, faults(refused)) == (403, [("", "scope_missing")])
    assert Meter.objects.get().name == "API calls"
    assert Caller(scope).send(method, path, body).status_code < 300


@pytest.mark.django_db(transaction=True)
def test_changes_of_different_fields_at_once_are_all_made() -> None:
    calls_meter()
    changes: list[dict[str, Any]] = [
        {"name": "N"},
        {"unit": "u"},
        {"description": "d"},
        {"dimensions": [{"name": "model", "property": "model"}]},
    ]
    callers = [Caller("write") for _ in changes]
    answers: list[int] = []

    def run(caller: Caller, change: dict[str, Any]) -> None:
        answers.append(caller.patch(f"{PATH}/api_calls", change).status_code)
        connections.close_all()

    threads = [Thread(target=run, args=pair) for pair in zip(callers, changes, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    meter = Meter.objects.get()
    assert (meter.name, meter.unit, meter.description) == ("N", "u", "d")
    assert meter.dimensions.count() == 1
