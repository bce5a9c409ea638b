"""Voiding and amending: what is kept, what is refused, and what usage comes to, worked by hand."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.errors import Refused
from billing_site.foundation.periods import Period
from meters import triggers
from meters.backfills.rebuilding import rebuild
from meters.corrections import correcting as corrections
from meters.corrections.correcting import By
from meters.events.decoding import Limits
from meters.explorer import attribution, outcomes, unknown, unread
from meters.explorer.exploring import Search, find
from meters.explorer.scanning import Part
from meters.ingestion import dry_run
from meters.models import Bucket, Correction, Event, Meter, UsageChange
from meters.usage import placing
from meters.usage.reading import Window, read
from tests.meters.correcting import NOW, amend, by_a_key, event_of, void
from tests.meters.making import LIMITS, NOON, calls_meter, event, read_batch, send, tokens_meter
from tests.meters.usage.test_aggregations import DAY, EVERY, at, make, quantities, whole

pytestmark = pytest.mark.django_db


def refused(act: Callable[..., Any], *given: Any, **named: Any) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        act(*given, **named)
    [fault] = caught.value.faults
    return fault.code, fault.message


def test_a_voided_event_is_kept_and_counts_no_longer() -> None:
    meter, calls = tokens_meter(), calls_meter()
    send(event("r1"), event("r2", properties={"model": "model-a", "input_tokens": 7}))
    UsageChange.objects.all().delete()
    by = by_a_key()
    done = void(event_of("acme", "r1"), by=by)
    assert (done.kind, done.reason, done.replacement, done.api_key) == ("void", "sent twice", None, by.api_key)
    assert quantities(meter, DAY) == {"model-a/input": "7"}
    assert quantities(calls, DAY) == {"": "1"}
    assert Event.objects.count() == 2
    assert set(UsageChange.objects.values_list("customer", "meter_id", "hour")) == {
        ("acme", meter.pk, NOON),
        ("acme", calls.pk, NOON),
    }
    again = send(event("r1"))
    assert (again.accepted, again.duplicates) == (0, 1)
    assert dry_run.stored([("acme", "r1"), ("acme", "r3")]) == {("acme", "r1")}
    assert quantities(calls, whole(0, 0.5)) == {"": "1"}
    assert rebuild(meter) == rebuild(calls) == []


def test_an_amended_event_counts_as_it_was_amended_to() -> None:
    meter = tokens_meter()
    send(event("r1"), event("r2"))
    changed = {"timestamp": "2026-03-09T23:30:00Z", "properties": {"model": "model-b", "output_tokens": 11}}
    done = amend(event_of("acme", "r1"), changed)
    form = done.replacement
    assert form is not None
    assert (form.replaces_id, form.reference, form.type) == (event_of("acme", "r1"), "r1", "llm.request")
    assert quantities(meter, DAY) == {"model-a/input": "100", "model-a/output": "10"}
    day_before = Period(DAY.start - timedelta(days=1), DAY.start)
    assert quantities(meter, day_before) == {"model-b/output": "11"}
    assert quantities(meter, Period(DAY.start - timedelta(minutes=40), DAY.start)) == {"model-b/output": "11"}
    assert rebuild(meter) == []
    changes = set(UsageChange.objects.values_list("hour", flat=True))
    assert changes == {NOON, DAY.start - timedelta(hours=1)}
    # Then once more, and out with it.
    amend(event_of("acme", "r1"), {"properties": {"model": "model-a", "output_tokens": 1}}, "the first was right")
    assert quantities(meter, day_before) == {"model-a/output": "1"}
    void(form.pk)
    assert quantities(meter, day_before) == {}
    assert [each.kind for each in Correction.objects.order_by("pk")] == ["amend", "amend", "void"]
    assert rebuild(meter) == []


@pytest.mark.parametrize(
    ("name", "before", "voided", "amended"),
    [
        # 4 at 12:00, 10 at 12:30, 10 at 12:45; then without the one of 12:30; then that of 12:00 is 1.
        ("count", "3", "2", "2"),
        ("sum", "24", "14", "11"),
        ("max", "10", "10", "10"),
        ("min", "4", "4", "1"),
        ("average", "8", "7", "5.5"),
        ("latest", "10", "10", "10"),
        ("unique", "2", "2", "2"),
        # From 12:00 to 13:00: 4 for half an hour, then 10; 4 for 45 minutes, then 10; 1 for 45 minutes, then 10.
        ("levels", "7", "5.5", "3.25"),
        # 4 × 1 h + 10 × ½ h + 10 × ¼ h; without 10 × ½ h; with 1 × 1 h instead of 4.
        ("deltas", "11.5", "6.5", "3.5"),
    ],
)
def test_every_aggregation_by_hand(name: str, before: str, voided: str, amended: str) -> None:
    meter, hour = make(EVERY[name], "llm.request", dimensions=[]), whole(0, 1)
    send(at(0, "r1", 4), at(0.5, "r2", 10), at(0.75, "r3", 10))
    assert quantities(meter, hour) == {"": before}
    void(event_of("acme", "r2"))
    assert quantities(meter, hour) == {"": voided}
    amend(event_of("acme", "r1"), {"properties": {"v": 1}})
    assert quantities(meter, hour) == {"": amended}
    assert quantities(meter, whole(0, 0.999)).keys() == {""}
    assert rebuild(meter) == []
    for reference in ("r1", "r3"):
        void(event_of("acme", reference))
    assert quantities(meter, hour) == {}
    assert rebuild(meter) == []


def test_the_greatest_smallest_and_only_value_give_way_to_what_is_left() -> None:
    greatest, smallest, different = (
        make(EVERY[name], "llm.request", dimensions=[]) for name in ("max", "min", "unique")
    )
    send(at(0, "r1", 4), at(0.5, "r2", 10), at(0.75, "r3", -2))
    void(event_of("acme", "r2"))
    void(event_of("acme", "r3"))
    assert [quantities(each, DAY) for each in (greatest, smallest, different)] == [{"": "4"}, {"": "4"}, {"": "1"}]
    send(at(0.1, "r4", 7))
    assert [quantities(each, DAY) for each in (greatest, smallest, different)] == [{"": "7"}, {"": "4"}, {"": "2"}]


@pytest.mark.parametrize(("name", "left"), [("max", "5"), ("min", "5"), ("unique", "1")])
def test_what_failed_in_the_same_hour_stays_out_when_it_is_read_anew(name: str, left: str) -> None:
    meter = make(EVERY[name], "failing")
    failed = [{**at(0, f"f{value}", value), "type": "failing", "status": "failed"} for value in (1, 99)]
    send(*failed, *({**at(0, f"r{value}", value), "type": "failing"} for value in (5, 7)))
    void(event_of("acme", "r7"))
    assert quantities(meter, DAY, ()) == {"": left}
    assert rebuild(meter) == []


def test_an_amended_value_keeps_its_place_in_the_order_of_receipt() -> None:
    latest = make(EVERY["latest"], "llm.request", dimensions=[])
    send(at(0, "r1", 1), at(0, "r2", 2))
    amend(event_of("acme", "r1"), {"properties": {"v": 9}})
    assert quantities(latest, DAY) == {"": "2"}
    void(event_of("acme", "r2"))
    assert quantities(latest, DAY) == {"": "9"}
    assert rebuild(latest) == []


def test_own_values_and_named_subscriptions() -> None:
    meter = calls_meter()
    send(event("r1", value=3), event("r2", value=5, subscription="s1"))
    done = amend(event_of("acme", "r2"), {"value": "2.5"})
    assert done.replacement is not None
    assert (done.replacement.subscription, done.replacement.value) == ("s1", Decimal("2.5"))
    assert done.replacement.properties == {"model": "model-a", "input_tokens": 100, "output_tokens": 10}
    assert quantities(meter, DAY, subscription="s1") == {"": "2.5"}
    assert quantities(meter, DAY) == {"": "5.5"}
    assert rebuild(meter) == []


def test_a_failed_event_takes_nothing_out() -> None:
    meter = calls_meter()
    send(event("r1"), event("r2", status="failed"))
    before = list(Bucket.objects.values_list("quantity", "events"))
    amend(event_of("acme", "r2"), {"properties": {"n": 1}})
    void(event_of("acme", "r2"))
    assert list(Bucket.objects.values_list("quantity", "events")) == before
    assert quantities(meter, DAY) == {"": "1"}


def test_a_meter_that_reads_nothing_else_is_left_alone() -> None:
    meter = calls_meter()
    send(event("r1"))
    UsageChange.objects.all().delete()
    amend(event_of("acme", "r1"), {"properties": {"anything": "else"}})
    assert not UsageChange.objects.exists()
    # Half an hour later in the same bucket, which a period may end between.
    amend(event_of("acme", "r1"), {"timestamp": "2026-03-10T12:30:00Z"})
    assert UsageChange.objects.get().hour == NOON
    assert (quantities(meter, whole(0, 0.5)), quantities(meter, whole(0.5, 1))) == ({}, {"": "1"})
    assert rebuild(meter) == []


def test_the_same_again_is_the_same_and_anything_else_a_conflict() -> None:
    meter = calls_meter()
    send(event("r1"), event("r2"))
    first = amend(event_of("acme", "r1"), {"value": 2}, "two calls")
    assert amend(event_of("acme", "r1"), {"value": "2.0"}, "two calls") == first
    code, message = refused(amend, event_of("acme", "r1"), {"value": 2}, "another reason")
    assert (code, message) == ("nothing_to_amend", "The event “r1” is so already.")
    gone = void(event_of("acme", "r1"))
    assert void(event_of("acme", "r1")) == gone
    when = f"{gone.created_at:%Y-%m-%d at %H:%M} UTC"
    told = f"The event “r1” was voided on {when} by the API key “support desk”: “sent twice”. It stays so."
    assert refused(void, event_of("acme", "r1"), "not a duplicate") == ("event_voided_conflict", told)
    assert refused(amend, event_of("acme", "r1"), {"value": 2}, "two calls") == ("event_voided_conflict", told)
    assert (Correction.objects.count(), quantities(meter, DAY)) == (2, {"": "1"})


@pytest.mark.parametrize(
    ("sent", "amended"),
    [(True, 1), (0, False), ([1], [True]), ([1], [1, 1]), ({"a": 1}, {"a": True}), ({"a": 1}, {"b": 1}), ([], {})],
)
def test_true_is_not_one_and_can_be_amended_to_it(sent: Any, amended: Any) -> None:
    """Python takes true for 1; a meter does not."""
    meter = calls_meter(dimensions=[("cached", "cached")])
    send(event("r1", properties={"cached": sent, "deep": [{"cached": sent}]}))
    changes = {"properties": {"cached": amended, "deep": [{"cached": amended}]}}
    done = amend(event_of("acme", "r1"), changes)
    assert done.replacement is not None
    assert type(done.replacement.properties["cached"]) is type(amended)
    assert amend(event_of("acme", "r1"), changes) == done
    assert rebuild(meter) == []


def test_one_written_otherwise_is_no_amendment() -> None:
    calls_meter()
    send(event("r1", properties={"cached": 1, "deep": [{"a": 10}]}))
    code, _ = refused(amend, event_of("acme", "r1"), {"properties": {"cached": 1.0, "deep": [{"a": 10.00}]}})
    assert code == "nothing_to_amend"


@pytest.mark.parametrize(
    ("changes", "reason", "code"),
    [
        ({}, "why", "nothing_to_amend"),
        ({"value": None}, "why", "nothing_to_amend"),
        ({"value": 1}, " ", "reason_missing"),
        ({"value": 1}, "x" * 501, "too_long"),
        ({"value": 1}, "a\0", "nul_character"),
        ({"value": "many"}, "why", "wrong_type"),
        ({"value": "1e-13"}, "why", "value_too_precise"),
        ({"properties": {"input_tokens": 10**20}}, "why", "value_too_large"),
        ({"properties": {"model": "m" * 256, "input_tokens": 1}}, "why", "dimension_too_long"),
        ({"properties": [1]}, "why", "wrong_type"),
        ({"timestamp": "2026-03-10"}, "why", "invalid_timestamp"),
        ({"timestamp": "2026-03-12T12:00:00Z"}, "why", "in_the_future"),
        ({"status": "failed"}, "why", "unknown_field"),
        ({"colour": "red"}, "why", "unknown_field"),
    ],
)
def test_what_is_refused_changes_nothing(changes: dict[str, Any], reason: str, code: str) -> None:
    meter = tokens_meter()
    send(event("r1"))
    before = quantities(meter, DAY)
    assert refused(amend, event_of("acme", "r1"), changes, reason)[0] == code
    assert (Correction.objects.count(), Event.objects.count(), quantities(meter, DAY)) == (0, 1, before)


def test_old_events_need_who_may_send_old_ones() -> None:
    send(event("r1", timestamp="2026-02-01T00:00:00Z"), event("r2"))
    limits = Limits(1, timedelta(minutes=5), timedelta(days=35))
    by = by_a_key()
    code, message = refused(corrections.void, event_of("acme", "r1"), "why", by, NOW, limits)
    assert code == "too_old"
    assert message == (
        "The event is of 2026-02-01T00:00:00Z, more than 35 days before now: use an API key with the scope “backfill”."
    )
    assert refused(corrections.read_amendment, b'{"timestamp": "2026-02-01T00:00:00Z"}', NOW, limits)[0] == "too_old"
    for change in (b'{"value": 2, "reason": "x"}', b'{"timestamp": "2026-03-10T00:00:00Z", "reason": "x"}'):
        wanted = corrections.read_amendment(change, NOW, limits)
        assert refused(corrections.amend, event_of("acme", "r1"), wanted, by, NOW, limits) == (code, message)
    assert not Correction.objects.exists()
    assert corrections.void(event_of("acme", "r2"), "why", by, NOW, limits).kind == "void"


def test_pages_over_raw_events_leave_out_what_is_voided() -> None:
    tokens_meter()
    send(
        event("r1"),
        event("r2", properties={"model": "model-b", "input_tokens": 5, "output_tokens": "many"}),
        event("r3", status="failed"),
        event("r4", type="unread"),
    )
    for reference in ("r2", "r3", "r4"):
        void(event_of("acme", reference))
    amend(event_of("acme", "r1"), {"properties": {"model": "model-c", "input_tokens": 8}})
    found = attribution.attribute(Part(DAY), "model")
    assert [(row.value, row.events, list(row.quantities.values())) for row in found.rows] == [
        ("model-c", 1, [Decimal(8)])
    ]
    rows, _ = outcomes.outcomes(Part(DAY))
    assert [(row.succeeded, row.failed) for row in rows] == [(1, 0)]
    assert unread.latest() == []
    assert unknown.seen(["unread"])["unread"] == unknown.Seen(1, 0, None)
    everything = find(Search(reference="r1"))
    assert [(each.correction, each.amended) for each in everything.events] == [("", True), ("amend", False)]


def test_the_database_keeps_corrections() -> None:
    send(event("r1"), event("r2"))
    by = by_a_key()
    done = amend(event_of("acme", "r1"), {"value": 2}, by=by)
    key, first, other, form = by.api_key.pk, done.event_id, event_of("acme", "r2"), done.replacement_id  # type: ignore[union-attr]
    corrected = "INSERT INTO meters_correction (kind, event_id, replacement_id, reason, api_key_id) VALUES"
    sent = "INSERT INTO meters_event (customer, reference, type, timestamp, status, subscription, properties, replaces)"
    values = "VALUES ('acme', 'r2', 'llm.request', now(), 'succeeded', '', '{}',"
    statements = [
        "UPDATE meters_correction SET reason = 'x'",
        "DELETE FROM meters_correction",
        "TRUNCATE meters_correction",
        f"{corrected} ('amend', {other}, {form}, 'a form of another event', {key})",
        f"{sent} {values} {other}); SET CONSTRAINTS ALL IMMEDIATE",
        f"{corrected} ('void', {first}, NULL, 'taken out twice', {key})",
        f"{corrected} ('void', {form}, NULL, 'by nobody', NULL)",
        f"{corrected} ('void', {form}, NULL, '', {key})",
        f"{corrected} ('amend', {form}, NULL, 'to nothing', {key})",
    ]
    connection.check_constraints()
    for statement in statements:
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_a_user_corrects_too() -> None:
    send(event("r1"))
    somebody = get_user_model().objects.create_user("ann")
    assert void(event_of("acme", "r1"), by=By(user=somebody)).author == "ann"


def test_statements_do_not_grow_with_events() -> None:
    def taken(reference: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            void(event_of("acme", reference), by=by)
        return len(queries)

    make(EVERY["max"], "llm.request"), make(EVERY["unique"], "llm.request"), make(EVERY["latest"], "llm.request")
    by = by_a_key()
    send(at(0, "r1", 1), at(0, "r2", 2))
    few = taken("r1")
    send(*(at(number / 1000, f"m{number}", number) for number in range(500)))
    assert taken("r2") == few


def test_several_customers_references_are_told_apart() -> None:
    meter = calls_meter()
    send(event("r1"), event("r1", customer="globex"))
    void(event_of("globex", "r1"))
    window = [Window(1, ("acme", "globex"), meter.pk, DAY)]
    assert [usage.quantity for usage in read(window)[1]] == [1]
    assert corrections.find([("acme", "r1"), ("acme", "r\0"), ("initech", "r1")]) == {
        ("acme", "r1"): Event.objects.get(customer="acme").pk
    }


def test_an_uploaded_row_of_a_voided_reference_is_a_duplicate() -> None:
    calls_meter()
    send(event("r1"))
    void(event_of("acme", "r1"))
    assert dry_run.foresee(read_batch(event("r1"))).keys == [("acme", "r1")]
    assert Meter.objects.count() == 1
    assert LIMITS.past is None


# They look up what was sent, whatever became of it.
WHATEVER_BECAME_OF_IT = {"meters/corrections/correcting.py", "meters/ingestion/dry_run.py"}


def test_whoever_reads_raw_events_leaves_out_what_was_corrected() -> None:
    root = Path(settings.BASE_DIR)
    readers = {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for app in ("billing_site", "meters", "catalog", "customers", "invoicing")
        for path in (root / app).rglob("*.py")
        if "migrations" not in path.parts
        and re.search(r"(FROM|JOIN)\s+meters_event\b", path.read_text(encoding="utf-8"))
    }
    assert len(readers) > 8
    unaware = {name for name, text in readers.items() if "meters_correction" not in text}
    assert unaware == WHATEVER_BECAME_OF_IT


def test_locks_of_different_things_are_never_one() -> None:
    """The hash of a customer's reference may be any number, that of a class of series too."""
    spaces = [triggers.DEFINITIONS_LOCK[0], placing._LOCK_SPACE, corrections._CORRECTIONS]
    assert len(set(spaces)) == 3
