"""The pages of uploads: who may do what, what is shown, and what hostile files do not do."""

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from kombu.exceptions import OperationalError as BrokerAway

from billing_site.foundation import clock
from meters import tasks
from meters.files.mapping import Mapping
from meters.models import Event, Upload
from meters.uploads import work as upload_work
from tests.meters.uploads.making import checked, loaded, row, somebody, table, totals, upload, zipped

pytestmark = pytest.mark.django_db(transaction=True)
ADD = "/admin/meters/upload/add/"


def client_of(*permissions: str, name: str = "erin") -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def erin() -> Client:
    return client_of("view_upload", "add_upload")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The uploads for which a worker was asked."""
    found: list[int] = []
    monkeypatch.setattr(tasks.work_upload, "apply_async", lambda arguments, **_: found.append(arguments[0]))
    return found


def send(client: Client, data: bytes, name: str = "usage.csv", **extra: Any) -> Any:
    return client.post(ADD, {"file": SimpleUploadedFile(name, data)}, **extra)


def page(found: Upload) -> str:
    return f"/admin/meters/upload/{found.pk}/change/"


FORM = {
    "do": "check",
    "target-0": "reference",
    "target-1": "type",
    "target-2": "customer",
    "target-3": "timestamp",
    "target-4": "property",
    "property-4": "model",
    "target-5": "property",
    "property-5": "input_tokens",
    "target-6": "",
    "timezone": "UTC",
}


def work(found: Upload) -> None:
    upload_work.work(found.pk, "here")
    found.refresh_from_db()


def test_from_a_file_to_events(erin: Client, asked: list[int]) -> None:
    data = table(row("r1"), row("r2"), row("r2"), row("r3", at="soon"))
    answer = send(erin, zipped(data), "May.csv.gz")
    found = Upload.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, page(found))
    assert (found.uploaded_by.username, found.status) == ("erin", "received")
    text = erin.get(page(found)).content.decode()
    assert "May.csv.gz" in text
    assert "4 rows of CSV" in text

    assert erin.post(page(found), FORM).status_code == 302
    assert asked == [found.pk]
    assert 'hx-trigger="every 1s"' in erin.get(page(found)).content.decode()
    work(found)
    text = erin.get(page(found)).content.decode()
    assert "2 events" in text
    assert "0 stored already, 1 twice in the file" in text
    assert "timestamp is “soon”: write it as" in text

    assert erin.post(page(found), {"do": "load"}).status_code == 302
    work(found)
    assert (found.status, found.started_by.username) == ("done", "erin")
    assert totals(found, "load") == {"accepted": 2, "duplicates": 1, "rejected": 1}
    assert Event.objects.get(reference="r1").properties == {"model": "model-a", "input_tokens": "100"}
    text = erin.get(page(found)).content.decode()
    assert "What became of it" in text
    assert 'value="discard"' not in text


def test_a_file_without_times_is_said_to_be_of_now(erin: Client) -> None:
    send(erin, b"reference,type,customer,moment\nr1,llm.request,acme,2026-01-01\n")
    found = Upload.objects.get()
    assert "No column is the time of the events" in erin.get(page(found)).content.decode()
    columns = {f"target-{place}": field for place, field in enumerate(("reference", "type", "customer", ""))}
    erin.post(page(found), {"do": "check", "timezone": "UTC", **columns})
    work(found)
    text = erin.get(page(found)).content.decode()
    assert "No column is the time of the events" in text
    assert "under “Change what the columns mean”" in text

    erin.post(page(found), {"do": "check", "timezone": "UTC", **columns, "target-3": "timestamp"})
    work(found)
    assert "No column is the time" not in erin.get(page(found)).content.decode()


def test_json_needs_no_columns(erin: Client) -> None:
    send(erin, b'[{"reference": "r1", "type": "t", "customer": "c"}]', "usage.json")
    found = Upload.objects.get()
    assert erin.post(page(found), {"do": "check"}).status_code == 302
    work(found)
    assert totals(found, "check") == {"accepted": 1}


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "usage.csv", "The file is empty."),
        ("a,b\n1,2\n".encode("utf-16"), "usage.csv", "UTF-16, and UTF-8 is read: save it as “CSV UTF-8”"),
        (b"a,b\n", "usage.csv", "a header and no rows"),
        (b"12,13\n14,15\n", "usage.csv", "“12”, which is no name of a column"),
        (b"PK\x03\x04", "usage.xlsx", "an Excel workbook"),
        (b"[1", "usage.json", "ends too early"),
    ],
)
def test_files_that_are_refused(erin: Client, data: bytes, name: str, message: str) -> None:
    answer = send(erin, data, name)
    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert not Upload.objects.exists()


def test_no_file(erin: Client) -> None:
    assert "Choose a file." in erin.post(ADD, {}).content.decode()


def test_too_large_a_file_is_refused_before_it_is_read(erin: Client, settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 100
    answer = send(erin, b"a\n" + b"1\n" * 60_000)
    assert answer.status_code == 413
    assert "at most 100 are taken" in answer.content.decode()
    answer = send(erin, b"a\n" + b"1\n" * 60)
    assert (answer.status_code, Upload.objects.count()) == (200, 0)
    assert "The file has 122 bytes; at most 100 are taken" in answer.content.decode()


def test_another_site_cannot_upload_for_an_operator() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("root"))
    assert send(client, table(row())).status_code == 403
    found = upload(table(row()))
    assert client.post(page(found), FORM).status_code == 403
    found.refresh_from_db()
    assert found.status == "received"


def test_who_may_not() -> None:
    found = upload(table(row("r1"), row("r2", at="soon")))
    checked(found)
    rejects = f"/admin/meters/upload/{found.pk}/rejects-check.csv"
    progress = f"/admin/meters/upload/{found.pk}/progress/"
    addresses = [ADD, page(found), rejects, progress, "/admin/meters/upload/"]
    for address in addresses:
        assert Client().get(address).status_code == 302
    nobody = client_of(name="nobody")
    assert [nobody.get(address).status_code for address in addresses] == [403] * 5
    viewer = client_of("view_upload", name="viewer")
    assert [viewer.get(address).status_code for address in addresses] == [403, 200, 200, 200, 200]
    assert send(viewer, table(row())).status_code == 403
    for verb in ("check", "load", "stop", "go_on", "discard"):
        assert viewer.post(page(found), {**FORM, "do": verb}).status_code == 403
    assert 'name="do"' not in viewer.get(page(found)).content.decode()
    found.refresh_from_db()
    assert (found.status, Upload.objects.count()) == ("checked", 1)


def test_old_events_need_their_permission() -> None:
    old = (clock.now() - timedelta(days=40)).strftime("%Y-%m-%d")
    for name, permissions, accepted in (("erin", (), 0), ("fred", ("backfill_events",), 1)):
        client = client_of("view_upload", "add_upload", *permissions, name=name)
        found = upload(table(row(name, at=old)))
        assert ("needs the permission" in client.get(page(found)).content.decode()) is (accepted == 0)
        client.post(page(found), FORM)
        work(found)
        assert totals(found, "check") == ({"accepted": 1} if accepted else {"rejected": 1})
        client.post(page(found), {"do": "load"})
        work(found)
        assert Event.objects.filter(reference=name).count() == accepted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target-2": ""}, "Every event needs a customer: choose its column"),
        ({"constant-type": "x"}, "type is given 2 times"),
        ({"target-6": "property", "property-6": ""}, "The property has no name: write one."),
        ({"target-6": "price"}, "price is not one of the available choices"),
        ({"timezone": "Nowhere/Land"}, "Nowhere/Land is not one of the available choices"),
        ({"properties": "model"}, "“model” is no “name = value”"),
        ({"properties": "a = 1\na = 2"}, "A property is given twice"),
        ({"properties": "model = x"}, "properties.model is given 2 times"),
        ({"constant-status": "fine"}, "status is “fine”: write “succeeded” or “failed”."),
    ],
)
def test_a_mapping_that_does_not_hold(erin: Client, changes: dict[str, str], message: str) -> None:
    found = upload(table(row()))
    answer = erin.post(page(found), {**FORM, **changes})
    assert answer.status_code == 200
    assert message in answer.content.decode().replace("&quot;", '"')
    found.refresh_from_db()
    assert found.status == "received"


def test_what_was_chosen_is_shown_again(erin: Client) -> None:
    found = upload(table(row()))
    sent = {**FORM, "target-1": "", "constant-type": "chat", "properties": "region = eu", "timezone": "Europe/Berlin"}
    erin.post(page(found), sent)
    work(found)
    form = erin.get(page(found)).context["form"]
    assert {name: form[name].value() for name in sent if name != "do"} == {
        name: sent[name] for name in sent if name != "do"
    }


def test_the_report_of_rejects(erin: Client) -> None:
    found = upload(table(row("=1+1", at="=cmd"), row("r2", at="soon"), row("r3")))
    checked(found)
    loaded(found)
    for step in ("check", "load"):
        answer = erin.get(f"/admin/meters/upload/{found.pk}/rejects-{step}.csv")
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert answer["Content-Disposition"] == f'attachment; filename="rejects-of-upload-{found.pk}-{step}.csv"'
        lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
        assert lines[0] == "line,reference,code,field,message"
        assert lines[1].startswith("2,'=1+1,invalid_timestamp,timestamp,")
        assert lines[2].startswith('3,r2,invalid_timestamp,timestamp,"timestamp is “soon”')
        assert len(lines) == 3
    assert erin.get("/admin/meters/upload/0/rejects-check.csv").status_code == 404


@pytest.mark.parametrize("number", ["0", "9" * 19, "9" * 5_000, "٣", "x"])
def test_an_upload_that_is_not_there(erin: Client, number: str) -> None:
    assert erin.get(f"/admin/meters/upload/{number}/change/").status_code == 404


@pytest.mark.parametrize("part", ["progress/", "rejects-load.csv"])
def test_parts_of_an_upload_that_is_not_there(erin: Client, part: str) -> None:
    for number in ("0", "9" * 19):
        assert erin.get(f"/admin/meters/upload/{number}/{part}").status_code == 404


def test_hostile_content_is_only_text(erin: Client) -> None:
    attack = "<script>alert(1)</script>"
    data = f"type,{attack}\n{attack},{{{{7*7}}}}\n".encode()
    send(erin, data, f"x'\"{attack}.csv".replace("/", ""))
    found = Upload.objects.get()
    checked(found, Mapping({"type": "customer", attack: "timestamp"}, {"type": "t"}))
    for address in (page(found), "/admin/meters/upload/", f"/admin/meters/upload/{found.pk}/progress/"):
        text = erin.get(address).content.decode()
        assert "<script>alert" not in text
        assert "49" not in text.partition("What the check found")[2].partition("</section>")[0]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; is “{{7*7}}”" in erin.get(page(found)).content.decode()


def test_the_bar_asks_for_the_page_when_the_work_is_over(erin: Client) -> None:
    found = upload(table(row("r1"), row("r2")))
    erin.post(page(found), FORM)
    progress = f"/admin/meters/upload/{found.pk}/progress/"
    answer = erin.get(progress)
    assert "HX-Refresh" not in answer
    assert "0 of 2 rows" in answer.content.decode()
    assert "Waiting for a worker." in answer.content.decode()
    work(found)
    assert erin.get(progress)["HX-Refresh"] == "true"


def test_stopped_gone_on_with_and_discarded(erin: Client, asked: list[int]) -> None:
    found = upload(table(row()))
    erin.post(page(found), FORM)
    erin.post(page(found), {"do": "stop"})
    found.refresh_from_db()
    assert found.status == "stopped"
    assert "Go on" in erin.get(page(found)).content.decode()
    erin.post(page(found), {"do": "go_on"})
    assert asked == [found.pk] * 2
    work(found)
    answer = erin.post(page(found), {"do": "discard"})
    assert answer["Location"] == "/admin/meters/upload/"
    assert not Upload.objects.exists()
    assert erin.post(page(found), {"do": "discard"}).status_code == 404


def test_who_may_add_uploads_needs_nothing_else() -> None:
    adder = client_of("add_upload", name="adder")
    answer = send(adder, table(row()))
    found = Upload.objects.get()
    assert answer["Location"] == page(found)
    progress = f"/admin/meters/upload/{found.pk}/progress/"
    assert [adder.get(each).status_code for each in (page(found), progress, "/admin/meters/upload/")] == [200] * 3


def test_what_cannot_be_done_now_is_said(erin: Client) -> None:
    found = upload(table(row()))
    answer = erin.post(page(found), {"do": "load"}, follow=True)
    assert "is received and cannot be loaded now" in answer.content.decode()
    assert erin.post(page(found), {"do": "explode"}).status_code == 403


def test_without_a_queue_the_work_waits_in_the_table(erin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    found = upload(table(row()))
    monkeypatch.setattr(tasks.work_upload, "apply_async", mock.Mock(side_effect=BrokerAway))
    answer = erin.post(page(found), FORM, follow=True)
    assert "The queue (Redis) cannot be reached" in answer.content.decode()
    assert Upload.objects.get().status == "checking"


def test_the_same_file_is_told(erin: Client) -> None:
    data = table(row())
    first = upload(data, by=somebody("dana"))
    again = upload(zipped(data), "again.csv.gz")
    assert f"upload {first.pk}</a>, received, by dana" in erin.get(page(again)).content.decode()
    assert "came before" not in erin.get(page(first)).content.decode()
    listed = erin.get("/admin/meters/upload/").content.decode()
    assert "again.csv.gz" in listed
    assert "Received" in listed
