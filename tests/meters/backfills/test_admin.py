"""The pages of meters tell how far stored events are counted, and let a count that failed go on."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from kombu.exceptions import OperationalError as BrokerAway

from meters import tasks
from meters.backfills import backfilling
from meters.definitions.metering import create
from meters.models import Backfill, Meter
from tests.meters.backfills.test_backfilling import CALLS, turn
from tests.meters.definitions.test_admin import form
from tests.meters.making import calls_meter, event, send

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def asked(settings: Any) -> Iterator[mock.Mock]:
    """Who is asked to work; nobody does."""
    settings.BACKFILL_CHUNK_EVENTS = 2
    with mock.patch.object(tasks.work_backfill, "apply_async") as asked:
        yield asked


def text(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def page(meter: Meter, name: str = "change") -> str:
    return reverse(f"admin:meters_meter_{name}", args=[meter.pk])


def test_a_new_meter_is_counted_for_whoever_made_it(operator: Client, asked: mock.Mock) -> None:
    send(*(event(f"r{n}") for n in range(6)))
    posted = form(code="calls", aggregation="count", event_type="llm.request")
    answer = operator.post(reverse("admin:meters_meter_add"), posted)
    meter, job = Meter.objects.get(), Backfill.objects.get()
    assert (answer.status_code, answer["Location"], job.asked_by) == (302, page(meter), get_user_model().objects.get())
    asked.assert_called_once_with((job.pk,), expires=60)

    shown = text(operator.get(page(meter)))
    for each in ("Counting stored events…", "0 %: 0 events", "Waiting for a worker.", "UTC by operator"):
        assert each in shown
    turn(meter)
    part = text(operator.get(page(meter, "counting")))
    assert "33 %: 2 events of this type counted" in part
    assert 'hx-trigger="every 1s"' in part
    assert "33 %" in text(operator.get(reverse("admin:meters_meter_changelist")))

    backfilling.run(meter)
    part = text(operator.get(page(meter, "counting")))
    assert "Stored events are counted" in part
    assert "hx-trigger" not in part
    assert 'id="counting"' not in text(operator.get(page(meter)))


def test_a_change_is_counted_anew(operator: Client, asked: mock.Mock) -> None:
    send(event("r1"))
    meter = calls_meter()
    posted = form(code="api_calls", aggregation="count", event_type="llm.request")
    filters = {"filters-TOTAL_FORMS": "1", "filters-0-property": "model", "filters-0-operator": "present"}
    operator.post(page(meter), posted | filters)
    meter.refresh_from_db()
    assert (meter.generation, asked.call_count) == (2, 1)
    turn(meter)
    assert "being cleared away" in text(operator.get(page(meter, "counting")))


def test_without_stored_events_nothing_is_asked_for(operator: Client, asked: mock.Mock) -> None:
    answer = operator.post(reverse("admin:meters_meter_add"), form(code="calls", aggregation="count"))
    assert answer["Location"] == reverse("admin:meters_meter_changelist")
    assert not asked.called


def test_a_broker_that_is_away_is_told(operator: Client, asked: mock.Mock) -> None:
    send(event("r1"))
    asked.side_effect = BrokerAway()
    posted = form(code="calls", aggregation="count", event_type="llm.request")
    assert "Redis) cannot be reached" in text(operator.post(reverse("admin:meters_meter_add"), posted, follow=True))
    assert Backfill.objects.get().status == "counting"


def test_a_failed_count_says_why_and_goes_on(operator: Client, asked: mock.Mock) -> None:
    send(*(event(f"r{n}") for n in range(6)))
    meter = create(CALLS)
    turn(meter)
    Backfill.objects.update(status="failed", error="DataError: <b>too large</b>")
    shown = text(operator.get(page(meter)))
    assert "DataError: &lt;b&gt;too large&lt;/b&gt;" in shown
    assert "failed at 33 %" in text(operator.get(reverse("admin:meters_meter_changelist")))
    assert operator.get(page(meter, "resume")).status_code == 405
    assert operator.post(page(meter, "resume"))["Location"] == page(meter)
    assert (Backfill.objects.get().status, asked.call_count) == ("counting", 1)
    assert "No count of stored events has failed" in text(operator.post(page(meter, "resume"), follow=True))


@pytest.mark.parametrize(
    ("event_type", "said"),
    [
        ("llm.request", "<strong>1</strong> event of the type “<bdi>llm.request</bdi>” is stored; the first came on"),
        ("<script>", "No event of the type “<bdi>&lt;script&gt;</bdi>” is stored"),
        ("", ""),
    ],
)
def test_how_many_events_there_are_of_a_type_that_is_typed(operator: Client, event_type: str, said: str) -> None:
    send(event("r1"))
    shown = text(operator.get(reverse("admin:meters_meter_stored"), {"event_type": event_type}))
    assert shown.startswith(said)
    assert bool(shown) == bool(said)


def test_who_may_not(client: Client) -> None:
    send(event("r1"))
    meter = create(CALLS)
    Backfill.objects.update(status="failed")
    user = get_user_model().objects.create_user("viewer", password="a long password", is_staff=True)
    client.force_login(user)
    for name in ("counting", "resume"):
        assert client.post(page(meter, name)).status_code == 403
    assert client.get(reverse("admin:meters_meter_stored")).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_meter"))
    assert "Go on" not in text(client.get(page(meter, "counting")))
    assert client.post(page(meter, "resume")).status_code == 403
    assert Backfill.objects.get().status == "failed"
