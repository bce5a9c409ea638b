"""Usage that no row of its price list matches, while there is time to price it; and what was billed at nothing for it.

Looked for in two steps, so that a page of it costs little: one statement finds the subscriptions that have a series
which fits no row of a charge, then rating's own reading and matrix say what it comes to. No price is decided here.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, localcontext

from django.db import connection

from billing_site.foundation import clock
from billing_site.foundation.money import EXACT, ZERO, round_amount
from billing_site.foundation.periods import Period
from catalog.charges import books as price_books
from catalog.models import Charge
from catalog.pricing.book import PriceBook, Row, UsageCharge
from catalog.pricing.matrix import Combination
from customers.models import Subscription
from customers.rating import chunks as rating
from customers.rating.rated import Request
from invoicing.closing import request_for
from invoicing.models import Invoice
from meters.explorer.scanning import in_time

LOOKED_AT = 200
BILLED_AT_NOTHING_FOR = timedelta(days=35)

# Open periods, and drafts that wait. A row fits a series when all its values stand in it, as the matrix has it; a row
# of only * fits all, so the customers of such a charge are not looked at. Rows are those of the price list in the
# customer's currency; credits have one for all. Series by the index series_once.
_SUSPECTS = """
    WITH gap AS MATERIALIZED (
        SELECT charge.id, charge.version_id, charge.meter_id, listed.currency, listed.price_list
        FROM catalog_charge AS charge
        JOIN catalog_planversion AS version ON version.id = charge.version_id
        JOIN catalog_plan AS plan ON plan.id = version.plan_id
        CROSS JOIN LATERAL (
            SELECT version.currency, NULL::bigint AS price_list
            UNION ALL
            SELECT further.currency, CASE WHEN plan.consumption <> 'credits' THEN further.id END
            FROM catalog_pricelist AS further
            WHERE further.version_id = version.id
        ) AS listed
        WHERE charge.kind = 'usage'
            AND NOT EXISTS (
                SELECT FROM catalog_cell AS cell
                WHERE cell.charge_id = charge.id AND cell.match = '{}'
                    AND cell.price_list_id IS NOT DISTINCT FROM listed.price_list
            )
    )
    SELECT subscription.id
    FROM customers_subscription AS subscription
    JOIN customers_customer AS customer ON customer.id = subscription.customer_id
    WHERE (subscription.version_id, customer.currency) IN (SELECT version_id, currency FROM gap)
        AND (subscription.due_at IS NOT NULL AND subscription.starts_at <= %(now)s
            OR EXISTS (
                SELECT FROM invoicing_invoice AS draft
                WHERE draft.subscription_id = subscription.id AND draft.status = 'draft'
            ))
        AND EXISTS (
            SELECT FROM gap
            JOIN customers_alias AS alias ON alias.customer_id = subscription.customer_id
            JOIN meters_meter AS meter ON meter.id = gap.meter_id
            JOIN meters_series AS series ON series.customer = alias.reference
                AND series.meter_id = meter.id AND series.generation = meter.generation
            WHERE gap.version_id = subscription.version_id AND gap.currency = customer.currency
                AND NOT EXISTS (
                    SELECT FROM catalog_cell AS cell
                    WHERE cell.charge_id = gap.id AND series.dimensions @> cell.match
                        AND cell.price_list_id IS NOT DISTINCT FROM gap.price_list
                )
        )
    ORDER BY subscription.id
    LIMIT %(limit)s
"""

# Invoices by invoice_once (subscription), their lines by line_position_once, of charges that bill it at nothing alone.
# A subscription may be on a later version of the plan by now.
_AT_NOTHING = """
    SELECT line.charge_id, line.dimensions::text, invoice.currency, sum(line.quantity), count(DISTINCT line.invoice_id)
    FROM catalog_charge AS charge
    JOIN catalog_planversion AS billed ON billed.id = charge.version_id
    JOIN catalog_planversion AS version ON version.plan_id = billed.plan_id
    JOIN customers_subscription AS subscription ON subscription.version_id = version.id
    JOIN invoicing_invoice AS invoice ON invoice.subscription_id = subscription.id
        AND invoice.version_id = billed.id AND invoice.status = 'finalized' AND invoice.finalized_at >= %(since)s
    JOIN invoicing_line AS line ON line.invoice_id = invoice.id AND line.charge_id = charge.id
    WHERE charge.kind = 'usage' AND charge.unmatched = 'zero' AND line.explanation->'row' = 'null'
    GROUP BY 1, 2, 3
    ORDER BY 4 DESC, 1, 2, 3
    LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Estimate:
    """Between which amounts usage would lie at the prices of the rows that are nearest to it, in the currency."""

    low: Decimal
    high: Decimal
    rows: int


@dataclass
class Gap:
    """Usage of one charge at one combination that no row matches.

    `invoices`: the drafts that are held, or the finalized invoices that billed it at nothing. `estimate` None: the
    charge has no rows at all.
    """

    book: PriceBook
    charge: UsageCharge
    dimensions: Mapping[str, str]
    quantity: Decimal = ZERO
    subscriptions: set[int] = field(default_factory=set)
    invoices: int = 0
    estimate: Estimate | None = None


