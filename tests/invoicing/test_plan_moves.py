"""Subscriptions move to a later version: now, at the end of their periods, or on a day; each once, whoever works."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.errors import Refused
from catalog.models import Cell, PlanVersion
from catalog.versions.publishing import clone_version, publish, retire
from customers.models import PlanMove, PlanMoveItem, Subscription
from customers.subscriptions import plan_moves
from customers.subscriptions.moving import move_to_version
from customers.subscriptions.plan_moves import plan, preview, stop
from customers.subscriptions.subscribing import end_subscription
from invoicing import planning
from invoicing.models import Chunk, Invoice
from invoicing.plan_moves import apply_due
from meters.models import Meter
from tests.customers import making
from tests.invoicing.running import lines, plan_with, run, subscribed, together, utc

pytestmark = pytest.mark.django_db


@pytest.fixture
def requests() -> Meter:
    return making.meter("requests", unit="request")


def dearer(version: PlanVersion, price: str = "0.02") -> PlanVersion:
    """The next version, whose requests cost `price`."""
    clone = clone_version(version)
    Cell.objects.filter(charge__version=clone).update(unit_price=Decimal(price))
    return publish(clone)


def planned(source: PlanVersion, target: PlanVersion, timing: str = "period_end", on: date | None = None) -> PlanMove:
    return plan(source=source, target=target, timing=timing, on=on, reason="Dearer models", by="alice")


def standing(move: PlanMove) -> list[tuple[str, str]]:
    rows = move.items.order_by("subscription__customer__reference")
    return list(rows.values_list("subscription__customer__reference", "status"))


def free(now: datetime) -> list[int]:
    """The drafts that a pass at this instant would take up."""
    return [draft.pk for step in Chunk.Step for draft in planning._free(step, now)]


def version_of(reference: str) -> int:
    return Subscription.objects.get(customer__reference=reference).version.number


def test_at_the_end_of_the_period_the_old_version_bills_the_old_one(requests: Meter) -> None:
    old = plan_with(requests)
    subscribed(old, "acme")
    new = dearer(old)
    making.use("acme", requests, utc(2024, 1, 10), 100)
    making.use("acme", requests, utc(2024, 2, 10), 100)
    move = planned(old, new)
    assert apply_due(10) == 0
    run(utc(2024, 2, 1))  # a draft within its grace
    assert apply_due(10) == 1
    run(utc(2024, 2, 1, 2))
    assert standing(move) == [("acme", "moved")]
    move.refresh_from_db()
    assert (move.status, move.finished_at is None) == ("done", False)
    run(utc(2024, 3, 1, 2))
    invoices = Invoice.objects.filter(status="finalized").order_by("period_end")
    assert [(each.version.number, lines(each)[0][2]) for each in invoices] == [(1, "1.00"), (2, "2.00")]


def test_a_draft_that_is_held_keeps_no_later_period_at_the_old_version() -> None:
    """100 at 0.01 and 100 at 0.02: January waits for a price, and February is the new version's all the same."""
    requests = making.meter("requests", ["model"], unit="request")
    old = plan_with(requests, rows=[({"model": "a"}, "0.01")])
    subscribed(old)
    new = dearer(old)
    making.use("acme", requests, utc(2024, 1, 10), 100, {"model": "a"})
    making.use("acme", requests, utc(2024, 1, 10), 100, {"model": "b"})
    making.use("acme", requests, utc(2024, 2, 10), 100, {"model": "a"})
    planned(old, new)
    run(utc(2024, 2, 1, 2))
    assert "has no price for model = b" in Invoice.objects.get().hold_reason
    assert apply_due(10) == 1
    assert free(utc(2024, 2, 1, 2)) == []  # it was rated by its version, so there is nothing to do anew
    run(utc(2024, 3, 1, 2))
    january, february = Invoice.objects.order_by("period_start")
    assert (february.status, february.version, lines(february)[0][2]) == ("finalized", new, "2.00")
    assert (january.status, january.version, lines(january)[0][2]) == ("draft", old, "1.00")
    # the way out: moved by hand to a version that prices it, January is priced by that one
    later = clone_version(new)
    Cell.objects.create(charge=later.charges.get(), match={}, position=9, unit_price=Decimal(1))
    move_to_version(Subscription.objects.get(), publish(later))
    assert free(utc(2024, 3, 1, 2)) == [january.pk]
    run(utc(2024, 3, 1, 2))
    january.refresh_from_db()
    assert (january.status, january.version, january.total) == ("finalized", later, Decimal("102.00"))


