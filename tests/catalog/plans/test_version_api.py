"""Plans and their versions written in the API: drafts, price lists, publishing; and who may not."""

from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from catalog.documents import exporting
from catalog.documents import plan as documents
from catalog.documents.importing import bring
from catalog.models import Plan, PlanVersion
from catalog.versions import publishing
from catalog.versions.charging import drafted
from catalog.versions.publishing import clone_version, create_feature, create_plan, publish, retire
from tests.catalog.calling import V1, Caller, brought, faults, message
from tests.catalog.plan_documents import chatbot

pytestmark = pytest.mark.django_db


@pytest.fixture
def writer(db: None) -> Caller:
    return Caller("read", "write", "publish")


def test_a_plan_is_made_changed_and_deleted(writer: Caller) -> None:
    made = writer.post("/v1/plans", {"code": "chatbot", "name": "Chatbot", "margin_floor": "12.5"})
    assert (made.status_code, made.json()) == (
        201,
        {
            "code": "chatbot",
            "name": "Chatbot",
            "description": "",
            "consumption": "metered",
            "margin_floor": "12.5",
            "versions": [],
        },
    )
    changed = writer.patch("/v1/plans/chatbot", {"margin_floor": None, "consumption": "credits"})
    assert changed.json() == {**made.json(), "margin_floor": None, "consumption": "credits"}
    writer.post("/v1/plans/chatbot/versions", {})
    assert writer.delete("/v1/plans/chatbot").status_code == 204
    assert not Plan.objects.exists()


def test_a_plan_keeps_what_was_published(writer: Caller) -> None:
    publish(brought())
    answer = writer.patch("/v1/plans/chatbot", {"consumption": "credits", "name": "Bot"})
    assert (answer.status_code, faults(answer)) == (409, [("consumption", "consumption_conflict")])
    answer = writer.delete("/v1/plans/chatbot")
    assert (answer.status_code, faults(answer)) == (409, [("", "plan_published_conflict")])
    assert message(writer.get("/v1/plans/chatbt")) == "There is no plan “chatbt”: did you mean “chatbot”?"
    assert faults(writer.post("/v1/plans", {"code": "chatbot", "name": "C"})) == [("code", "code_taken")]
    assert faults(writer.post("/v1/plans", {"code": "c", "name": "C", "versions": []})) == [
        ("versions", "field_read_only")
    ]


def test_versions_of_any_status_are_shown_when_asked_for(writer: Caller) -> None:
    first = publish(brought())
    clone_version(retire(publish(clone_version(first))))

    def shown(path: str, **asked: str) -> list[tuple[int, str]]:
        answer = writer.get(path, **asked).json()
        [plan] = answer.get("data", [answer])
        return [(each["number"], each["status"]) for each in plan["versions"]]

    for path in ("/v1/plans", "/v1/plans/chatbot"):
        assert shown(path) == [(1, "published")]
        assert shown(path, status="draft") == [(3, "draft")]
        assert shown(path, status="retired,draft") == [(3, "draft"), (2, "retired")]
        for wrong in ("drafts", "", "draft, retired"):
            assert faults(writer.get(path, status=wrong)) == [("status", "status_unknown")]


def test_a_version_is_begun_empty_or_as_a_clone(writer: Caller) -> None:
    create_plan(code="empty", name="Empty")
    made = writer.post("/v1/plans/empty/versions", {"currency": "JPY", "interval": "year", "grace_seconds": 60})
    assert made.status_code == 201
    assert made.json() | {"id": 0, "created_at": ""} == {
        "id": 0,
        "number": 1,
        "name": "Empty v1",
        "status": "draft",
        "currency": "JPY",
        "interval": "year",
        "grace_seconds": 60,
        "published_at": None,
        "retired_at": None,
        "minimum": None,
        "cap": None,
        "commitment_product": None,
        "when_empty": "",
        "included_credits": None,
        "credit_price": None,
        "created_at": "",
        "lists": {},
        "charges": [],
        "features": {},
    }
    first = publish(brought())
    clone = writer.post("/v1/plans/chatbot/versions", {"clone_of": 1, "cap": "100"}).json()
    assert (clone["number"], clone["status"], clone["cap"], list(clone["lists"])) == (2, "draft", "100", ["EUR"])
    assert [charge["code"] for charge in clone["charges"]] == ["base", "tokens"]
    assert exporting.content(first).charges == exporting.content(PlanVersion.objects.get(number=2)).charges


