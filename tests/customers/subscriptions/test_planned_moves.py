"""What a subscription and a version say of planned moves, and their pages, for who may see them and who may not."""

from datetime import date
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.models import PlanVersion
from catalog.versions.publishing import clone_version, publish
from customers.models import PlanMove, Subscription
from customers.subscriptions import plan_moves, planned_moves
from customers.subscriptions.moving import move_to_version
from customers.subscriptions.subscribing import end_subscription
from tests.customers import making
from tests.customers.subscriptions.staff import HOSTILE, client
from tests.invoicing.running import plan_with, subscribed

pytestmark = pytest.mark.django_db

SUBSCRIPTIONS = "/admin/customers/subscription/"


@pytest.fixture
def alice() -> Client:
    return client("view_planmove", "add_planmove", "view_planversion", "view_subscription")


@pytest.fixture
def versions() -> tuple[PlanVersion, PlanVersion]:
    old = plan_with(making.meter("requests"), name="Pro")
    return old, publish(clone_version(old))


def planned(
    versions: tuple[PlanVersion, PlanVersion], timing: str = "period_end", on: date | None = None, by: str = "alice"
) -> PlanMove:
    source, target = versions
    return plan_moves.plan(source=source, target=target, timing=timing, on=on, reason=f"Why {HOSTILE}", by=by)


def listed() -> dict[str, str]:
    rows = planned_moves.with_next_move(Subscription.objects.select_related("version"))
    return {row.customer.reference: planned_moves.in_short(row) for row in rows}


def found(which: object) -> list[str]:
    rows = Subscription.objects.filter(which)  # type: ignore[arg-type]
    return sorted(rows.values_list("customer__reference", flat=True))


def text(response: object) -> str:
    return unescape(" ".join(response.content.decode().split()))  # type: ignore[attr-defined]


def page(subscription: Subscription) -> str:
    return f"{SUBSCRIPTIONS}{subscription.pk}/change/"


def version_page(version: PlanVersion) -> str:
    return reverse("admin:catalog_planversion_change", args=[version.pk])


@pytest.mark.parametrize(
    ("timing", "on", "fields", "says"),
    [
        ("now", None, {}, "v2 now"),
        ("period_end", None, {}, "v2 from 2024-02-01"),
        ("on_date", date(2024, 2, 1), {}, "v2 from 2024-02-01"),
        ("on_date", date(2024, 2, 2), {}, "v2 from 2024-03-01"),
        ("on_date", date(2024, 2, 2), {"timezone": "Asia/Tokyo"}, "v2 from 2024-03-01"),
        ("on_date", date(2024, 1, 15), {"start": date(2024, 1, 20)}, "v2 from 2024-01-20"),
        ("on_date", date(2024, 1, 20), {"start": date(2024, 1, 20)}, "v2 from 2024-01-20"),
        ("on_date", date(2024, 2, 2), {"ends_on": date(2024, 2, 20)}, "v2: it ends before"),
    ],
)
def test_it_says_for_which_period(
    versions: tuple[PlanVersion, PlanVersion], timing: str, on: date | None, fields: dict[str, object], says: str
) -> None:
    subscribed(versions[0], "acme", **fields)  # type: ignore[arg-type]
    assert listed() == {"acme": ""}
    planned(versions, timing, on)
    assert listed() == {"acme": says}


def test_who_waits_who_could_not_go_and_who_is_done(versions: tuple[PlanVersion, PlanVersion]) -> None:
    old, new = versions
    for name in ("acme", "bolt", "coil", "dyno"):
        subscribed(old, name)
    subscribed(new, "edge")
    move = planned(versions, "now")
    items = {item.subscription.customer.reference: item for item in move.items.all()}
    plan_moves.failed(items["bolt"].pk, RuntimeError("x"))
    move.items.filter(pk=items["coil"].pk).update(status="refused", message="Because.", done_at=move.created_at)
    plan_moves.apply(items["dyno"].pk)

    assert listed() == {
        "acme": "v2 now",
        "bolt": "v2 now, tried again",
        "coil": "v2: could not be moved",
        "dyno": "",
        "edge": "",
    }
    assert found(planned_moves.waiting()) == ["acme", "bolt"]
    assert found(planned_moves.refused()) == ["bolt", "coil"]
    shown = {name: planned_moves.of(items[name].subscription)[0] for name in items}
    assert [(shown[name].open, shown[name].failed) for name in shown] == [
        (True, False),
        (True, True),
        (True, True),
        (False, False),
    ]
    assert (shown["coil"].state, shown["coil"].why) == ("Could not be moved", "Because.")

    plan_moves.stop(move)
    again = planned(versions)
    coil = Subscription.objects.get(customer__reference="coil")
    assert listed()["coil"] == "v2 from 2024-02-01"
    assert found(planned_moves.refused()) == []
    assert [each.open for each in planned_moves.of(coil)] == [True, False]
    move_to_version(coil, new)
    assert listed()["coil"] == ""
    assert planned_moves.of(coil)[0].why == f"It is on {new} already: nothing is left to do."
    plan_moves.stop(again)
    acme = Subscription.objects.get(customer__reference="acme")
    assert {each.state for each in planned_moves.of(acme)} == {"Stopped before it was moved"}


