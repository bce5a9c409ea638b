"""The tally of refused events: beside ingestion, bounded, and never in its way."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key
from billing_site.foundation.models import ApiKey
from meters.events.decoding import Rejected
from meters.ingestion import refusals
from meters.models import Event, Refusal
from tests.meters.making import event, tokens_meter

pytestmark = pytest.mark.django_db


def now_event(reference: str, **changes: Any) -> dict[str, Any]:
    return event(reference, timestamp=clock.now().isoformat(), **changes)


def rows() -> list[tuple[str, str, int, str]]:
    return list(Refusal.objects.order_by("code", "type").values_list("code", "type", "events", "reference"))


def reject(index: int, code: str = "too_old", message: str = "m", reference: str | None = "r") -> Rejected:
    return Rejected(index, reference, code, message, "timestamp")


@pytest.fixture
def key() -> ApiKey:
    return create_key("gateway", ["ingest"])[0]


def test_what_is_refused_is_added_up_by_code_type_and_key(sender: Callable[..., Any]) -> None:
    post = sender("ingest")
    old = (clock.now() - timedelta(days=40)).isoformat()
    bad = [event("a", timestamp=old), event("b", timestamp=old), event("c", timestamp=old, type="x"), {"type": "y"}]
    assert post([now_event("fine"), *bad]).status_code == 200
    assert post(event("d", timestamp=old)).status_code == 422
    assert rows() == [
        ("missing_field", "y", 1, ""),
        ("too_old", "llm.request", 3, "d"),
        ("too_old", "x", 1, "c"),
    ]
    assert {row.api_key.name for row in Refusal.objects.all()} == {"gateway"}
    assert "too_old" in Refusal.objects.get(type="x").code
    assert "backfill" in Refusal.objects.get(type="x").message


def test_what_a_meter_cannot_take_is_noted_with_its_type(sender: Callable[..., Any]) -> None:
    tokens_meter()
    sender("ingest")(now_event("r", properties={"model": "m" * 300, "input_tokens": 1}))
    assert rows() == [("dimension_too_long", "llm.request", 1, "r")]


def test_a_batch_without_fault_costs_no_statement_more(sender: Callable[..., Any]) -> None:
    with CaptureQueriesContext(connection) as captured:
        sender("ingest")(now_event("fine"))
    assert not [each for each in captured.captured_queries if "meters_refusal" in each["sql"]]


def test_failing_to_note_changes_nothing_of_the_answer(
    sender: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(refusals, "_add", away)
    answer = sender("ingest")([now_event("fine"), {"type": "y"}])
    assert (answer.status_code, answer.json()["accepted"], len(answer.json()["rejected"])) == (200, 1, 1)
    assert Event.objects.count() == 1


def test_hostile_texts_are_kept_as_far_as_the_database_can(key: ApiKey) -> None:
    body = b'[{"type": "a\\u0000b"}, {"type": 5}, {"type": "\xff"}, [], {"type": "' + b"t" * 300 + b'"}]'
    refusals.note(key.pk, body, [reject(n, reference="r\0" * 300, message="\ud800" + "m" * 900) for n in range(5)])
    assert [(kind, events) for _, kind, events, _ in rows()] == [
        ("", 3),
        ("a\N{REPLACEMENT CHARACTER}b", 1),
        ("t" * 255, 1),
    ]
    row = Refusal.objects.get(type="")
    assert (len(row.reference), len(row.message)) == (255, 500)


def test_a_type_for_every_event_does_not_fill_the_table(key: ApiKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "KINDS_OF_A_DAY", 3)
    body = b"[" + b",".join(b'{"type": "t%d"}' % n for n in range(9)) + b"]"
    refusals.note(key.pk, body, [reject(n) for n in range(2)])
    refusals.note(key.pk, body, [reject(n) for n in range(9)])
    assert [(kind, events) for _, kind, events, _ in rows()] == [("", 6), ("t0", 2), ("t1", 2), ("t2", 1)]


def test_old_days_are_forgotten_with_the_first_of_a_new_one(key: ApiKey) -> None:
    today = clock.now().date()
    for days in (34, 36):
        Refusal.objects.create(day=today - timedelta(days), api_key=key, code="c", events=1, message="m")
    refusals.note(key.pk, b'{"type": "t"}', [reject(0)])
    assert sorted(Refusal.objects.values_list("day", flat=True)) == [today - timedelta(34), today]


def test_since_adds_days_up_and_shows_the_last(key: ApiKey) -> None:
    now = clock.now()
    other = create_key("other", ["ingest"])[0]
    for days, events, message, of in ((9, 50, "old", key), (2, 3, "two", key), (1, 4, "one", key), (1, 1, "o", other)):
        at = now - timedelta(days)
        Refusal.objects.create(
            day=at.date(), api_key=of, code="c", type="t", events=events, message=message, reference=message, last_at=at
        )
    found, count = refusals.since((now - timedelta(7)).date(), 1)
    assert count == 2
    assert [(row.key_name, row.events, row.message, row.reference) for row in found] == [("gateway", 7, "one", "one")]
    assert refusals.since(now.date() + timedelta(1), 9) == ([], 0)