def test_what_a_draft_cannot_be_is_named(writer: Caller) -> None:
    brought()
    path = "/v1/plans/chatbot/versions"
    answer = writer.post(path, {"clone_of": 9})
    assert (answer.status_code, message(answer)) == (404, "The plan “chatbot” has no version 9; its newest are 1.")
    assert faults(writer.post(path, {"grace_seconds": 1.5, "interval": "day"})) == [
        ("interval", "choice_unknown"),
        ("grace_seconds", "number_invalid"),
    ]
    assert faults(writer.patch(V1, {"currency": "EUX", "minimum": "2", "cap": "1.001"})) == [
        ("currency", "currency_unknown"),
        ("cap", "amount_too_precise"),
        ("minimum", "minimum_above_cap"),
        ("", "invalid"),
    ]
    assert faults(writer.patch(V1, {"commitment_product": "apo"})) == [("commitment_product", "product_unknown")]
    assert faults(writer.patch(V1, {"currency": "EUR"})) == [("currency", "currency_conflict")]
    assert faults(writer.patch(V1, {"status": "published", "charges": []})) == [
        ("status", "field_read_only"),
        ("charges", "field_read_only"),
    ]
    assert PlanVersion.objects.count() == 1


def test_terms_of_a_draft_change_and_a_draft_is_thrown_away(writer: Caller) -> None:
    brought()
    changed = writer.patch(V1, {"minimum": "50.00", "commitment_product": "api", "grace_seconds": 0})
    assert changed.status_code == 200
    assert [changed.json()[name] for name in ("minimum", "commitment_product", "grace_seconds")] == ["50", "api", 0]
    assert writer.get(V1).json() == changed.json()
    assert writer.delete(V1).status_code == 204
    assert writer.get(V1).status_code == 404


def test_what_a_draft_gives_of_features(writer: Caller) -> None:
    brought()
    create_feature(code="seats", name="Seats", kind="number")
    create_feature(code="sso", name="Single sign-on", kind="switch")
    given = {"seats": {"value": "5"}, "sso": {"value": True}}
    assert writer.patch(V1, {"features": given}).json()["features"] == given
    assert writer.get(V1).json()["features"] == given
    left = writer.patch(V1, {"features": {"sso": None}}).json()["features"]
    assert left == {"seats": {"value": "5"}}
    wrong = {"seats": {"value": "-1"}, "sso": {"value": "no"}, "seat": {"value": 1}}
    answer = writer.patch(V1, {"features": wrong, "currency": "EUX"})
    assert (answer.status_code, sorted(faults(answer))) == (
        422,
        [
            ("currency", "currency_unknown"),
            ("features.seat", "feature_unknown"),
            ("features.seats.value", "value_negative"),
            ("features.sso.value", "value_invalid"),
        ],
    )
    assert faults(writer.patch(V1, {"features": {"seats": {"value": 1.5}}})) == [
        ("features.seats.value", "value_invalid")
    ]
    clone = writer.post("/v1/plans/chatbot/versions", {"clone_of": 1, "features": {"sso": {"value": False}}}).json()
    assert clone["features"] == {"seats": {"value": "5"}, "sso": {"value": False}}