def test_who_always_has_a_draft_is_moved_as_well(requests: Meter) -> None:
    """Weekly, with a grace of eight days: 7 for a week of the old version, 14 for one of the new."""
    old = plan_with(requests, interval="week", price="0.01", grace=timedelta(days=8))
    subscribed(old)
    new = dearer(old)
    for day in range(29):
        making.use("acme", requests, utc(2024, 1, 1) + timedelta(days=day), 100)
        if day == 9:
            planned(old, new)  # in the week of the 8th
        run(utc(2024, 1, 1, 3) + timedelta(days=day))
        apply_due(10)
    run(utc(2024, 3, 1))
    weeks = Invoice.objects.filter(status="finalized").order_by("period_start")
    assert [(each.period_start.day, each.version.number, str(each.total)) for each in weeks] == [
        (1, 1, "7.0000"),
        (8, 1, "7.0000"),
        (15, 2, "14.0000"),
        (22, 2, "14.0000"),
        (29, 2, "2.0000"),
    ]


def test_a_period_that_was_drafted_before_the_move_was_made_waits_for_it(requests: Meter) -> None:
    """Nobody looked for two months, and then the planner came first."""
    old = plan_with(requests)
    subscription = subscribed(old)
    new = dearer(old)
    making.use("acme", requests, utc(2024, 1, 10), 100)
    making.use("acme", requests, utc(2024, 2, 10), 100)
    planned(old, new)
    end_subscription(subscription, date(2024, 3, 1))
    run(utc(2024, 3, 2))
    assert [each.status for each in Invoice.objects.order_by("period_start")] == ["finalized", "draft"]
    assert apply_due(10) == 1
    run(utc(2024, 3, 2, 0, 1))
    january, february = Invoice.objects.order_by("period_start")
    assert [(each.version, str(each.total)) for each in (january, february)] == [(old, "1.0000"), (new, "2.0000")]


