"""Voiding and amending by the API, and who may not."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
import time_machine

from billing_site.foundation.periods import Period
from customers.subscriptions.subscribing import create_customer
from meters.backfills.rebuilding import rebuild
from meters.models import Correction, Event
from meters.usage.reading import Window, read
from tests.customers.conftest import Caller
from tests.meters.making import NOON, event, send, tokens_meter

pytestmark = pytest.mark.django_db
SCOPES = {"read", "write", "ingest", "backfill", "correct"}
NOW = NOON + timedelta(days=1)
WHY = {"reason": "A test call of our own"}


@pytest.fixture(autouse=True)
def _the_next_day() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def corrector(caller: Callable[..., Caller]) -> Caller:
    return caller("correct")


def at(customer: str, reference: str, verb: str = "void") -> str:
    return f"/v1/customers/{quote(customer, safe='')}/events/{quote(reference, safe='')}/{verb}"


def codes(answer: Any) -> list[str]:
    return [each["code"] for each in answer.json()["errors"]]


def used(meter: Any) -> dict[str, int]:
    day = Period(NOON - timedelta(days=30), NOON + timedelta(days=1))
    found = read([Window(1, ("acme", "acme-old"), meter.pk, day)])[1]
    return {"/".join(each.dimensions.values()): int(each.quantity) for each in found}


def test_an_event_is_voided_once(corrector: Caller) -> None:
    meter = tokens_meter()
    send(event("r1"), event("r2"))
    answer = corrector.post(at("acme", "r1"), WHY, key="k1")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "customer": "acme",
            "reference": "r1",
            "kind": "void",
            "reason": "A test call of our own",
            "corrected_at": answer.json()["corrected_at"],
            "corrected_by": {"type": "api_key", "name": "key correct"},
            "counted_before": {"timestamp": "2026-03-10T12:00:00Z", "value": None},
            "counts_now": None,
        },
    )
    assert used(meter) == {"model-a/input": 100, "model-a/output": 10}
    repeated = corrector.post(at("acme", "r1"), WHY, key="k1")
    assert (repeated.json(), repeated.headers["Idempotent-Replayed"]) == (answer.json(), "true")
    again = corrector.post(at("acme", "r1"), WHY)
    assert (again.status_code, again.json()) == (200, answer.json())
    other = corrector.post(at("acme", "r1"), {"reason": "something else"})
    assert (other.status_code, codes(other)) == (409, ["event_voided_conflict"])
    assert "by the API key “key correct”: “A test call of our own”" in other.json()["errors"][0]["message"]
    assert corrector.post(at("acme", "r2"), WHY, key="k1").status_code == 200
    assert (Correction.objects.count(), rebuild(meter)) == (2, [])


def test_an_event_is_amended_to_the_last_digit(corrector: Caller) -> None:
    meter = tokens_meter()
    send(event("r1"))
    body = {"model": "model-b", "input_tokens": 3, "exact": 0.1, "nested": {"n": 12345678901234567}}
    answer = corrector.post(
        at("acme", "r1", "amend"),
        {"reason": "wrong model", "properties": body, "timestamp": "2026-03-10T13:00:00+01:00", "value": "1.10"},
    )
    assert answer.status_code == 200
    assert answer.json()["counts_now"] == {"timestamp": "2026-03-10T12:00:00Z", "value": "1.1"}
    form = Event.objects.get(replaces__isnull=False)
    assert form.properties == {**body, "exact": Decimal("0.1")}
    assert used(meter) == {"model-b/input": 3}


def test_the_customer_may_be_named_by_any_reference_or_be_unknown(corrector: Caller) -> None:
    meter = tokens_meter()
    send(event("r1", customer="acme-old"), event("r2"), event("r3", customer="acme-old"), event("r3"))
    assert corrector.post(at("acme-old", "r2"), WHY).status_code == 404
    assert corrector.post(at("acme", "r2"), WHY).status_code == 200
    create_customer(reference="acme", name="Acme", aliases=["acme-old", "acme-older"])
    assert corrector.post(at("acme", "r1"), WHY).json()["customer"] == "acme-old"
    assert corrector.post(at("acme", "r3"), WHY).json()["customer"] == "acme"
    send(event("r4", customer="acme-old"), event("r4"))
    ambiguous = corrector.post(at("acme-older", "r4"), WHY)
    assert (ambiguous.status_code, codes(ambiguous)) == (409, ["event_ambiguous_conflict"])
    assert "“r4” of “acme”; “r4” of “acme-old”" in ambiguous.json()["errors"][0]["message"]
    # What is left: r3 and r4 of acme-old, and r4.
    assert used(meter) == {"model-a/input": 300, "model-a/output": 30}


@pytest.mark.parametrize(
    ("customer", "reference"),
    [
        ("team/acme", "/gateways/eu-1 req_81"),
        ("acme", "https://gateway/events/ 7"),
        ("a/events/b", "c/void"),
        ("acme", "x/amend"),
        ("100%", "r?1#2&<b>"),
        ("名" * 255, "名" * 255),
    ],
)
def test_references_of_any_kind(corrector: Caller, customer: str, reference: str) -> None:
    send(event(reference, customer=customer))
    answer = corrector.post(at(customer, reference), WHY)
    assert (answer.status_code, answer.json()["reference"]) == (200, reference)
    assert Correction.objects.get().event.customer == customer


def test_an_address_that_can_be_read_in_two_ways(corrector: Caller) -> None:
    send(event("b/events/c", customer="a"), event("c", customer="a/events/b"))
    answer = corrector.post(at("a", "b/events/c"), WHY)
    assert (answer.status_code, codes(answer)) == (409, ["event_ambiguous_conflict"])
    assert not Correction.objects.exists()


@pytest.mark.parametrize("verb", ["void", "amend"])
def test_only_the_scope_of_corrections_may(caller: Callable[..., Caller], verb: str) -> None:
    send(event("r1"))
    body = WHY if verb == "void" else {**WHY, "value": 2}
    assert caller().post(at("acme", "r1", verb), body).status_code == 401
    wrong = caller(*(SCOPES - {"correct"})).post(at("acme", "r1", verb), body)
    assert (wrong.status_code, codes(wrong)) == (403, ["scope_missing"])
    assert not Correction.objects.exists()
    right = caller("correct")
    assert right.client.get(at("acme", "r1", verb)).status_code == 405
    missing = right.client.post(at("acme", "r1", verb), body, format="json")
    assert (missing.status_code, codes(missing)) == (400, ["idempotency_key_missing"])
    assert right.post(at("acme", "r1", verb), body).status_code == 200


def test_old_events_need_the_backfill_scope_besides(caller: Callable[..., Caller]) -> None:
    old = NOW - timedelta(days=36)
    send(event("r1", timestamp=old.isoformat()), event("r2"))
    plain, both = caller("correct"), caller("correct", "backfill")
    assert codes(plain.post(at("acme", "r1"), WHY)) == ["too_old"]
    moved = {**WHY, "timestamp": old.isoformat()}
    assert codes(plain.post(at("acme", "r2", "amend"), moved)) == ["too_old"]
    assert codes(both.post(at("acme", "r2", "amend"), {**WHY, "timestamp": "2026-03-11T12:06:00Z"})) == [
        "in_the_future"
    ]
    assert both.post(at("acme", "r2", "amend"), moved).status_code == 200
    assert both.post(at("acme", "r1"), WHY).status_code == 200


@pytest.mark.parametrize(
    ("verb", "body", "status", "code", "field"),
    [
        ("void", b"", 400, "malformed_json", ""),
        ("void", b"{", 400, "malformed_json", ""),
        ("void", b"[]", 422, "not_an_object", ""),
        ("void", b"{}", 422, "reason_missing", "reason"),
        ("void", b'{"reason": null}', 422, "reason_missing", "reason"),
        ("void", b'{"reason": 7}', 422, "wrong_type", "reason"),
        ("void", b'{"reason": "a", "reason": "b"}', 422, "duplicate_key", "reason"),
        ("void", b'{"reason": "a", "value": 1}', 422, "unknown_field", "value"),
        ("void", b'{"reason": "a\\u0000"}', 422, "nul_character", "reason"),
        ("void", b'{"reason": "\\ud800"}', 422, "lone_surrogate", ""),
        ("void", b'"reason"', 400, "malformed_json", ""),
        ("amend", b'{"reason": "a"}', 422, "nothing_to_amend", ""),
        ("amend", b'{"value": 1}', 422, "reason_missing", "reason"),
        ("amend", b'{"reason": "a", "customer": "b"}', 422, "unknown_field", "customer"),
        ("amend", b'{"reason": "a", "value": 1e999999}', 422, "number_out_of_range", "value"),
        ("amend", b'{"reason": "a", "properties": {"input_tokens": 1e30}}', 422, "value_too_large", None),
    ],
)
def test_what_cannot_be_read(corrector: Caller, verb: str, body: bytes, status: int, code: str, field: str) -> None:
    tokens_meter()
    send(event("r1"))
    answer = corrector.client.generic(
        "POST", at("acme", "r1", verb), body, "application/json", headers={"Idempotency-Key": "k"}
    )
    assert (answer.status_code, codes(answer)) == (status, [code])
    assert field is None or answer.json()["errors"][0]["field"] == field
    assert not Correction.objects.exists()


def test_another_kind_of_body_and_an_event_that_is_not_there(corrector: Caller) -> None:
    kind = corrector.client.generic(
        "POST", at("acme", "r1"), b"reason=x", "text/plain", headers={"Idempotency-Key": "k"}
    )
    assert (kind.status_code, codes(kind)) == (415, ["unsupported_media_type"])
    missing = corrector.post(at("acme", "r1"), WHY)
    assert (missing.status_code, codes(missing)) == (404, ["event_unknown"])
    assert missing.json()["errors"][0]["message"] == "No event “r1” has come in for the customer “acme”."
    assert datetime.now(UTC) == NOW