def test_a_price_list_is_put_and_taken_away(writer: Caller) -> None:
    brought()
    put = writer.put(f"{V1}/price-lists/JPY", {"cap": "1000"})
    assert (put.status_code, put.json()) == (200, {"minimum": None, "cap": "1000", "credit_price": None})
    assert writer.put(f"{V1}/price-lists/JPY", {}).json()["cap"] is None
    assert list(writer.get(V1).json()["lists"]) == ["EUR", "JPY"]
    assert faults(writer.put(f"{V1}/price-lists/JPY", {"cap": "1.5"})) == [("cap", "amount_too_precise")]
    assert faults(writer.put(f"{V1}/price-lists/USD", {})) == [("currency", "currency_conflict")]
    assert faults(writer.put(f"{V1}/price-lists/usd", {})) == [("currency", "currency_unknown")]
    assert writer.delete(f"{V1}/price-lists/JPY").status_code == 204
    gone = writer.delete(f"{V1}/price-lists/JPY")
    assert (gone.status_code, message(gone)) == (404, "Chatbot v1 has no price list in “JPY”; it has EUR.")


def test_reviewed_published_and_retired(writer: Caller) -> None:
    version = brought()
    assert writer.get(f"{V1}/review").json() == {"faults": [], "warnings": [], "changes": [], "previous": None}
    published = writer.post(f"{V1}/publish", None)
    assert (published.status_code, published.json()["version"]["status"]) == (200, "published")
    again = writer.post(f"{V1}/publish", None)
    assert (again.status_code, faults(again)) == (409, [("status", "version_status_conflict")])

    said = chatbot()
    said["charges"]["base"]["amount"] = "25"
    del said["charges"]["base"]["lists"]
    said["charges"]["tokens"]["rows"] = [{"match": {"model": "large"}, "unit_price": "0.00003"}]
    bring(documents.from_json(said))
    second = V1.replace("/1", "/2")
    review = writer.get(f"{second}/review").json()
    assert [(fault["field"], fault["code"]) for fault in review["faults"]] == [
        ("charges.base.lists.EUR.amount", "amount_missing")
    ]
    assert review["changes"][0] == "“Base”: the fee changes from $20.00 to $25.00."
    assert review["previous"] == 1
    assert "has no row of only *" in review["warnings"][0]
    refused = writer.post(f"{second}/publish", None)
    assert (refused.status_code, refused.json()["errors"]) == (422, review["faults"])

    retired = writer.post(f"{V1}/retire", None)
    assert (retired.status_code, retired.json()["status"]) == (200, "retired")
    assert writer.post(f"{second}/retire", None).status_code == 409
    version.refresh_from_db()
    assert retired.json()["retired_at"] == version.retired_at.isoformat().replace("+00:00", "Z")  # type: ignore[union-attr]


