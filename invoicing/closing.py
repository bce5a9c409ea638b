"""A chunk of drafts → rated drafts, or finalized invoices, in one transaction: killed on the way, nothing happened.

Why no usage is lost between reading and finalizing, at READ COMMITTED (PostgreSQL's default, which the product keeps):

1. The drafts were committed before this transaction began, by the planner.
2. This transaction locks them first. Each statement after that reads what was committed before the statement began,
   so rating sees all usage that was committed before the lock was had.
3. Usage that commits later has written a UsageChange in its own transaction. Its consumer (`late`) locks the same
   invoices, so it waits until this transaction is over, finds them finalized and compares.
"""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

import structlog
from django.conf import settings
from django.db import connection, transaction

from billing_site.foundation.money import ZERO, show
from billing_site.foundation.periods import Period
from customers.rating import chunks as rating
from customers.rating.chunks import Rated, Request
from invoicing import chunks, lines, locks, numbering, plan_moves
from invoicing.models import Chunk, Invoice

log = structlog.get_logger(__name__)


def work(chunk_id: int, worker: str) -> bool:
    """Take a chunk and do it. False when it is not free, or when this attempt failed, which is noted on the chunk."""
    attempt = chunks.take(chunk_id, worker)
    if attempt is None:
        return False
    try:
        with transaction.atomic():
            locks.notice_a_dead_client()
            chunk = chunks.lock(chunk_id, attempt)
            if chunk is None:
                return False
            _close(chunk)
    except Exception as error:
        log.exception("chunk_failed", chunk=chunk_id, attempt=attempt)
        chunks.fail(chunk_id, attempt, error)
        return False
    return True


def retry_held(invoices: Sequence[int]) -> int:
    """Let held drafts be tried again by the next pass instead of after INVOICE_REFRESH. How many there were."""
    held = Invoice.objects.filter(pk__in=invoices, status=Invoice.Status.DRAFT).exclude(hold_reason="")
    return held.update(rated_at=None)


def _close(chunk: Chunk) -> None:
    drafts = list(
        Invoice.objects.filter(chunk=chunk, status=Invoice.Status.DRAFT).order_by("id").select_for_update(no_key=True)
    )
    _follow_versions(drafts)
    rated = rating.rate([request_for(draft) for draft in drafts]) if drafts else {}
    lines.replace([rated[draft.pk] for draft in drafts])
    held = {draft.pk: _problems(rated[draft.pk], draft.currency) for draft in drafts}
    versions = {draft.pk: draft.version_id for draft in drafts}
    _write_totals([rated[draft.pk] for draft in drafts], versions, held, chunk)
    if chunk.step == Chunk.Step.RATE:
        chunks.finish(chunk.pk)
        return
    _check_foreign_keys()
    chunks.finish(chunk.pk)
    numbering.finalize([draft.pk for draft in drafts if rated[draft.pk].lines and not held[draft.pk]])


def _follow_versions(drafts: Sequence[Invoice]) -> None:
    """A draft is priced by the version that holds in its period; with finalization that is its own for good."""
    versions = plan_moves.versions(drafts)
    for draft in drafts:
        draft.version_id = versions[draft.pk]


def request_for(invoice: Invoice) -> Request:
    """What an invoice bills: its period in arrears, and in advance what begins at its end."""
    opening = invoice.kind == Invoice.Kind.OPENING
    return Request(
        key=invoice.pk,
        subscription=invoice.subscription_id,
        version=invoice.version_id,
        arrears=None if opening else Period(invoice.period_start, invoice.period_end),
        advance=None if invoice.advance_end is None else Period(invoice.period_end, invoice.advance_end),
    )


def _problems(rated: Rated, currency: str) -> list[str]:
    """Why it cannot be finalized: what rating says, and that nobody is asked to pay less than nothing."""
    total = _total(rated)
    if total >= 0:
        return list(rated.problems)
    negative = (
        f"The total is negative ({show(total, currency)} {currency}): a credit note is needed, which cannot be issued"
        " here. Correct the usage by sending events, or settle it by hand; it is tried again by itself."
    )
    return [*rated.problems, negative]


def _total(rated: Rated) -> Decimal:
    return sum((line.amount for line in rated.lines), ZERO)


def _write_totals(
    results: Sequence[Rated], versions: Mapping[int, int], held: Mapping[int, Sequence[str]], chunk: Chunk
) -> None:
    """Totals, who bills whom, and reasons to hold. What stays a draft is free again; what has no lines is empty."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE invoicing_invoice invoice
               SET version_id = result.version, total = result.total,
                   hold_reason = result.held, rated_at = statement_timestamp(), costs_known_at = result.costs_known_at,
                   seller = %(seller)s::jsonb,
                   bill_to = jsonb_build_object(
                     'reference', customer.reference, 'name', customer.name, 'email', customer.email,
                     'tax_id', customer.tax_id, 'address', customer.address, 'country', customer.country),
                   chunk_id = CASE WHEN %(closing)s AND result.held = '' THEN invoice.chunk_id END,
                   status = CASE WHEN %(closing)s AND result.held = '' AND result.lines = 0
                                 THEN 'empty' ELSE 'draft' END,
                   finalized_at = CASE WHEN %(closing)s AND result.held = '' AND result.lines = 0
                                       THEN statement_timestamp() END
              FROM unnest(%(ids)s::bigint[], %(totals)s::numeric[], %(held)s::text[], %(lines)s::int[],
                          %(versions)s::bigint[], %(costs)s::timestamptz[])
                     AS result(id, total, held, lines, version, costs_known_at),
                   customers_customer customer
             WHERE invoice.id = result.id AND invoice.status = 'draft' AND customer.id = invoice.customer_id
            """,
            {
                "seller": json.dumps(settings.INVOICE_SELLER),
                "closing": chunk.step == Chunk.Step.FINALIZE,
                "ids": [each.key for each in results],
                "totals": [_total(each) for each in results],
                "held": ["\n".join(held[each.key]) for each in results],
                "versions": [versions[each.key] for each in results],
                "lines": [len(each.lines) for each in results],
                "costs": [each.costs_known_at for each in results],
            },
        )
        if cursor.rowcount != len(results):
            raise RuntimeError(f"{len(results)} drafts were locked, but {cursor.rowcount} got their totals.")


def _check_foreign_keys() -> None:
    """Now rather than at COMMIT, when the number series is locked already and everybody else waits for it."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
