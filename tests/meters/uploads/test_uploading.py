"""A file is received, checked and loaded: what is kept, counted and told, and who may not do what when."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum

from billing_site.foundation import clock
from billing_site.foundation.errors import Refused
from meters.files.mapping import Mapping
from meters.ingestion import dry_run, ingest
from meters.models import Bucket, Event, Upload, UploadKey, UploadPart, UploadResult
from meters.uploads import leases as upload_leases
from meters.uploads import uploading
from meters.uploads import work as upload_work
from tests.invoicing.running import together
from tests.meters.making import event, tokens_meter
from tests.meters.uploads.making import (
    PLAIN,
    checked,
    loaded,
    refusal,
    rejects,
    row,
    somebody,
    table,
    totals,
    upload,
    zipped,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _small_parts(settings: Any) -> None:
    settings.UPLOAD_PART_ROWS = 2


def test_received_in_parts() -> None:
    data = table(*(row(f"r{n}") for n in range(5)))
    found = upload(zipped(data), "Usage of May.csv.gz")
    assert (found.name, found.format, found.status) == ("Usage of May.csv.gz", "csv", "received")
    assert (found.rows, found.parts, found.size) == (5, 3, len(zipped(data)))
    assert list(UploadPart.objects.values_list("number", "rows")) == [(0, 2), (1, 2), (2, 1)]
    assert msgspec.convert(found.mapping, Mapping) == PLAIN
    assert [each["reference"] for each in found.samples] == ["r0", "r1", "r2"]
    assert found.uploaded_by == somebody()


def test_checked_then_loaded() -> None:
    tokens_meter()
    loaded_before = upload(table(row("r1")))
    checked(loaded_before)
    loaded(loaded_before)
    found = upload(table(row("r1"), row("r2"), row("r3"), row("r2"), row("r4", at="soon"), row("r5")))

    assert checked(found) == {"accepted": 3, "duplicates": 2, "repeated": 1, "rejected": 1}
    assert Event.objects.count() == 1
    assert not UploadKey.objects.exists()
    (reject,) = rejects(found)
    assert (reject.place, reject.reference, reject.code, reject.field) == (6, "r4", "invalid_timestamp", "timestamp")
    assert reject.message.startswith("timestamp is “soon”: write it as")

    assert loaded(found) == {"accepted": 3, "duplicates": 2, "rejected": 1}
    assert sorted(Event.objects.values_list("reference", flat=True)) == ["r1", "r2", "r3", "r5"]
    counted = Bucket.objects.values_list("series__dimensions__token_type").annotate(Sum("quantity"), Sum("events"))
    assert sorted(counted) == [("input", 400, 4), ("output", 40, 4)]
    assert (found.started_by, found.finished_at is not None, found.leased_until) == (somebody(), True, None)
    assert rejects(found, "load") == rejects(found)


def test_the_same_file_again_is_nothing_but_duplicates() -> None:
    """Rows without a reference: it is made of what is in the file and the row's line, compressed or not."""
    lines = "who,model\nacme,a\nacme,b\n\nacme,a\n"
    mapping = Mapping({"who": "customer", "model": "properties.model"}, {"type": "llm.request"})
    first, again = upload(lines.encode()), upload(zipped(lines.encode()), "other.csv.gz")
    assert checked(first, mapping) == {"accepted": 3}
    assert loaded(first) == {"accepted": 3}
    assert sorted(Event.objects.values_list("reference", flat=True)) == [
        f"{first.digest[:32]}:{line}" for line in (2, 3, 5)
    ]
    assert checked(again, mapping) == {"duplicates": 3}
    assert loaded(again) == {"duplicates": 3}


