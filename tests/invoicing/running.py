"""An invoice run in this process, and subscriptions to run it over."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from typing import Any

import pgtrigger
from django.db import connection, transaction

from billing_site.foundation.periods import midnight
from catalog.models import PlanVersion
from customers.models import Customer, Subscription
from customers.subscriptions import subscribing
from invoicing import chunks, closing, planning
from invoicing.models import Invoice
from meters.models import Meter
from tests.customers import making


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def run(now: datetime) -> list[int]:
    """Plan and work all that can be worked; the ids of the chunks that were done."""
    planning.plan(now)
    return [chunk for chunk in chunks.takeable() if closing.work(chunk, "test")]


def plan_with(
    meter: Meter | None = None,
    *,
    advance: str = "",
    arrears: str = "",
    price: str = "0.01",
    rows: list[tuple[dict[str, str], str]] | None = None,
    grace: timedelta = timedelta(hours=1),
    unmatched: str = "hold",
    **fields: str,
) -> PlanVersion:
    """A published version: a fee in advance, one in arrears, and a meter's usage, of which any may be left out."""
    version = making.version(**fields)
    version.grace = grace
    version.save(update_fields=["grace"])
    if advance:
        making.fee(version, advance, "advance", "Platform")
    if arrears:
        making.fee(version, arrears, "arrears", "Support")
    if meter is not None:
        making.usage_charge(version, meter, rows or [({}, price)], unmatched, "Requests")
    return making.publish(version)


def subscribed(
    version: PlanVersion, reference: str = "acme", start: date = date(2024, 1, 1), **fields: Any
) -> Subscription:
    customer = Customer.objects.filter(reference=reference).first() or subscribing.create_customer(
        reference=reference, name=reference.title(), currency=version.currency, timezone=fields.pop("timezone", "UTC")
    )
    return subscribing.subscribe(customer=customer, version=version, starts_on=start, **fields)


def backdate(subscription: Subscription, day: date) -> None:
    """Make it due again from `day` on, as could only be without the trigger that forbids it."""
    start = midnight(day, subscription.timezone)
    with pgtrigger.ignore("customers.Subscription:invoiced_stays"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE customers_subscription SET due_from = %s, due_at = %s + interval '1 month' WHERE id = %s",
            [start, start, subscription.pk],
        )


def lines(invoice: Invoice) -> list[tuple[str, str, str]]:
    """(description, quantity, amount) of each line, in order."""
    return [
        (line.description, f"{line.quantity:f}".rstrip("0").rstrip("."), f"{line.amount:.2f}")
        for line in invoice.lines.all()
    ]


def together(*calls: Callable[[], object]) -> None:
    """Run calls at the same time, each on a connection of its own; raises what the first of them raised."""
    errors: list[BaseException] = []

    def guarded(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the test
            errors.append(error)
        finally:
            connection.close()

    threads = [Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads), "a thread is stuck"
    if errors:
        raise errors[0]


def sql(statement: str, *values: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
