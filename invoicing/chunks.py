"""Who works on a chunk: leases, attempts, and what happens when one fails.

A chunk is taken by a conditional UPDATE, which sets a lease. While it is worked, its row is locked by the worker's
transaction, so the lease only has to bridge the moment between the two; a chunk whose row is locked is in work,
however old its lease is. A worker that dies loses its connection, PostgreSQL undoes its transaction and frees the
row, and the chunk can be taken again as soon as the lease has run out. Leases are reckoned by the database's clock,
the only one that all workers share.

One bad invoice must not hold up the others of its chunk: a chunk that keeps failing is split in half, and the half
again, until the bad one is alone. It is held then, with the reason.
"""

import re
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now

from invoicing.models import Chunk, Invoice

MAX_ATTEMPTS = 5
# A failure of the data comes again, whenever it is tried; one of the surroundings may pass.
DATA_ATTEMPTS = 2
SURROUNDINGS = (OperationalError, InterfaceError)
BACK_OFF = timedelta(seconds=10)
ERROR_LENGTH = 1_000


def takeable() -> list[int]:
    """Ids of the chunks that wait for a worker, oldest first. Those that used up their attempts are given up."""
    _give_up_exhausted()
    with connection.cursor() as cursor:
        # SKIP LOCKED: a locked row is in work. In autocommit the locks are gone with the statement.
        cursor.execute(
            """
            SELECT id FROM invoicing_chunk
             WHERE status = 'pending' AND (leased_until IS NULL OR leased_until <= statement_timestamp())
             ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
            """
        )
        return [row[0] for row in cursor.fetchall()]


def take(chunk: int, worker: str) -> int | None:
    """Lease a chunk to a worker: the number of the attempt, its proof of holding it; None when it is not free."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE invoicing_chunk
               SET leased_until = statement_timestamp() + make_interval(secs => %s),
                   attempts = attempts + 1, worker = %s
             WHERE id = (
               SELECT id FROM invoicing_chunk
                WHERE id = %s AND status = 'pending' AND attempts < %s
                  AND (leased_until IS NULL OR leased_until <= statement_timestamp())
                  FOR NO KEY UPDATE SKIP LOCKED
             )
            RETURNING attempts
            """,
            [settings.INVOICE_LEASE.total_seconds(), worker[:255], chunk, MAX_ATTEMPTS],
        )
        row = cursor.fetchone()
    return row[0] if row else None


def lock(chunk: int, attempt: int) -> Chunk | None:
    """The chunk, locked until the transaction ends; None when it is done, or another attempt has it by now."""
    return (
        Chunk.objects.select_for_update(no_key=True)
        .filter(pk=chunk, status=Chunk.Status.PENDING, attempts=attempt)
        .first()
    )


def finish(chunk: int) -> None:
    """In the transaction of the work itself."""
    Chunk.objects.filter(pk=chunk).update(status=Chunk.Status.DONE, finished_at=Now(), leased_until=None, error="")


@transaction.atomic
def fail(chunk: int, attempt: int, error: Exception) -> None:
    """Note why an attempt failed. The next comes after 10 s, 20 s, 40 s …; after the last, smaller chunks go on.

    A draft that is alone by then is held, when the data is at fault; else its chunk is given up until `retry`.
    """
    message = describe(error)
    of_data = not isinstance(error, SURROUNDINGS)
    held = lock(chunk, attempt)
    if held is None:
        return
    if attempt < (DATA_ATTEMPTS if of_data else MAX_ATTEMPTS):
        Chunk.objects.filter(pk=chunk).update(leased_until=Now() + BACK_OFF * 2 ** (attempt - 1), error=message)
    elif not _split(held, message):
        if of_data:
            _hold(held, message)
        _give_up(held, message)


def retry(chunks: Sequence[int]) -> int:
    """Let failed chunks be taken again at once, with all their attempts. How many there were."""
    failed = Chunk.objects.filter(pk__in=chunks, status=Chunk.Status.FAILED)
    return failed.update(status=Chunk.Status.PENDING, finished_at=None, leased_until=None, attempts=0)


def describe(error: Exception) -> str:
    """What an operator may read of an exception: its kind and message, without the password of any address in it."""
    text = f"{type(error).__name__}: {error}".replace("\0", "")
    return re.sub(r"//[^/@\s]*@", "//…@", text)[:ERROR_LENGTH]


@transaction.atomic
def _give_up_exhausted() -> None:
    """Chunks whose last attempt did not even live to say why."""
    exhausted = Chunk.objects.filter(status=Chunk.Status.PENDING, attempts__gte=MAX_ATTEMPTS)
    over = exhausted.filter(Q(leased_until=None) | Q(leased_until__lte=Now()))
    message = "The last worker ended without a word: killed, out of memory, or cut off."
    for chunk in over.order_by("id").select_for_update(skip_locked=True, no_key=True):
        if not _split(chunk, message):
            _give_up(chunk, message)


def _split(chunk: Chunk, message: str) -> bool:
    """Two chunks of half its drafts each in place of one, which is locked. False when there is nothing to split.

    They have one attempt behind them: what fails for its data is split again at once.
    """
    drafts = list(chunk.held_invoices.order_by("id").values_list("pk", flat=True))
    if len(drafts) < 2:
        return False
    middle = len(drafts) // 2
    for part in (drafts[:middle], drafts[middle:]):
        half = Chunk.objects.create(run=chunk.run, step=chunk.step, invoices=len(part), attempts=1, error=message)
        Invoice.objects.filter(pk__in=part).update(chunk=half)
    chunk.delete()
    return True


def _hold(chunk: Chunk, message: str) -> None:
    """The draft that is alone in a chunk waits for somebody; it is tried again every INVOICE_REFRESH."""
    drafts = Invoice.objects.filter(chunk=chunk, status=Invoice.Status.DRAFT)
    drafts.update(chunk=None, rated_at=Greatest(F("rated_at"), Now()), hold_reason=f"It could not be closed. {message}")


def _give_up(chunk: Chunk, message: str) -> None:
    Chunk.objects.filter(pk=chunk.pk).update(
        status=Chunk.Status.FAILED, finished_at=Now(), leased_until=None, error=message
    )
    _release_previews()


def _release_previews() -> None:
    """A preview that failed must not keep its drafts from being finalized later: they are free again, and say so."""
    Invoice.objects.filter(
        status=Invoice.Status.DRAFT, chunk__status=Chunk.Status.FAILED, chunk__step=Chunk.Step.RATE
    ).update(
        chunk=None, rated_at=Greatest(F("rated_at"), Now()), hold_reason="The preview failed; see the run's errors."
    )