def test_without_a_column_of_times_events_are_of_the_start() -> None:
    found = upload(b"who\nacme\nacme\n")
    checked(found, Mapping({"who": "customer"}, {"type": "t", "value": "2.5", "status": "failed"}))
    now = clock.now()
    loaded(found, now)
    assert set(Event.objects.values_list("timestamp", "value", "status")) == {(now, 2.5, "failed")}


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_is_events_as_the_api_takes_them(kind: str) -> None:
    now = clock.now().isoformat()
    sent = [
        event("r1", timestamp=None),
        event("r2", timestamp="2020-01-01T00:00:00Z"),
        {"type": "t", "customer": "acme"},
        event("r4", timestamp=now, price=3),
        event("r1", timestamp=now),
        {**event(timestamp=now), "reference": None},
    ]
    texts = [json.dumps(each) for each in sent]
    bad_lines = ["{", '{"reference": "\\ud800"}']
    data = f"[{','.join(texts)}]" if kind == "json" else "\n".join([*texts, *bad_lines])
    found = upload(data.encode(), f"usage.{kind}")
    expected = {"accepted": 3, "duplicates": 1, "repeated": 1, "rejected": 2 if kind == "json" else 4}
    assert checked(found, Mapping()) == expected
    codes = {each.place: (each.code, each.reference) for each in rejects(found)}
    assert codes == {
        2: ("too_old", "r2"),
        4: ("unknown_field", "r4"),
        **({7: ("malformed_json", None), 8: ("lone_surrogate", None)} if kind == "jsonl" else {}),
    }
    loaded(found)
    made = {f"{found.digest[:32]}:{place}" for place in (3, 6)}
    assert set(Event.objects.values_list("reference", flat=True)) == {"r1", *made}


def test_old_events_need_a_permission_of_their_own() -> None:
    old = (clock.now() - timedelta(days=36)).strftime("%Y-%m-%d %H:%M:%S")
    found = upload(table(row("r1"), row("r2", at=old)))
    assert checked(found) == {"accepted": 1, "rejected": 1}
    (reject,) = rejects(found)
    assert (reject.code, reject.reference) == ("too_old", "r2")
    assert "somebody who may “upload events that are older than the usual limit” has to" in reject.message
    assert checked(found, backfill=True) == {"accepted": 2}
    assert loaded(found) == {"accepted": 1, "rejected": 1}


def test_what_a_meter_cannot_count_is_told_by_the_name_of_the_column() -> None:
    tokens_meter()
    found = upload(table(row("r1", input_tokens="0.1234567890123"), row("r2", input_tokens="many")))
    renamed = {**PLAIN.columns, "model": "properties.family"}
    assert checked(found, Mapping(renamed)) == {"accepted": 1, "rejected": 1}
    (reject,) = rejects(found)
    assert (reject.place, reject.reference, reject.field) == (2, "r1", "input_tokens")
    assert reject.message.startswith("input_tokens is 0.1234567890123")


def test_a_file_of_nothing_but_bad_rows() -> None:
    found = upload(b"type,customer\n1,2,3\nx\n")
    assert checked(found, Mapping({"type": "type", "customer": "customer"})) == {"rejected": 2}
    assert loaded(found) == {"rejected": 2}
    assert [each.code for each in rejects(found, "load")] == ["wrong_number_of_cells"] * 2


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"", "usage.csv", "empty_file"),
        (b"a,b\n", "usage.csv", "no_rows"),
        (b"a,b\n\n,\n", "usage.csv", "no_rows"),
        (b"[]", "usage.json", "no_rows"),
        (b"\n", "usage.jsonl", "no_rows"),
        ("a,b\n1,2\n".encode("utf-16"), "usage.csv", "not_text"),
        (b"a,b\n1,2\n" * 3 + b"\xff,1\n", "usage.csv", "not_utf8"),
    ],
)
def test_files_that_are_refused_leave_nothing(data: bytes, name: str, code: str) -> None:
    assert refusal(data, name)[0] == code


def test_limits(settings: Any) -> None:
    data = table(row("r1"), row("r2"), row("r3"))
    settings.UPLOAD_MAX_ROWS = 2
    assert refusal(data) == ("too_many_rows", "The file has more than 2 rows: upload it in parts.")
    settings.UPLOAD_MAX_ROWS = 3
    settings.UPLOAD_MAX_BYTES = len(data) - 1
    assert refusal(data)[0] == "file_too_large"
    settings.UPLOAD_MAX_BYTES = settings.UPLOAD_MAX_INFLATED_BYTES = len(data)
    assert upload(zipped(data)).rows == 3
    Upload.objects.all().delete()
    settings.UPLOAD_MAX_INFLATED_BYTES = len(data) - 1
    code, message = refusal(zipped(data))
    assert (code, "when inflated" in message) == ("file_too_large", True)


