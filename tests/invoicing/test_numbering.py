"""Numbers: gapless and once, whoever takes them at the same time."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from invoicing import chunks, closing, numbering, planning
from invoicing.models import Chunk, Invoice, NumberSeries
from tests.invoicing.running import plan_with, run, sql, subscribed, together, utc

NOW = utc(2024, 2, 1)


def drafts(count: int) -> list[int]:
    version = plan_with(arrears="5", grace=timedelta(0))
    for _ in range(count):
        subscribed(version, f"customer-{version.pk}-{_}")
    planning.plan(NOW)
    return list(Invoice.objects.filter(status="draft").order_by("id").values_list("pk", flat=True))


def numbers() -> list[str]:
    return list(Invoice.objects.filter(status="finalized").order_by("id").values_list("number", flat=True))


@pytest.mark.django_db
def test_prefix_and_digits_count_from_the_next_invoice_on() -> None:
    version = plan_with(arrears="5", grace=timedelta(0))
    subscribed(version, "a")
    run(NOW)
    NumberSeries.objects.update(prefix="2024/", digits=3)
    subscribed(version, "b")
    run(NOW)
    assert numbers() == ["INV-000001", "2024/002"]


@pytest.mark.django_db
def test_a_number_longer_than_its_digits_is_written_in_full() -> None:
    sql("UPDATE invoicing_numberseries SET next_number = 9999, digits = 4")
    drafts(2)
    run(NOW)
    assert numbers() == ["INV-9999", "INV-10000"]


@pytest.mark.django_db
def test_a_series_that_is_missing_finalizes_nothing() -> None:
    held = drafts(1)
    with pytest.raises(RuntimeError, match="“missing”"), transaction.atomic():
        numbering.finalize(held, series="missing")
    assert Invoice.objects.get().status == "draft"


@pytest.mark.django_db
def test_numbers_go_back_when_the_transaction_does() -> None:
    held = drafts(1)
    with pytest.raises(IntegrityError), transaction.atomic():  # without lines: the database refuses
        numbering.finalize(held)
    assert NumberSeries.objects.get().next_number == 1
    run(NOW)
    assert numbers() == ["INV-000001"]


@pytest.mark.django_db(transaction=True)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 6), min_size=2, max_size=4))
def test_chunks_at_the_same_time_leave_no_gap(sizes: list[int]) -> None:
    before = len(numbers())
    for size in sizes:
        drafts(size)  # a chunk each
    waiting = chunks.takeable()
    assert len(waiting) == len(sizes)
    together(*(lambda chunk=chunk: closing.work(chunk, "test") for chunk in waiting))
    assert not Chunk.objects.exclude(status="done").exists()
    given_out = sorted(numbers())
    assert given_out == [f"INV-{n:06}" for n in range(1, before + sum(sizes) + 1)]
    assert NumberSeries.objects.get().next_number == len(given_out) + 1


@pytest.mark.django_db
def test_the_numbers_are_the_last_statement() -> None:
    """Whoever finalizes waits for the series' row, so nothing may be done while it is held."""
    drafts(1)
    (chunk,) = chunks.takeable()
    statements: list[str] = []

    def note(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        statements.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        closing.work(chunk, "test")
    assert "invoicing_numberseries SET next_number" in [each for each in statements if "RELEASE" not in each][-1]