def test_a_version_is_looked_at_before_anything_is_locked(writer: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    version = brought()
    path = f"/v1/plans/{version.plan.code}/versions/{version.number}/publish"
    look, locked = publishing.review, []

    def locks(query: dict[str, str]) -> bool:
        return "FOR NO KEY UPDATE" in query["sql"] and "catalog_" in query["sql"]

    with CaptureQueriesContext(connection) as queries:

        def looked(version: PlanVersion) -> publishing.Review:
            locked.append(any(map(locks, queries.captured_queries)))
            return look(version)

        monkeypatch.setattr(publishing, "review", looked)
        assert writer.post(path, None).status_code == 200
    assert locked == [False]
    assert any(map(locks, queries.captured_queries))


def test_what_is_changed_while_a_version_is_looked_at_is_told(writer: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    version = brought()
    path = f"/v1/plans/{version.plan.code}/versions/{version.number}/publish"
    look, told = publishing.review, []

    def looked(version: PlanVersion) -> publishing.Review:
        found = look(version)
        if not told:
            charge = version.charges.exclude(meter=None).first()
            assert charge is not None
            publishing.set_rows(charge, None, drafted([({}, Decimal(0))]))
        told.append(found.warnings)
        return found

    monkeypatch.setattr(publishing, "review", looked)
    warnings = writer.post(path, None).json()["warnings"]
    assert warnings == told[1] != told[0]
    assert any("costs nothing, whatever is used" in each for each in warnings)


def test_warnings_and_changes_come_with_publishing(writer: Caller) -> None:
    first = publish(brought())
    clone_version(first)
    path = V1.replace("/1", "/2")
    writer.patch(f"{path}/charges/tokens", {"rows": [{"match": {"model": "a"}, "unit_price": "1"}]})
    published = writer.post(f"{path}/publish", None).json()
    assert len(published["warnings"]) == 1
    assert len(published["changes"]) == 3
    assert published["version"]["number"] == 2


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("patch", V1, {"cap": "1"}),
        ("delete", V1, None),
        ("put", f"{V1}/price-lists/JPY", {}),
        ("delete", f"{V1}/price-lists/EUR", None),
        ("post", f"{V1}/charges", {"code": "x", "name": "X", "kind": "flat", "product": "api", "amount": "1"}),
        ("patch", f"{V1}/charges/base", {"amount": "1"}),
        ("patch", f"{V1}/charges/tokens", {"lists": {"EUR": {"rows": []}}}),
        ("delete", f"{V1}/charges/base", None),
        ("put", f"{V1}/document", chatbot(interval="year")),
    ],
)
def test_what_was_published_never_changes(writer: Caller, method: str, path: str, body: Any) -> None:
    version = publish(brought())
    before = exporting.content(version)
    answer = writer.send(method, path, body)
    assert answer.status_code == 409
    assert {code for _, code in faults(answer)} == {"version_published_conflict"}
    assert exporting.content(version) == before


def test_a_write_holds_for_what_was_read(writer: Caller) -> None:
    brought()
    tag = writer.get(V1)["ETag"]
    assert {writer.get(f"{V1}/{part}")["ETag"] for part in ("document", "review")} == {tag}
    assert writer.put(f"{V1}/document", chatbot(interval="year"), tag=tag).status_code == 200
    writes = [
        ("patch", V1, {"cap": "1"}),
        ("delete", V1, None),
        ("put", f"{V1}/price-lists/JPY", {}),
        ("post", f"{V1}/charges", {"code": "x", "name": "X", "kind": "flat", "product": "api", "amount": "1"}),
        ("patch", f"{V1}/charges/base", {"amount": "1"}),
        ("delete", f"{V1}/charges/base", None),
        ("put", f"{V1}/document", chatbot()),
        ("post", f"{V1}/publish", None),
    ]
    for method, path, body in writes:
        for stale in (tag, "nonsense", f"W/{tag}"):
            answer = writer.send(method, path, body, tag=stale)
            assert (answer.status_code, faults(answer)) == (412, [("", "changed_meanwhile")])
    now = writer.get(V1)["ETag"]
    assert writer.send("patch", f"{V1}/charges/base", {"amount": "21"}, tag=f'"other", {now}').status_code == 200
    assert writer.send("patch", V1, {"interval": "week"}, tag="*").status_code == 200
    assert writer.send("post", f"{V1}/publish", tag=writer.get(f"{V1}/review")["ETag"]).status_code == 200


@pytest.mark.parametrize("number", ["0", "2", "99999999999999999999"])
def test_a_version_that_is_not_there(writer: Caller, number: str) -> None:
    brought()
    path = f"/v1/plans/chatbot/versions/{number}"
    for rest in ("", "/review", "/document", "/charges", "/charges/base"):
        answer = writer.get(path + rest)
        assert (answer.status_code, faults(answer)) == (404, [("", "version_unknown")])
    assert faults(writer.get("/v1/plans/a%00/versions/1")) == [("", "plan_unknown")]
    assert writer.get("/v1/plans/chatbot/versions/one").status_code == 404


@pytest.mark.parametrize("path", [f"{V1}/price-lists/EUR", f"{V1}/document", V1, f"{V1}/publish", "/v1/meters"])
def test_what_may_be_asked_of_an_address(writer: Caller, path: str) -> None:
    assert writer.send("options", path).status_code == 200