def test_hostile_names_and_cells() -> None:
    found = upload("a,b\n<script>\0,\u202e$(rm)\n".encode(), "a\u202e\0\n<b>.csv" + "x" * 300)
    assert found.name.startswith("a���<b>.csv")
    assert len(found.name) == 255
    assert found.samples == [{"a": "<script>�", "b": "�$(rm)"}]
    assert checked(found, Mapping({"a": "customer", "b": "type"})) == {"rejected": 1}
    assert [each.code for each in rejects(found)] == ["nul_character"]


def test_a_wrong_mapping_is_refused() -> None:
    found = upload(table(row()))
    with pytest.raises(Refused, match="Every event needs a customer"):
        uploading.check(found.pk, Mapping({"type": "type"}), clock.now(), backfill=False)
    found.refresh_from_db()
    assert found.status == "received"


def refused(verb: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(Refused) as error:
        verb(*arguments, **named)
    return error.value.faults[0].message


def test_what_can_be_done_when() -> None:
    found = upload(table(row("r1"), row("r2"), row("r3")))
    now = clock.now()
    by = {"by": somebody(), "now": now, "backfill": False}
    assert "is received and cannot be loaded now" in refused(uploading.load, found.pk, **by)
    assert "cannot be stopped" in refused(uploading.stop, found.pk)
    assert "cannot be gone on with" in refused(uploading.go_on, found.pk)
    uploading.check(found.pk, PLAIN, now, backfill=False)
    assert "cannot be discarded" in refused(uploading.discard, found.pk)
    assert "is checking and cannot be checked" in refused(uploading.check, found.pk, PLAIN, now, backfill=False)
    uploading.stop(found.pk)
    assert not upload_work.work(found.pk, "here")
    checked(found)
    loaded(found)
    for verb in (uploading.discard, uploading.stop, uploading.go_on):
        assert "is done and cannot be" in refused(verb, found.pk)
    assert "cannot be checked" in refused(uploading.check, found.pk, PLAIN, now, backfill=False)
    assert "is not there any more" in refused(uploading.stop, 0)


def test_discarded() -> None:
    found = upload(table(row("r1")))
    checked(found)
    uploading.discard(found.pk)
    assert [each.objects.count() for each in (Upload, UploadPart, UploadResult, UploadKey)] == [0, 0, 0, 0]


def test_checked_again_with_another_mapping() -> None:
    found = upload(table(row("r1"), row("r2"), row("r1")))
    assert checked(found) == {"accepted": 2, "duplicates": 1, "repeated": 1}
    without = {name: target for name, target in PLAIN.columns.items() if target != "reference"}
    assert checked(found, Mapping(without)) == {"accepted": 3}


class TestWorkers:
    """One holds an upload at a time; what a dead or slow one leaves is taken up where it was."""

    @pytest.fixture
    def five(self) -> Upload:
        tokens_meter()
        found = upload(table(*(row(f"r{n}") for n in range(5))))
        checked(found)
        uploading.load(found.pk, somebody(), clock.now(), backfill=False)
        return found

    def expire(self, found: Upload) -> None:
        Upload.objects.filter(pk=found.pk).update(leased_until=clock.now() - timedelta(seconds=1))

    def test_nobody_takes_what_another_holds(self, five: Upload) -> None:
        assert upload_leases.takeable() == [five.pk]
        assert upload_leases.take(five.pk, "one")
        assert upload_leases.take(five.pk, "two") is None
        assert upload_leases.takeable() == []
        self.expire(five)
        assert upload_leases.takeable() == [five.pk]
        assert upload_leases.take(five.pk, "two")

    def test_a_worker_that_lost_its_lease_changes_nothing(self, five: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
        """It wakes up in the middle of a part that another has loaded meanwhile."""
        store = ingest.copy_all

        def slow(rows: bytes) -> None:
            monkeypatch.setattr(ingest, "copy_all", store)
            together(lambda: (self.expire(five), upload_work.work(five.pk, "quick")))
            store(rows)

        monkeypatch.setattr(ingest, "copy_all", slow)
        assert not upload_work.work(five.pk, "slow")
        five.refresh_from_db()
        assert (five.status, five.worker, totals(five, "load")) == ("done", "quick", {"accepted": 5})
        assert Event.objects.count() == 5

    def test_a_part_that_was_stored_is_noted_or_neither(self, five: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
        """A failure between the two leaves nothing, so what is told later is what happened."""

        def broken(*_: Any, **__: Any) -> None:
            raise RuntimeError("no more memory")

        with monkeypatch.context() as patch:
            patch.setattr(ingest, "add", broken)
            with pytest.raises(RuntimeError):
                upload_work.work(five.pk, "one")
        five.refresh_from_db()
        assert (five.status, five.next_part, five.error) == ("loading", 0, "RuntimeError: no more memory")
        assert not Event.objects.exists()
        self.expire(five)
        assert not upload_work.work(five.pk, "two")
        assert totals(five, "load") == {"accepted": 5}

    def test_given_up_after_five_failures_and_gone_on_with(self, five: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ingest, "accept", lambda *_: (_ for _ in ()).throw(ValueError("odd")))
        for _ in range(5):
            self.expire(five)
            with pytest.raises(ValueError, match="odd"):
                upload_work.work(five.pk, "one")
        five.refresh_from_db()
        assert (five.status, five.error) == ("failed", "ValueError: odd")
        assert not upload_work.work(five.pk, "one")
        monkeypatch.undo()
        uploading.go_on(five.pk)
        assert not upload_work.work(five.pk, "one")
        assert totals(five, "load") == {"accepted": 5}

    def test_workers_that_die_without_a_word_five_times(self, five: Upload) -> None:
        for _ in range(5):
            assert upload_leases.take(five.pk, "mortal")
            self.expire(five)
        assert upload_leases.takeable() == []
        five.refresh_from_db()
        assert (five.status, "without a word" in five.error) == ("failed", True)

    def test_a_long_file_gives_the_worker_away_in_between(self, five: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upload_work, "TURN", timedelta(seconds=-1))
        assert upload_work.work(five.pk, "one")
        assert upload_leases.takeable() == [five.pk]

    def test_a_worker_of_before_does_not_count_for_another_check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """While it reads the first part, the upload is stopped and checked anew, with other columns."""
        found = upload(table(row("r1"), row("r2")))
        without = {name: target for name, target in PLAIN.columns.items() if name != "model"}
        uploading.check(found.pk, PLAIN, clock.now(), backfill=False)
        foresee = dry_run.foresee

        def slow(batch: Any) -> Any:
            uploading.stop(found.pk)
            uploading.check(found.pk, Mapping(without), clock.now(), backfill=False)
            return foresee(batch)

        with monkeypatch.context() as patch:
            patch.setattr(dry_run, "foresee", slow)
            assert not upload_work.work(found.pk, "slow")
        found.refresh_from_db()
        assert (found.status, found.next_part, totals(found, "check")) == ("checking", 0, {})

    def test_stopped_in_the_middle_and_gone_on_with(self, five: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
        load = upload_work._load

        def one_then_stop(part: Any) -> None:
            load(part)
            uploading.stop(five.pk)

        with monkeypatch.context() as patch:
            patch.setattr(upload_work, "_load", one_then_stop)
            assert not upload_work.work(five.pk, "one")
        five.refresh_from_db()
        assert (five.status, five.next_part, Event.objects.count()) == ("stopped", 1, 2)
        assert "has been loaded in part" in refused(uploading.discard, five.pk)
        assert "has been loaded in part" in refused(uploading.check, five.pk, PLAIN, clock.now(), backfill=False)
        uploading.go_on(five.pk)
        assert not upload_work.work(five.pk, "one")
        assert totals(five, "load") == {"accepted": 5}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meters_upload SET status = 'done'",
        "UPDATE meters_upload SET status = 'asleep'",
        "UPDATE meters_upload SET next_part = 9",
        "UPDATE meters_upload SET status = 'loading'",
        "INSERT INTO meters_uploadpart (upload_id, number, rows, content) SELECT id, 0, 1, '' FROM meters_upload",
    ],
)
def test_the_database_refuses(statement: str) -> None:
    upload(table(row()))
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
