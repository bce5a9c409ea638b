"""What is corrected changes the next draft, and is found in an invoice that is closed."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from invoicing import late
from invoicing.models import Invoice, LateUsage
from meters.models import Event
from tests.invoicing.running import plan_with, run, subscribed, utc
from tests.invoicing.sending import event, requests_meter, send
from tests.meters.correcting import amend, void

pytestmark = pytest.mark.django_db(transaction=True)
JANUARY = utc(2024, 1, 15, 12)
CLOSED = utc(2024, 2, 1, 1)
PRICES = [({"model": "a"}, "1"), ({"model": "b"}, "2")]


def january(*events: dict[str, Any]) -> list[int]:
    """Events sent in January to a subscription that pays 1.00 for a and 2.00 for b; their ids."""
    subscribed(plan_with(requests_meter(), rows=PRICES))
    send(list(events))
    late.watch(limit=100)
    return list(Event.objects.order_by("pk").values_list("pk", flat=True))


def total(at: datetime) -> Decimal:
    run(at)
    return Invoice.objects.get(status="finalized").total


def listed() -> list[tuple[dict[str, str], Decimal]]:
    late.watch(limit=100)
    return list(LateUsage.objects.order_by("dimensions__model").values_list("dimensions", "quantity"))


def test_what_is_voided_and_amended_in_an_open_period_is_not_billed() -> None:
    first, second, third = january(event(JANUARY, 10), event(JANUARY, 4), event(JANUARY, 3, "b"))
    void(first)
    amend(second, {"value": 5})
    amend(third, {"timestamp": "2024-02-01T00:00:00Z"})
    # 5 of a at 1.00; the 3 of b belong to February.
    assert total(CLOSED) == Decimal(5)
    assert listed() == []


def test_what_is_voided_and_amended_in_a_closed_period_is_listed_as_late() -> None:
    first, second, third = january(event(JANUARY, 10), event(JANUARY, 4), event(JANUARY, 3, "b"))
    assert total(CLOSED) == Decimal(20)
    void(first)
    amend(second, {"properties": {"model": "b"}})
    # a: 0 now − 14 billed; b: 4 + 3 now − 3 billed.
    assert listed() == [({"model": "a"}, Decimal(-14)), ({"model": "b"}, Decimal(4))]
    void(third)
    assert listed() == [({"model": "a"}, Decimal(-14)), ({"model": "b"}, Decimal(1))]
    assert Invoice.objects.get(status="finalized").total == Decimal(20)
