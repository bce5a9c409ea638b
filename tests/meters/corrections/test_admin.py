"""Voiding and amending on an event's page, the list of corrections, and who may not."""

from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from meters.models import Correction, Event
from tests.meters.correcting import NOW, amend, event_of, void
from tests.meters.making import event, send, tokens_meter
from tests.meters.usage.test_aggregations import DAY, quantities

pytestmark = pytest.mark.django_db
LIST = "admin:meters_correction_changelist"


@pytest.fixture(autouse=True)
def _the_next_day() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def page(key: int) -> str:
    return reverse("admin:meters_event_change", args=[key])


def submit(client: Client, verb: str, key: int, **values: str) -> Any:
    address = reverse(f"admin:meters_event_{verb}_event", args=[key])
    return client.post(address, {"_form_submitted": "on", **values}, headers={"HX-Request": "true"})


def staff(*permissions: str) -> Client:
    user = get_user_model().objects.create_user(f"staff {len(permissions)}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def test_an_operator_voids(operator: Client) -> None:
    meter = tokens_meter()
    send(event("r1"))
    key = event_of("acme", "r1")
    shown = operator.get(page(key)).content.decode()
    assert "Void …" in shown
    assert "It counts as it was sent." in shown
    answer = submit(operator, "void", key, reason="<b>a test</b>")
    assert answer.headers["HX-Redirect"] == page(key)
    done = Correction.objects.get()
    assert (done.kind, done.author, done.reason) == ("void", "operator", "<b>a test</b>")
    assert quantities(meter, DAY) == {}
    shown = operator.get(page(key)).content.decode()
    assert "by operator: “&lt;b&gt;a test&lt;/b&gt;”" in shown
    assert "It does not count any more." in shown
    assert "Void …" not in shown
    assert submit(operator, "void", key, reason="again").status_code == 403


def test_an_operator_amends_what_was_changed_in_the_form(operator: Client) -> None:
    meter = tokens_meter()
    send(event("r1", value="0.10", properties={"model": "a", "input_tokens": 5, "exact": "é"}))
    key = event_of("acme", "r1")
    form = operator.get(reverse("admin:meters_event_amend_event", args=[key])).content.decode()
    assert "2026-03-10T12:00:00Z" in form
    typed = {"timestamp": "2026-03-10T12:00:00Z", "value": "0.1", "reason": "why"}
    bad = submit(operator, "amend", key, **typed, properties="{")
    assert "This is no JSON object" in bad.content.decode()
    kept = '{\r\n  "exact": "é",\r\n  "model": "a",\r\n  "input_tokens": 5\r\n}'
    assert "Say what is to change" in submit(operator, "amend", key, **typed, properties=kept).content.decode()
    ahead = {**typed, "timestamp": "2027-01-01T00:00:00Z"}
    assert "more than 0:05:00 after now" in submit(operator, "amend", key, **ahead, properties=kept).content.decode()
    without = submit(operator, "amend", key, **{**typed, "value": ""}, properties='{"model": "b"}')
    assert "A value cannot be taken away" in without.content.decode()
    assert not Correction.objects.exists()
    answer = submit(operator, "amend", key, **typed, properties='{"model": "b", "input_tokens": 0.1}')
    new = Event.objects.get(replaces=key)
    assert answer.headers["HX-Redirect"] == page(new.pk)
    assert quantities(meter, DAY) == {"b/input": "0.1"}
    original, amended = operator.get(page(key)).content.decode(), operator.get(page(new.pk)).content.decode()
    assert page(new.pk) in original
    assert page(key) in amended
    assert ("Void …" in original, "Void …" in amended) == (False, True)


def test_who_may_not(operator: Client) -> None:
    send(event("r1"), event("r2", timestamp="2026-01-01T00:00:00Z"))
    key, old = event_of("acme", "r1"), event_of("acme", "r2")
    reader, corrector = staff("view_event"), staff("view_event", "correct_event", "view_correction")
    assert "Void …" not in reader.get(page(key)).content.decode()
    for verb in ("void", "amend"):
        assert submit(reader, verb, key, reason="x").status_code == 403
    assert reader.get(reverse(LIST)).status_code == 403
    assert Client().get(reverse(LIST)).status_code == 302
    submit(corrector, "void", old, reason="x")
    assert not Correction.objects.exists()
    assert "ask somebody who may upload old events" in corrector.get(page(old)).content.decode()
    submit(operator, "void", old, reason="x")
    submit(corrector, "void", key, reason="x")
    assert Correction.objects.count() == 2
    assert corrector.get(reverse(LIST)).status_code == 200
    assert corrector.get(reverse(LIST) + "add/").status_code == 403


def test_the_list_and_the_explorer(operator: Client) -> None:
    send(event("r1"), event("<script>r2"), event("r3", customer="globex"))
    empty = operator.get(reverse(LIST)).content.decode()
    assert "An event that is voided or amended" in empty
    void(event_of("acme", "r1"))
    amend(event_of("acme", "<script>r2"), {"value": 2})
    void(event_of("globex", "r3"))
    shown = operator.get(reverse(LIST)).content.decode()
    assert "&lt;script&gt;r2" in shown
    assert "the API key “support desk”" in shown
    found = operator.get(reverse(LIST), {"q": "globex"}).context["cl"].result_list
    assert [each.event.reference for each in found] == ["r3"]
    explorer = operator.get(reverse("admin:meters_event_changelist")).content.decode()
    assert [explorer.count(mark) for mark in (">voided<", ">amended since<", ">as amended<")] == [2, 1, 1]


def test_the_list_costs_the_same_for_few_and_many(operator: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(reverse(LIST)).status_code == 200
        return len(captured)

    send(*(event(f"r{number}") for number in range(6)))
    void(event_of("acme", "r0"))
    queries()
    few = queries()
    for number in range(1, 6):
        void(event_of("acme", f"r{number}"))
    assert queries() == few
