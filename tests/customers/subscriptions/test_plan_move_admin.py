"""Operators plan moves, see how far they have come, and stop them; who may not is kept out."""

from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from catalog.models import PlanVersion
from catalog.versions.publishing import clone_version, publish
from customers.models import PlanMove
from customers.subscriptions import plan_moves
from tests.customers import making
from tests.customers.subscriptions.staff import HOSTILE, client
from tests.invoicing.running import plan_with, subscribed

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> Client:
    return client("view_planmove", "add_planmove", "change_planmove", "view_planversion", "view_subscription")


@pytest.fixture
def versions() -> tuple[PlanVersion, PlanVersion]:
    old = plan_with(making.meter("requests"), name=HOSTILE)
    subscribed(old, "acme")
    return old, publish(clone_version(old))


def page(name: str, *args: int) -> str:
    return reverse(f"admin:customers_planmove_{name}", args=args)


def text(response: object) -> str:
    return unescape(" ".join(response.content.decode().split()))  # type: ignore[attr-defined]


def planned(versions: tuple[PlanVersion, PlanVersion], timing: str = "now") -> PlanMove:
    return plan_moves.plan(source=versions[0], target=versions[1], timing=timing, reason=HOSTILE, by="alice")


def test_from_a_version_to_its_move(alice: Client, versions: tuple[PlanVersion, PlanVersion]) -> None:
    old, new = versions
    shown = alice.get(reverse("admin:catalog_planversion_change", args=[old.pk]))
    assert "1 subscription</a> is on it" in text(shown)
    assert f"{page('add')}?source={old.pk}" in text(shown)
    form = alice.get(f"{page('add')}?source={old.pk}").context["adminform"].form
    assert (form.initial["source"], form.initial["timing"]) == (str(old.pk), "period_end")
    terms = {"source": old.pk, "target": new.pk, "timing": "period_end", "reason": HOSTILE}
    answer = alice.post(page("add"), terms, follow=True)
    move = PlanMove.objects.get()
    assert (move.created_by, move.status, move.reason) == ("user-0", "moving", HOSTILE)
    assert "0 of 1 subscription:" in text(answer)
    assert "drafts of what is before keep their version" in text(answer)
    assert "<script>alert" not in answer.content.decode()
    assert "0 of 1" in text(alice.get(page("changelist")))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"target": "old"}, "is not later than"),
        ({"timing": "on_date"}, "Say a day"),
        ({"on": "2024-01-01"}, "Say a day"),
        ({"reason": ""}, "is empty"),
    ],
)
def test_what_is_refused_is_said_at_the_form(
    alice: Client, versions: tuple[PlanVersion, PlanVersion], changed: dict[str, str], said: str
) -> None:
    old, new = versions
    terms = {"source": old.pk, "target": new.pk, "timing": "period_end", "reason": "why", **changed}
    if changed.get("target") == "old":
        terms |= {"source": new.pk, "target": old.pk}
    response = alice.post(page("add"), terms)
    assert said in str(response.context["adminform"].form.errors)
    assert not PlanMove.objects.exists()


def test_a_move_is_stopped_once(alice: Client, versions: tuple[PlanVersion, PlanVersion]) -> None:
    move = planned(versions)
    assert "Stop</button>" in text(alice.get(page("change", move.pk)))
    answer = alice.post(page("change", move.pk), follow=True)
    move.refresh_from_db()
    assert move.status == "stopped"
    assert "Stop</button>" not in text(answer)
    assert "over already" in text(alice.post(page("change", move.pk), follow=True))


def test_progress_is_told_and_ends_by_itself(alice: Client, versions: tuple[PlanVersion, PlanVersion]) -> None:
    move = planned(versions)
    address = reverse("admin:planmove_progress", args=[move.pk])
    assert "hx-get" in text(alice.get(address))
    plan_moves.apply(move.items.get().pk)
    shown = text(alice.get(address))
    assert "1 moved, 0 refused, 0 gone before, 0 waiting" in shown
    assert "hx-get" not in shown
    assert "Nobody: all are moved" in text(alice.get(page("change", move.pk)))


def test_who_may_only_look_plans_and_stops_nothing(versions: tuple[PlanVersion, PlanVersion]) -> None:
    move = planned(versions)
    bob, carol = client("view_planmove"), client("view_subscription")
    assert bob.get(page("change", move.pk)).status_code == 200
    assert "Stop</button>" not in text(bob.get(page("change", move.pk)))
    assert bob.post(page("change", move.pk)).status_code == 403
    assert bob.get(page("add")).status_code == 403
    assert carol.get(page("change", move.pk)).status_code == 403
    assert carol.get(reverse("admin:planmove_progress", args=[move.pk])).status_code == 403
    assert bob.get(page("change", 987_654)).status_code == 404
    move.refresh_from_db()
    assert move.status == "moving"
