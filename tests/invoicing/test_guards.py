"""What the database holds about invoices, tried with SQL of one's own."""

from datetime import timedelta
from threading import Thread

import pytest
from django.db import IntegrityError, connection, transaction

from invoicing.models import Invoice, Line, NumberSeries
from tests.customers import making
from tests.invoicing.running import plan_with, run, sql, subscribed, utc

pytestmark = pytest.mark.django_db

NEW_LINE = """
    INSERT INTO invoicing_line (invoice_id, position, kind, charge_id, product_id, description, dimensions, quantity,
                                unit, unit_price, amount, service_start, service_end, explanation)
    SELECT %s, 99, kind, charge_id, product_id, 'Slipped in', '{}', 1, '', 1, 1, service_start, service_end, '{}'
      FROM invoicing_line LIMIT 1
"""


@pytest.fixture
def finalized(db: None) -> Invoice:
    requests = making.meter("requests")
    subscribed(plan_with(requests, arrears="5", price="1"))
    making.use("acme", requests, utc(2024, 1, 2), 3)
    run(utc(2024, 2, 1, 1))
    return Invoice.objects.get(status="finalized")


@pytest.fixture
def draft(finalized: Invoice) -> Invoice:
    """Of another customer, previewed: one line of 5.00."""
    subscribed(plan_with(arrears="5", grace=timedelta(hours=9)), "other")
    run(utc(2024, 2, 1, 2))
    return Invoice.objects.get(status="draft")


def refuses(match: str, statement: str, *values: object) -> None:
    with pytest.raises(IntegrityError, match=match):
        sql(statement, *values)


@pytest.mark.parametrize(
    "change",
    [
        "total = total + 1",
        "status = 'draft', number = '', series_id = NULL",
        "status = 'void'",
        "number = 'INV-000009'",
        "bill_to = '{}'",
        "period_end = period_end + interval '1 day'",
        "hold_reason = 'x'",
        "chunk_id = NULL",
    ],
)
def test_a_finalized_invoice_is_never_updated(finalized: Invoice, change: str) -> None:
    before = Invoice.objects.values().get(pk=finalized.pk)
    refuses("never changes again", f"UPDATE invoicing_invoice SET {change}")
    assert Invoice.objects.values().get(pk=finalized.pk) == before