def test_one_that_cannot_be_moved_stops_no_other(requests: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    old = plan_with(requests)
    first = subscribed(old, "acme")
    subscribed(old, "globex")
    move = planned(old, dearer(old))
    run(utc(2024, 2, 1, 2))

    def breaks(subscription: Subscription, version: PlanVersion) -> Subscription:
        if subscription.pk == first.pk:
            raise ZeroDivisionError
        return move_to_version(subscription, version)

    monkeypatch.setattr(plan_moves, "move_to_version", breaks)
    # One at a time, so that who fails first would be tried again and again.
    assert [apply_due(1), apply_due(1)] == [0, 1]
    assert standing(move) == [("acme", "waiting"), ("globex", "moved")]
    assert "(ZeroDivisionError) and is tried again" in move.items.get(subscription=first).message
    monkeypatch.undo()
    assert apply_due(10) == 1
    assert move.items.get(subscription=first).message == ""


def test_of_two_moves_each_draft_has_the_version_of_its_period(requests: Meter) -> None:
    first = plan_with(requests, grace=timedelta(days=100))
    subscribed(first)
    second = dearer(first)
    third = dearer(second, "0.03")
    for month in (1, 2, 3):
        making.use("acme", requests, utc(2024, month, 10), 100)
    planned(first, second)
    run(utc(2024, 2, 1))
    apply_due(10)
    planned(second, third)
    run(utc(2024, 3, 1))
    apply_due(10)
    run(utc(2024, 4, 1))
    assert [str(each.total) for each in Invoice.objects.order_by("period_start")] == ["1.0000", "2.0000", "3.0000"]
    assert free(utc(2024, 4, 1)) == []


def test_now_prices_the_open_period_and_drafts_too(requests: Meter) -> None:
    old = plan_with(requests)
    subscribed(old, "acme")
    making.use("acme", requests, utc(2024, 1, 10), 100)
    run(utc(2024, 2, 1))
    move = planned(old, dearer(old), "now")
    assert apply_due(10) == 1
    assert standing(move) == [("acme", "moved")]
    run(utc(2024, 2, 1, 2))
    assert lines(Invoice.objects.get(period_end=utc(2024, 2, 1))) == [("Requests", "100", "2.00")]


def test_on_a_day_goes_who_begins_a_period_on_it_or_after_it_where_it_lives(requests: Meter) -> None:
    old = plan_with(requests)
    subscribed(old, "acme")
    subscribed(old, "tokyo", timezone="Asia/Tokyo")
    subscribed(old, "mid", start=date(2024, 1, 15), alignment="anniversary")
    move = planned(old, dearer(old), "on_date", date(2024, 2, 1))
    starts = dict(move.items.values_list("subscription__customer__reference", "not_before"))
    assert starts["tokyo"] == utc(2024, 1, 31, 15)
    run(utc(2024, 2, 1, 2))
    apply_due(10)
    assert standing(move) == [("acme", "moved"), ("mid", "waiting"), ("tokyo", "moved")]
    run(utc(2024, 2, 15, 2))
    apply_due(10)
    assert standing(move)[1] == ("mid", "moved")


def test_who_cannot_go_is_named_and_the_others_go(requests: Meter) -> None:
    old = plan_with(requests)
    for name in ("acme", "globex", "initech"):
        subscribed(old, name)
    new, later = dearer(old), dearer(old, "0.03")
    end_subscription(Subscription.objects.get(customer__reference="globex"), date(2024, 1, 20))
    move = planned(old, new, "now")
    move_to_version(Subscription.objects.get(customer__reference="acme"), later)
    run(utc(2024, 1, 20, 2))
    retire(new)
    assert apply_due(10) == 3
    assert standing(move) == [("acme", "gone"), ("globex", "gone"), ("initech", "refused")]
    refused = PlanMoveItem.objects.get(status="refused")
    assert "only a published version can be moved to" in refused.message
    assert [version_of(name) for name in ("acme", "globex", "initech")] == [3, 1, 1]


def test_a_stopped_move_moves_nobody_and_another_can_be_planned(requests: Meter) -> None:
    old = plan_with(requests)
    subscribed(old, "acme")
    new = dearer(old)
    move = planned(old, new, "now")
    with pytest.raises(Refused, match="being moved already: stop that move first"):
        planned(old, new, "now")
    stop(move)
    assert apply_due(10) == 0
    assert not plan_moves.apply(move.items.get().pk)
    with pytest.raises(Refused, match="over already"):
        stop(move)
    planned(old, new, "now")
    assert apply_due(10) == 1


def test_a_move_of_nobody_is_done_at_once(requests: Meter) -> None:
    old = plan_with(requests)
    assert planned(old, dearer(old)).status == "done"


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"timing": "soon"}, "timing", "“soon” is no time to move"),
        ({"timing": "on_date"}, "on", "Say a day"),
        ({"on": date(2024, 2, 1)}, "on", "Say a day"),
        ({"timing": "on_date", "on": date(1900, 1, 1)}, "on", "check the year"),
        ({"reason": " "}, "reason", "Say why"),
        ({"target": "older"}, "target", "is not later than"),
        ({"target": "other"}, "target", "is of another plan"),
        ({"target": "draft"}, "target", "only a published version"),
    ],
)
def test_what_is_refused_names_the_field(requests: Meter, given: dict[str, object], field: str, said: str) -> None:
    old = plan_with(requests)
    new = dearer(old)
    targets = {"older": old, "other": plan_with(requests), "draft": clone_version(old)}
    terms = {"source": old, "target": new, "timing": "period_end", "reason": "why", "by": "alice", **given}
    if isinstance(terms["target"], str):
        terms |= {"source": new, "target": old} if terms["target"] == "older" else {"target": targets[terms["target"]]}
    with pytest.raises(Refused, match=said) as refused:
        plan(**terms)  # type: ignore[arg-type]
    assert [fault.field for fault in refused.value.faults] == [field]
    assert not PlanMove.objects.exists()


def test_what_it_would_come_to_is_told_before(requests: Meter) -> None:
    old = plan_with(requests)
    subscribed(old, "acme")
    subscribed(old, "named", named_events_only=True)
    clone = clone_version(old)
    making.usage_charge(clone, making.meter("jobs"))
    found = preview(old, publish(clone))
    assert found.subscriptions == 2
    [(subscription, why)] = found.refused
    assert subscription.customer.reference == "named"
    assert "make a new subscription instead" in why
    assert not PlanMove.objects.exists()


def test_planning_costs_the_same_for_three_and_for_thirty(requests: Meter) -> None:
    counts = []
    for number in (3, 30):
        old = plan_with(requests if number == 3 else making.meter())
        for index in range(number):
            subscribed(old, f"c-{number}-{index}")
        new = dearer(old)
        with CaptureQueriesContext(connection) as captured:
            planned(old, new, "on_date", date(2024, 3, 1))
        counts.append(len(captured))
    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_two_workers_move_each_once() -> None:
    old = plan_with(making.meter("requests"))
    for index in range(6):
        subscribed(old, f"c-{index}")
    move = planned(old, dearer(old), "now")
    done: list[int] = []
    together(*[lambda: done.append(apply_due(10))] * 3)
    while apply_due(10):  # what was held by another at that moment
        done.append(1)
    assert {status for _, status in standing(move)} == {"moved"}
    move.refresh_from_db()
    assert move.status == "done"
    assert {each.version.number for each in Subscription.objects.all()} == {2}
