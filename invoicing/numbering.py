"""Gapless numbers. The only writer of `next_number` and of `Invoice.number`; triggers hold others to the same."""

from collections.abc import Sequence

from django.db import connection

from invoicing.models import NumberSeries

# The counter's row stays locked until commit, so whoever finalizes next waits here: this is the last statement of its
# transaction. Taking the numbers and giving them out is one statement; both happen or neither.
_NUMBER = """
WITH taken AS (
  UPDATE invoicing_numberseries SET next_number = next_number + %(count)s
   WHERE code = %(series)s
  RETURNING id, next_number - %(count)s AS first, prefix, digits
), ordered AS (
  SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM unnest(%(invoices)s::bigint[]) AS id
)
UPDATE invoicing_invoice invoice
   SET status = 'finalized',
       series_id = taken.id,
       place = taken.first + ordered.place,
       number = taken.prefix || lpad(
         (taken.first + ordered.place)::text,
         greatest(taken.digits, length((taken.first + ordered.place)::text)), '0'),
       finalized_at = statement_timestamp()
  FROM taken, ordered
 WHERE invoice.id = ordered.id AND invoice.status = 'draft'
"""


def finalize(invoices: Sequence[int], series: str = NumberSeries.DEFAULT) -> None:
    """Finalize drafts: give them the next numbers of a series, in the order of their ids.

    Call it as the last statement of a transaction. Raises RuntimeError, to undo that transaction, when the series
    does not exist or one of them is no draft.
    """
    if not invoices:
        return
    with connection.cursor() as cursor:
        cursor.execute(_NUMBER, {"count": len(invoices), "series": series, "invoices": list(invoices)})
        if cursor.rowcount != len(invoices):
            raise RuntimeError(
                f"{cursor.rowcount} of {len(invoices)} drafts got a number of the series “{series}”: "
                "does it exist, and were all of them drafts?"
            )