REVIEW = f"{V1}/review"
READS = ["/v1/plans/chatbot?status=draft", V1, REVIEW, f"{V1}/document", f"{V1}/charges"]


def test_the_number_of_queries_does_not_grow(writer: Caller) -> None:
    brought()

    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert writer.client.get(path).status_code == 200
        return len(captured)

    for path in READS:
        queries(path)
    few = [queries(path) for path in READS]
    said = chatbot()
    rows = [{"match": {"model": str(each)}, "unit_price": "1"} for each in range(5_000)]
    said["charges"]["tokens"]["rows"] = rows
    bring(documents.from_json(said))
    assert [queries(path) for path in READS] == few
    said["charges"] |= {str(each): {**said["charges"]["tokens"], "rows": rows[:3]} for each in range(6)}
    bring(documents.from_json(said))
    # A review looks at the usage of each charge.
    assert [queries(path) for path in READS if path != REVIEW] == [
        count for path, count in zip(READS, few, strict=True) if path != REVIEW
    ]
    assert max(few) <= 40


WRITES = [
    ("post", "/v1/plans", "write"),
    ("patch", "/v1/plans/chatbot", "write"),
    ("delete", "/v1/plans/chatbot", "write"),
    ("get", "/v1/plans/chatbot/document", "read"),
    ("put", "/v1/plans/chatbot/document", "write"),
    ("post", "/v1/plans/chatbot/versions", "write"),
    ("get", V1, "read"),
    ("patch", V1, "write"),
    ("delete", V1, "write"),
    ("get", f"{V1}/review", "read"),
    ("post", f"{V1}/publish", "publish"),
    ("post", f"{V1}/retire", "publish"),
    ("get", f"{V1}/document", "read"),
    ("put", f"{V1}/document", "write"),
    ("put", f"{V1}/price-lists/JPY", "write"),
    ("delete", f"{V1}/price-lists/EUR", "write"),
    ("get", f"{V1}/charges", "read"),
    ("post", f"{V1}/charges", "write"),
    ("get", f"{V1}/charges/base", "read"),
    ("patch", f"{V1}/charges/base", "write"),
    ("delete", f"{V1}/charges/base", "write"),
]


@pytest.mark.parametrize(("method", "path", "scope"), WRITES)
def test_only_the_right_scope_may(method: str, path: str, scope: str) -> None:
    version = brought()
    before = exporting.tag_of(exporting.WHOLE.get(pk=version.pk))
    assert Caller().send(method, path, {}).status_code == 401
    others = {"ingest", "read", "write", "publish", "backfill", "correct"} - {scope}
    refused = Caller(*others).send(method, path, {})
    assert (refused.status_code, faults(refused)) == (403, [("", "scope_missing")])
    assert exporting.tag_of(exporting.WHOLE.get(pk=version.pk)) == before
    assert Caller(scope).send(method, path, {}).status_code not in (401, 403)
    if method != "get":
        without_key = Caller(scope).client.generic(method.upper(), path, "{}", content_type="application/json")
        assert without_key.status_code == 400


@pytest.mark.django_db(transaction=True)
def test_two_publish_at_once_and_one_throws_it_away() -> None:
    version = brought()
    callers = [Caller("publish", "write") for _ in range(3)]
    answers: list[int] = []

    def run(caller: Caller, method: str, path: str) -> None:
        answers.append(caller.send(method, path).status_code)
        connections.close_all()

    paths = [("post", f"{V1}/publish"), ("post", f"{V1}/publish"), ("delete", V1)]
    threads = [Thread(target=run, args=(caller, *path)) for caller, path in zip(callers, paths, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if PlanVersion.objects.filter(pk=version.pk, status="published").exists():
        assert sorted(answers) == [200, 409, 409]
    else:
        assert sorted(answers) == [204, 404, 404]