@dataclass(frozen=True)
class Found:
    """`complete` False: only the first so many subscriptions were looked at, there are more with such usage."""

    gaps: Sequence[Gap]
    complete: bool


def open_usage() -> Found:
    """What no row matches in periods that are not closed: greatest quantity first. A constant number of queries.

    Looks at `LOOKED_AT` subscriptions. Raises `meters.explorer.scanning.TooMuch` when they are not found in time.
    """
    with in_time(), connection.cursor() as cursor:
        cursor.execute(_SUSPECTS, {"now": clock.now(), "limit": LOOKED_AT + 1})
        suspects = [row[0] for row in cursor.fetchall()]
    subscriptions = Subscription.objects.select_related("customer").in_bulk(suspects[:LOOKED_AT])
    drafts = list(Invoice.objects.filter(subscription__in=subscriptions, status=Invoice.Status.DRAFT).order_by("id"))
    requests, of, held = requests_of(subscriptions.values(), drafts)
    books = price_books.load({book_key(row) for row in subscriptions.values()})
    gaps: dict[tuple[int, tuple[tuple[str, str], ...]], Gap] = {}
    for key, by_charge in rating.unmatched(requests).items():
        for book, charge, usage in _unmatched(books[book_key(of[key])], by_charge):
            found = gaps.setdefault(
                (charge.id, tuple(sorted(usage.dimensions.items()))), Gap(book, charge, usage.dimensions)
            )
            found.quantity = EXACT.add(found.quantity, usage.quantity)
            found.subscriptions.add(of[key].pk)
            found.invoices += key in held
    for gap in gaps.values():
        gap.estimate = estimate(gap.charge.rows, gap.dimensions, gap.quantity, gap.book.currency)
    rows = sorted(gaps.values(), key=lambda gap: (-gap.quantity, gap.charge.id, sorted(gap.dimensions.items())))
    return Found(rows, complete=len(suspects) <= LOOKED_AT)


def billed_at_nothing(limit: int) -> list[Gap]:
    """What was finalized at an amount of nothing for want of a row, in the last 35 days; most first.

    Raises `meters.explorer.scanning.TooMuch`.
    """
    since = clock.now() - BILLED_AT_NOTHING_FOR
    with in_time(), connection.cursor() as cursor:
        cursor.execute(_AT_NOTHING, {"since": since, "limit": limit})
        found = cursor.fetchall()
    versions = dict(Charge.objects.filter(pk__in={row[0] for row in found}).values_list("pk", "version_id"))
    books = price_books.load({(versions[charge], currency) for charge, _, currency, *_ in found})
    return [
        _billed(books[versions[charge], currency], charge, json.loads(dimensions), quantity, invoices)
        for charge, dimensions, currency, quantity, invoices in found
    ]


def book_key(subscription: Subscription) -> price_books.Key:
    return subscription.version_id, subscription.customer.currency


def _billed(book: PriceBook, charge_id: int, dimensions: Mapping[str, str], quantity: Decimal, invoices: int) -> Gap:
    charge = next(each for each in book.charges if isinstance(each, UsageCharge) and each.id == charge_id)
    worth = estimate(charge.rows, dimensions, quantity, book.currency)
    return Gap(book, charge, dimensions, quantity, invoices=invoices, estimate=worth)


def requests_of(
    subscriptions: Iterable[Subscription], drafts: Iterable[Invoice]
) -> tuple[list[Request], dict[int, Subscription], set[int]]:
    """What is open and what waits as a draft, each under a key of its own; whose each is; which of them are held."""
    by_id = {row.pk: row for row in subscriptions}
    requests: list[Request] = []
    of: dict[int, Subscription] = {}
    held: set[int] = set()
    for row in by_id.values():
        if row.due_from is not None and row.due_at is not None and row.due_from < row.due_at:
            of[len(requests)] = row
            requests.append(Request(len(requests), row.pk, Period(row.due_from, row.due_at), None))
    for draft in drafts:
        key = len(requests)
        of[key] = by_id[draft.subscription_id]
        held |= {key} if draft.hold_reason else set()
        requests.append(Request(key, draft.subscription_id, request_for(draft).arrears, None))
    return requests, of, held


def _unmatched(
    book: PriceBook, by_charge: Mapping[int, Sequence[Combination]]
) -> Iterator[tuple[PriceBook, UsageCharge, Combination]]:
    for charge in book.charges:
        if isinstance(charge, UsageCharge):
            yield from ((book, charge, usage) for usage in by_charge.get(charge.id, ()) if usage.quantity)


def estimate(rows: Sequence[Row], dimensions: Mapping[str, str], quantity: Decimal, currency: str) -> Estimate | None:
    """The usage at the prices of the rows that share most values with it, or of all rows when none shares any. Pure."""
    if not rows:
        return None
    shared = {row.id: sum(dimensions.get(name) == value for name, value in row.match.items()) for row in rows}
    most = max(shared.values())
    near = [row for row in rows if shared[row.id] == most]
    with localcontext(EXACT):
        models = [model for row in near if (model := row.model_for(dimensions)) is not None]
        amounts = [round_amount(model.price(quantity, "", 0).amount, currency) for model in models]
    return Estimate(min(amounts), max(amounts), len(amounts)) if amounts else None