def test_a_finalized_invoice_is_never_deleted(finalized: Invoice) -> None:
    refuses("never change", "DELETE FROM invoicing_invoice WHERE id = %s", finalized.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        finalized.delete()
    assert finalized.lines.count() == 2


def test_lines_of_a_finalized_invoice_stay(finalized: Invoice) -> None:
    before = list(Line.objects.values())
    refuses("lines never change", "UPDATE invoicing_line SET amount = amount + 1 WHERE position = 1")
    refuses("lines never change", "UPDATE invoicing_line SET description = 'Other' WHERE position = 1")
    refuses("lines never change", "DELETE FROM invoicing_line WHERE position = 1")
    refuses("lines never change", NEW_LINE, finalized.pk)
    assert list(Line.objects.values()) == before


def test_lines_cannot_be_moved_off_or_onto_a_finalized_invoice(finalized: Invoice, draft: Invoice) -> None:
    move = "UPDATE invoicing_line SET invoice_id = %s, position = 50 WHERE invoice_id = %s AND position = 1"
    refuses("lines never change", move, draft.pk, finalized.pk)
    refuses("lines never change", move, finalized.pk, draft.pk)


def test_an_empty_invoice_is_frozen_too(db: None) -> None:
    subscribed(plan_with(making.meter("requests")))
    run(utc(2024, 2, 1, 1))
    empty = Invoice.objects.get(status="empty")
    refuses("never changes again", "UPDATE invoicing_invoice SET total = 1 WHERE id = %s", empty.pk)


def test_a_draft_and_its_lines_may_change(draft: Invoice) -> None:
    sql("UPDATE invoicing_line SET amount = 6 WHERE invoice_id = %s", draft.pk)
    sql("UPDATE invoicing_invoice SET total = 6 WHERE id = %s", draft.pk)
    sql("DELETE FROM invoicing_line WHERE invoice_id = %s", draft.pk)


FINALIZE = """
    WITH taken AS (
      UPDATE invoicing_numberseries SET next_number = next_number + 1 RETURNING id, next_number - 1 AS place)
    UPDATE invoicing_invoice SET status = 'finalized', finalized_at = now(), total = %s,
           series_id = taken.id, place = taken.place, number = 'INV-' || lpad(taken.place::text, 6, '0')
      FROM taken WHERE invoicing_invoice.id = %s
"""


def test_a_total_that_is_not_the_sum_of_the_lines_is_not_finalized(draft: Invoice) -> None:
    refuses("its total is 5.0100, its 1 lines come to 5.0000", FINALIZE, "5.01", draft.pk)
    sql(FINALIZE, "5.00", draft.pk)


def test_an_invoice_without_lines_is_not_finalized_and_one_with_lines_is_not_empty(draft: Invoice) -> None:
    empty = "UPDATE invoicing_invoice SET status = 'empty', total = %s WHERE id = %s"
    refuses("cannot become empty", empty, "5", draft.pk)
    sql("DELETE FROM invoicing_line WHERE invoice_id = %s", draft.pk)
    refuses("cannot become finalized", FINALIZE, "0", draft.pk)
    sql(empty, "0", draft.pk)


def test_an_invoice_begins_as_a_draft_and_leaves_by_known_ways(draft: Invoice) -> None:
    refuses("finalized or empty, not void", "UPDATE invoicing_invoice SET status = 'void' WHERE id = %s", draft.pk)
    values = {
        field.attname: getattr(draft, field.attname)
        for field in Invoice._meta.concrete_fields
        if field.name not in {"id", "status", "sequence"}
    }
    with pytest.raises(IntegrityError, match="begins as a draft"), transaction.atomic():
        Invoice.objects.create(**values, status="empty", sequence=1)


def test_one_invoice_for_a_boundary(draft: Invoice) -> None:
    draft.pk = None
    with pytest.raises(IntegrityError, match="invoice_once"), transaction.atomic():
        draft.save(force_insert=True)


def test_a_number_series_keeps_its_code_never_runs_backwards_and_stays(finalized: Invoice) -> None:
    refuses("never runs backwards", "UPDATE invoicing_numberseries SET next_number = 1")
    refuses("keeps its code", "UPDATE invoicing_numberseries SET code = 'other'")
    refuses("stays", "DELETE FROM invoicing_numberseries")
    sql("UPDATE invoicing_numberseries SET prefix = 'R-', digits = 4")
    assert NumberSeries.objects.get().next_number == 2


@pytest.mark.parametrize(
    "table", ["invoicing_line", "invoicing_invoice", "invoicing_numberseries", "invoicing_lateusage"]
)
def test_no_table_of_invoices_is_emptied(finalized: Invoice, table: str) -> None:
    refuses("cannot be emptied", f"TRUNCATE {table} CASCADE")
    assert finalized.lines.count() == 2


@pytest.mark.parametrize(
    "change",
    [
        "period_start = period_start + interval '1 day'",
        "period_end = period_end - interval '1 day'",
        "advance_end = NULL",
        "currency = 'EUR'",
        "timezone = 'Asia/Tokyo'",
        "kind = 'opening'",
        "sequence = 1",
        "customer_id = (SELECT min(id) FROM customers_customer)",
        "subscription_id = (SELECT min(id) FROM customers_subscription)",
    ],
)
def test_a_draft_stays_what_it_was_drafted_for(draft: Invoice, change: str) -> None:
    refuses("keeps its customer", f"UPDATE invoicing_invoice SET {change} WHERE id = %s", draft.pk)


def test_a_draft_is_not_deleted(draft: Invoice) -> None:
    sql("DELETE FROM invoicing_line WHERE invoice_id = %s", draft.pk)
    refuses("is not deleted", "DELETE FROM invoicing_invoice WHERE id = %s", draft.pk)


def test_two_periods_of_a_subscription_never_overlap(draft: Invoice) -> None:
    draft.pk = None
    draft.period_start -= timedelta(days=1)
    draft.period_end -= timedelta(days=1)
    with pytest.raises(IntegrityError, match="invoice_periods_apart"), transaction.atomic():
        draft.save(force_insert=True)
    draft.period_end = draft.period_start
    draft.period_start -= timedelta(days=1)
    draft.save(force_insert=True)  # one beside the other


TAKE = """
    UPDATE invoicing_invoice SET status = 'finalized', finalized_at = now(), total = 5, number = %s, place = %s,
           series_id = (SELECT id FROM invoicing_numberseries) WHERE status = 'draft'
"""


@pytest.mark.parametrize(
    ("number", "place"), [("MINE-7", 1), ("INV-000002", 2), ("INV-000007", 7), ("MINE-7", 2), ("INV-000000", 0)]
)
def test_a_number_that_the_series_did_not_give_out_is_refused(draft: Invoice, number: str, place: int) -> None:
    before = Invoice.objects.values().get(pk=draft.pk)
    with pytest.raises(IntegrityError, match=r"has not given it out|invoice_place_once"):
        sql(TAKE, number, place)
    assert Invoice.objects.values().get(pk=draft.pk) == before


def test_a_former_place_is_not_free_under_a_new_prefix(draft: Invoice) -> None:
    sql("UPDATE invoicing_numberseries SET prefix = 'R-'")
    refuses("invoice_place_once", TAKE, "R-000001", 1)


@pytest.mark.parametrize(
    "move",
    [
        "UPDATE invoicing_numberseries SET next_number = next_number + 7",
        "UPDATE invoicing_numberseries SET next_number = next_number + 7, prefix = 'X-'",
        """INSERT INTO invoicing_numberseries (code, prefix, digits, next_number) VALUES ('default', 'X-', 6, 99)
           ON CONFLICT (code) DO UPDATE SET next_number = excluded.next_number""",
        """WITH taken AS (UPDATE invoicing_numberseries SET next_number = next_number + 2 RETURNING id)
           UPDATE invoicing_invoice SET status = 'finalized', finalized_at = now(), total = 5, series_id = taken.id,
                  place = 2, number = 'INV-000002' FROM taken WHERE status = 'draft'""",
    ],
)
def test_a_series_moves_only_by_the_numbers_that_invoices_take(draft: Invoice, move: str) -> None:
    refuses("no invoices take the numbers between", move)
    assert NumberSeries.objects.get().next_number == 2
    assert Invoice.objects.get(pk=draft.pk).status == "draft"


@pytest.mark.django_db(transaction=True)
def test_a_line_cannot_slip_in_beside_a_finalization(draft: Invoice) -> None:
    """It waits for the finalization, and is refused then."""
    refused: list[Exception] = []

    def slip_in() -> None:
        try:
            sql(NEW_LINE, draft.pk)
        except IntegrityError as error:
            refused.append(error)
        finally:
            connection.close()

    thread = Thread(target=slip_in)
    with transaction.atomic():
        sql(FINALIZE, "5.00", draft.pk)
        thread.start()
        thread.join(timeout=0.5)
        assert thread.is_alive(), "the line did not wait for the finalization"
    thread.join(timeout=30)
    assert len(refused) == 1
    assert Line.objects.filter(invoice=draft).count() == 1
