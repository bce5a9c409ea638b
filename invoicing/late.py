"""Usage that changed after its period was invoiced: found, compared, listed; its adjustment is another verb's.

Ingestion writes a UsageChange in the transaction of the events: from this hour on, this customer's usage of this meter
is not what it was. Here they are taken away in the transaction that acts on them, so one is neither lost nor acted on
by half.

The invoices are locked whatever their status, and their status is read from the locked row: an invoice that is being
finalized at this moment still looks like a draft to a plain read, and must be waited for. `NO KEY UPDATE` rather than
`SHARE`, so that two consumers at one invoice follow each other, and the later one, which reads usage later, writes
last.

What cannot be compared is nobody else's problem: the customer and meter are noted as a LateProblem, their change stays
and is tried again, and the others go on.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from psycopg.types.json import Jsonb

from billing_site.foundation import clock
from billing_site.foundation.money import EXACT, ZERO
from customers.rating import chunks as rating
from invoicing import chunks
from invoicing.closing import request_for
from invoicing.models import Invoice, LateProblem, Line

log = structlog.get_logger(__name__)

CLOSED = (Invoice.Status.FINALIZED, Invoice.Status.EMPTY)
# Longer than any transaction that makes a customer or an alias.
UNKNOWN_WAITS = timedelta(minutes=10)

# Invoice, charge, dimension values in the order of their names.
Key = tuple[int, int, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Change:
    """From `hour` on, usage of a meter by a customer, named by any of its references, is not what it was."""

    customer: str
    meter: int
    hour: datetime


class NotMeasured(Exception):
    """The usage of some closed invoices could not be read, so nothing can be said about what came later."""


def watch(limit: int) -> int:
    """Act on all that waits, `limit` changes a transaction. How many there were, but for those that must wait."""
    seen = 0
    while True:
        try:
            taken = _watch_some(limit)
        except Exception:
            log.exception("late_usage_not_compared")
            done, failed = _watch_each(limit)
            seen += done
            if not failed:  # it passed when tried again: who cannot be blamed is not waited for
                return seen
            continue
        seen += taken
        if taken < limit:
            return seen


def _watch_each(limit: int) -> tuple[int, int]:
    """The same changes, a customer and meter at a time: how many were acted on, and how many pairs failed."""
    done = failed = 0
    for customer, meter in _waiting(limit):
        try:
            done += _watch_some(limit, customer, meter)
        except Exception as error:
            log.exception("late_usage_of_customer_not_compared", customer=customer, meter=meter)
            _note(customer, meter, error)
            failed += 1
    return done, failed


@transaction.atomic
def _watch_some(limit: int, customer: str | None = None, meter: int | None = None) -> int:
    """Of all customers, or of one customer and meter."""
    taken, changes = _take(limit, customer, meter)
    if changes:
        closed = _lock_closed(changes)
        if closed:
            with localcontext(EXACT):  # a quantity may have more digits than the usual context keeps
                _compare(closed)
        _forget_problems(changes)
    return taken


# A change of a customer whom nobody knows is left for a while: the transaction that gives the reference to a customer
# may be under way, and looked for usage before these events were committed.
_READY = """
   (change.created_at <= statement_timestamp() - %(unknown_waits)s
    OR EXISTS (SELECT FROM customers_alias alias WHERE alias.reference = change.customer))
   AND NOT EXISTS (
     SELECT FROM invoicing_lateproblem problem
      WHERE problem.customer = change.customer AND problem.meter_id = change.meter_id
        AND problem.retry_at > statement_timestamp())
"""
_WAITING = f"""
SELECT DISTINCT customer, meter_id FROM (
  SELECT customer, meter_id FROM meters_usagechange change WHERE {_READY} ORDER BY id LIMIT %(limit)s
) first ORDER BY customer, meter_id
"""  # noqa: S608 - made of the constant above
_TAKE = f"""
WITH taken AS (
  DELETE FROM meters_usagechange WHERE id IN (
    SELECT id FROM meters_usagechange change
     WHERE {_READY}
       AND (%(customer)s::text IS NULL OR change.customer = %(customer)s AND change.meter_id = %(meter)s)
     ORDER BY id LIMIT %(limit)s FOR UPDATE OF change SKIP LOCKED
  ) RETURNING customer, meter_id, hour
)
SELECT customer, meter_id, min(hour), count(*) FROM taken GROUP BY customer, meter_id
"""  # noqa: S608 - likewise


def _waiting(limit: int) -> list[tuple[str, int]]:
    """Customers and meters of the changes that would be taken next."""
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"unknown_waits": UNKNOWN_WAITS, "limit": limit}
        cursor.execute(_WAITING, values)
        return [(customer, meter) for customer, meter in cursor.fetchall()]


def _take(limit: int, customer: str | None, meter: int | None) -> tuple[int, list[Change]]:
    """How many rows were taken, and the earliest hour of each customer and meter among them."""
    values: dict[str, Any] = {"unknown_waits": UNKNOWN_WAITS, "limit": limit, "customer": customer, "meter": meter}
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, values)
        rows = cursor.fetchall()
    return sum(row[3] for row in rows), [Change(*row[:3]) for row in rows]


def _note(customer: str, meter: int, error: Exception) -> None:
    LateProblem.objects.update_or_create(
        customer=customer,
        meter_id=meter,
        defaults={"error": chunks.describe(error), "retry_at": clock.now() + settings.INVOICE_REFRESH},
    )


def _forget_problems(changes: Sequence[Change]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM invoicing_lateproblem problem
             USING unnest(%s::text[], %s::bigint[]) AS change(customer, meter_id)
             WHERE problem.customer = change.customer AND problem.meter_id = change.meter_id
            """,
            [[each.customer for each in changes], [each.meter for each in changes]],
        )