def test_the_page_of_a_subscription_says_what_waits(alice: Client, versions: tuple[PlanVersion, PlanVersion]) -> None:
    acme = subscribed(versions[0])
    assert "waits to be moved" not in text(alice.get(page(acme)))
    move = planned(versions, by=HOSTILE)
    shown = alice.get(page(acme))
    address = reverse("admin:customers_planmove_change", args=[move.pk])
    assert "It waits to be moved to" in text(shown)
    assert "Which period: <strong>from 2024-02-01</strong>" in text(shown)
    assert f"Planned by <bdi>{HOSTILE}</bdi>" in text(shown)
    assert address in text(shown)
    assert "<script>alert" not in shown.content.decode()
    assert "v2 from 2024-02-01" in text(alice.get(SUBSCRIPTIONS))
    assert page(acme) in text(alice.get(f"{SUBSCRIPTIONS}?move=waiting"))
    assert page(acme) not in text(alice.get(f"{SUBSCRIPTIONS}?move=refused"))

    without = text(client("view_subscription").get(page(acme)))
    assert "It waits to be moved to" in without
    assert address not in without

    move.items.update(status="refused", message=f"Because of {HOSTILE}", done_at=move.created_at)
    shown = alice.get(page(acme))
    assert "It could not be moved to" in text(shown)
    assert f"<strong>Because of {HOSTILE}</strong>" in text(shown)
    assert page(acme) in text(alice.get(f"{SUBSCRIPTIONS}?move=refused"))
    assert "v2: could not be moved" in text(alice.get(SUBSCRIPTIONS))


def test_what_is_over_stands_below(alice: Client, versions: tuple[PlanVersion, PlanVersion]) -> None:
    acme = subscribed(versions[0])
    move = planned(versions, "now")
    plan_moves.apply(move.items.get().pk)
    shown = text(alice.get(page(acme)))
    assert "waits to be moved" not in shown
    assert 'id="past-moves"' in shown
    assert "Moved <span" in shown
    assert "<script>alert" not in alice.get(page(acme)).content.decode()


def test_a_list_of_many_asks_no_more(alice: Client, versions: tuple[PlanVersion, PlanVersion]) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            alice.get(SUBSCRIPTIONS)
        return len(seen)

    subscribed(versions[0], "first")
    move = planned(versions)
    few = queries()
    plan_moves.stop(move)
    for number in range(8):
        subscribed(versions[0], f"customer-{number}")
    planned(versions)
    assert queries() == few


def test_a_new_version_offers_to_move_who_is_on_earlier_ones(
    alice: Client, versions: tuple[PlanVersion, PlanVersion]
) -> None:
    first, second = versions
    assert "Still on earlier versions" not in text(alice.get(version_page(second)))
    subscribed(first, "acme"), subscribed(first, "bolt"), subscribed(second, "coil")
    third = publish(clone_version(second))
    gone = subscribed(first, "gone")
    end_subscription(gone, date(2024, 1, 2))
    Subscription.objects.filter(pk=gone.pk).update(due_at=None, due_from=None)

    shown = text(alice.get(version_page(third)))
    assert "Still on earlier versions" in shown
    for source, count in ((first, "2 subscriptions</a> are on"), (second, "1 subscription</a> is on")):
        assert count in shown
        address = f"{reverse('admin:customers_planmove_add')}?source={source.pk}&target={third.pk}"
        assert address in shown
        initial = alice.get(address).context["adminform"].form.initial
        assert (initial["source"], initial["target"]) == (str(source.pk), str(third.pk))
    assert "Still on earlier versions" not in text(alice.get(version_page(first)))
    assert "planmove/add" not in text(client("view_planversion").get(version_page(third)))

    move = planned((first, third))
    shown = text(alice.get(version_page(third)))
    assert reverse("admin:customers_planmove_change", args=[move.pk]) in shown
    assert "they are being moved to" in shown
    assert f"?source={first.pk}&" not in shown


def test_who_cannot_be_moved_is_said_with_why(alice: Client, versions: tuple[PlanVersion, PlanVersion]) -> None:
    subscribed(versions[0])
    yearly = clone_version(versions[1])
    PlanVersion.objects.filter(pk=yearly.pk).update(interval="year")
    shown = text(alice.get(version_page(publish(PlanVersion.objects.get(pk=yearly.pk)))))
    assert "and cannot be moved to this one: Pro v3 has the interval year, Pro v1 has month" in shown
    assert "&target=" not in shown