def _lock_closed(changes: Sequence[Change]) -> list[Invoice]:
    """The closed invoices that bill these meters after these hours, locked in the order in which a run locks them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT invoice.id
              FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[]) AS change(customer, meter_id, hour)
              JOIN customers_alias alias ON alias.reference = change.customer
              JOIN invoicing_invoice invoice
                ON invoice.customer_id = alias.customer_id AND invoice.kind = 'period' AND invoice.period_end >
                change.hour
              JOIN catalog_charge charge
                ON charge.version_id = invoice.version_id AND charge.meter_id = change.meter_id
            """,
            [[each.customer for each in changes], [each.meter for each in changes], [each.hour for each in changes]],
        )
        ids = [row[0] for row in cursor.fetchall()]
    locked = Invoice.objects.filter(pk__in=ids).order_by("id").select_for_update(no_key=True)
    return [invoice for invoice in locked if invoice.status in CLOSED]


def _compare(closed: Sequence[Invoice]) -> None:
    """Keep what usage now is − what was invoiced, for every charge and combination of these invoices."""
    measured = rating.measure([request_for(invoice) for invoice in closed])
    if left_out := sorted({invoice.pk for invoice in closed} - measured.keys()):
        raise NotMeasured(f"The usage of the invoices {left_out} could not be read; the log says why.")
    current: dict[Key, Decimal] = {
        (invoice, charge, tuple(sorted(combination.dimensions.items()))): combination.quantity
        for invoice, charges in measured.items()
        for charge, combinations in charges.items()
        for combination in combinations
    }
    invoiced = _invoiced(measured)
    differences = _differences(current, invoiced)
    _write(measured.keys(), differences)


def _differences(current: Mapping[Key, Decimal], invoiced: Mapping[Key, Decimal]) -> dict[Key, Decimal]:
    return {
        key: difference
        for key in current.keys() | invoiced.keys()
        if (difference := current.get(key, ZERO) - invoiced.get(key, ZERO))
    }


def _invoiced(invoices: Collection[int]) -> dict[Key, Decimal]:
    """Quantities on the lines of usage: what fills up to a minimum, or is above a cap, is none."""
    invoiced: dict[Key, Decimal] = defaultdict(Decimal)
    rows = Line.objects.filter(invoice__in=invoices, kind=Line.Kind.USAGE)
    for invoice, charge, dimensions, quantity in rows.values_list("invoice", "charge", "dimensions", "quantity"):
        invoiced[invoice, charge, tuple(sorted(dimensions.items()))] += quantity
    return invoiced


def _write(invoices: Collection[int], differences: Mapping[Key, Decimal]) -> None:
    """Upsert the differences, and delete rows whose difference is gone. Two statements; the invoices are locked."""
    columns = [list(column) for column in zip(*(key for key in sorted(differences)), strict=True)] or [[], [], []]
    values = {
        "invoices": list(invoices),
        "invoice": columns[0],
        "charge": columns[1],
        "dimensions": [Jsonb(dict(dimensions)) for dimensions in columns[2]],
        "quantity": [differences[key] for key in sorted(differences)],
    }
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, values)
        cursor.execute(_KEEP, values)


_DIFFERENCES = """
  SELECT * FROM unnest(%(invoice)s::bigint[], %(charge)s::bigint[], %(dimensions)s::jsonb[], %(quantity)s::numeric[])
         AS difference(invoice_id, charge_id, dimensions, quantity)
"""
_FORGET = f"""
DELETE FROM invoicing_lateusage late
 WHERE late.invoice_id = ANY(%(invoices)s)
   AND NOT EXISTS (
     SELECT FROM ({_DIFFERENCES}) difference
      WHERE difference.invoice_id = late.invoice_id AND difference.charge_id = late.charge_id
        AND difference.dimensions = late.dimensions)
"""  # noqa: S608 - made of the constant above
_KEEP = f"""
INSERT INTO invoicing_lateusage AS late (invoice_id, charge_id, dimensions, quantity)
{_DIFFERENCES}
ON CONFLICT (invoice_id, charge_id, md5(dimensions::text)) DO UPDATE
   SET quantity = excluded.quantity, updated_at = statement_timestamp()
 WHERE late.quantity <> excluded.quantity
"""  # noqa: S608 - likewise
