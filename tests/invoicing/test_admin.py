"""The operator's pages of invoicing: what they show, what they do, and who may not."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from kombu.exceptions import OperationalError

from customers.models import Customer
from invoicing import tasks
from invoicing.models import Chunk, Invoice, LateUsage, NumberSeries, Run
from tests.customers import making
from tests.invoicing.running import plan_with, run, subscribed, utc

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>&'\"{{ 7|add:1 }}"
CLOSED = utc(2024, 2, 1, 1)


def signed_in(*permissions: str) -> Client:
    user = get_user_model().objects.create_user(f"user-{len(permissions)}", password="a long password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("operator", password="a long password"))
    return client


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was sent to the queue."""
    sent: list[str] = []
    monkeypatch.setattr(tasks.find_due, "delay", lambda: sent.append("find_due"))
    return sent


@pytest.fixture
def invoice(db: None) -> Invoice:
    requests = making.meter("requests", dimensions=["model"], unit="request")
    subscribed(plan_with(requests, arrears="1200", rows=[({"model": "a"}, "0.0000001")]), "acme")
    making.use("acme", requests, utc(2024, 1, 2), 1_234_567, {"model": "a"})
    run(CLOSED)
    return Invoice.objects.get()


def page(client: Client, path: str) -> str:
    answer = client.get(f"/admin/invoicing/{path}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_shows_number_customer_days_status_and_total(operator: Client, invoice: Invoice) -> None:
    text = page(operator, "invoice/")
    for shown in ("INV-000001", "Acme", "1 Jan 2024 – 31 Jan 2024", "Finalized", "$1,200.12 USD"):
        assert shown in text


def test_it_is_found_by_number_customer_and_state(operator: Client, invoice: Invoice) -> None:
    for query in ("q=INV-000001", "q=acme", "status__exact=finalized"):
        assert "INV-000001" in page(operator, f"invoice/?{query}")
    for query in ("q=nobody", "status__exact=draft", "held=yes"):
        assert "INV-000001" not in page(operator, f"invoice/?{query}")


def test_the_page_shows_the_invoice_as_its_customer_sees_it(operator: Client, invoice: Invoice, settings: Any) -> None:
    text = page(operator, f"invoice/{invoice.pk}/change/")
    for shown in (
        "Invoice INV-000001",
        "Bill to",
        "1 Jan 2024 – 31 Jan 2024",
        "1,234,567",
        "request",
        "$0.0000001",
        "$0.12",
        "$1,200.00",
        "$1,200.12",
        "How this came about",
        "model = a",
        "1,234,567 request × 0.0000001 = 0.1234567",
        "rounded to 0.12",
    ):
        assert shown in text, shown
    assert "E-" not in text.split('<article class="inv">')[1].split("</article>")[0].replace("INV-", "")
    assert 'name="_save"' not in text


def test_a_draft_says_so_and_a_held_one_says_why(operator: Client) -> None:
    requests = making.meter("requests", dimensions=["model"])
    subscribed(plan_with(requests, rows=[({"model": "a"}, "1")]))
    making.use("acme", requests, utc(2024, 1, 2), 1, {"model": "new"})
    run(CLOSED)
    draft = Invoice.objects.get()
    text = page(operator, f"invoice/{draft.pk}/change/")
    assert "This is a draft" in text
    assert "It is held" in text
    assert "new" in text
    assert f"Draft {draft.pk}" in page(operator, "invoice/?held=yes")


def test_a_draft_whose_work_failed_shows_the_error(operator: Client) -> None:
    subscribed(plan_with(arrears="5", grace=timedelta(hours=5)))
    run(CLOSED)
    chunk = Chunk.objects.get()
    Chunk.objects.update(status="failed", attempts=5, error="OperationalError: broken")
    Invoice.objects.update(chunk=chunk)
    text = page(operator, f"invoice/{Invoice.objects.get().pk}/change/")
    assert "Given up after 5 attempts: OperationalError: broken" in text


def test_an_empty_invoice_says_that_there_was_nothing(operator: Client) -> None:
    subscribed(plan_with(making.meter("requests")))
    run(CLOSED)
    assert "There was nothing to bill" in page(operator, f"invoice/{Invoice.objects.get().pk}/change/")


def test_hostile_names_are_shown_as_text(operator: Client) -> None:
    requests = making.meter("requests", dimensions=["model"])
    subscribed(plan_with(requests, rows=[({}, "1")]))
    Customer.objects.update(name=HOSTILE, address=HOSTILE, tax_id=HOSTILE[:50])
    making.use("acme", requests, utc(2024, 1, 2), 1, {"model": HOSTILE})
    run(CLOSED)
    invoice = Invoice.objects.get()
    LateUsage.objects.create(
        invoice=invoice, charge=invoice.lines.get().charge, dimensions={"model": HOSTILE}, quantity=1
    )
    for path in (f"invoice/{invoice.pk}/change/", "invoice/", "lateusage/"):
        text = page(operator, path)
        assert "<script>alert(1)" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert "7|add:1" in text


@pytest.mark.parametrize("path", ["invoice/{id}/change/", "invoice/add/", "invoice/{id}/delete/"])
def test_nobody_changes_an_invoice(operator: Client, invoice: Invoice, path: str) -> None:
    answer = operator.post(f"/admin/invoicing/{path.format(id=invoice.pk)}", {"total": "1", "post": "yes"})
    assert answer.status_code == 403
    assert Invoice.objects.get().total == invoice.total


@pytest.mark.parametrize("path", ["invoice/abc/change/", "invoice/999999/change/", "run/abc/change/"])
def test_what_is_not_there_leads_back(operator: Client, path: str) -> None:
    assert operator.get(f"/admin/invoicing/{path}").status_code == 302


def test_late_usage_is_listed_and_shown_with_its_invoice(operator: Client, invoice: Invoice) -> None:
    charge = invoice.lines.get(unit="request").charge
    LateUsage.objects.create(invoice=invoice, charge=charge, dimensions={"model": "a"}, quantity=Decimal("4321.5"))
    for path in ("lateusage/", f"invoice/{invoice.pk}/change/"):
        text = page(operator, path)
        assert "+4,321.5 request" in text
        assert "model = a" in text
    assert "INV-000001" in page(operator, "lateusage/?q=acme")
    assert operator.post("/admin/invoicing/lateusage/add/").status_code == 403


def test_a_run_shows_its_progress_and_errors(operator: Client, settings: Any) -> None:
    settings.INVOICE_CHUNK_SIZE = 1
    for name in "abc":
        subscribed(plan_with(arrears="5"), name)
    run(CLOSED)
    Chunk.objects.filter(pk=Chunk.objects.earliest("id").pk).update(status="failed", error="Boom: broken")
    text = page(operator, "run/")
    assert "2 of 3" in text
    assert '<progress value="2" max="3"' in text
    assert "1 of 3" in text
    text = page(operator, f"run/{Run.objects.get().pk}/change/")
    assert "2 of 3 done" in text
    assert "Boom: broken" in text
    assert "1 failed" in text


def test_run_now_asks_a_worker(operator: Client, asked: list[str]) -> None:
    assert "Run now" in page(operator, "run/")
    answer = operator.post("/admin/invoicing/run/now/", follow=True)
    assert "A worker was asked" in answer.content.decode()
    assert asked == ["find_due"]
    assert operator.get("/admin/invoicing/run/now/").status_code == 405
    assert asked == ["find_due"]


def test_run_now_says_when_the_queue_is_away(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("Connection refused")

    monkeypatch.setattr(tasks.find_due, "delay", away)
    answer = operator.post("/admin/invoicing/run/now/", follow=True)
    assert "cannot be reached" in answer.content.decode()


def test_who_may_only_look_may_not_run_or_retry(asked: list[str]) -> None:
    viewer = signed_in("view_run", "view_chunk", "view_invoice")
    assert "Run now" not in page(viewer, "run/")
    assert viewer.post("/admin/invoicing/run/now/").status_code == 403
    subscribed(plan_with(arrears="5"))
    run(CLOSED)
    chunk = Chunk.objects.get()
    Chunk.objects.update(status="failed")
    viewer.post("/admin/invoicing/chunk/", {"action": "retry", "_selected_action": [chunk.pk]})
    assert Chunk.objects.get().status == "failed"
    assert asked == []


def test_who_may_not_look_at_all(invoice: Invoice) -> None:
    stranger = signed_in()
    for path in ("invoice/", f"invoice/{invoice.pk}/change/", "run/", "chunk/", "lateusage/", "numberseries/"):
        assert stranger.get(f"/admin/invoicing/{path}").status_code == 403
        assert Client().get(f"/admin/invoicing/{path}").status_code == 302


def test_failed_chunks_are_retried(operator: Client, asked: list[str]) -> None:
    subscribed(plan_with(arrears="5"))
    run(CLOSED)
    chunk = Chunk.objects.get()
    Chunk.objects.update(status="failed", attempts=5)
    operator.post("/admin/invoicing/chunk/", {"action": "retry", "_selected_action": [chunk.pk]})
    again = Chunk.objects.get()
    assert (again.status, again.attempts, asked) == ("pending", 0, ["find_due"])
    assert page(operator, f"chunk/{chunk.pk}/change/")


def test_held_drafts_are_tried_again(operator: Client, asked: list[str]) -> None:
    subscribed(plan_with(arrears="5", grace=timedelta(hours=5)))
    run(CLOSED)
    Invoice.objects.update(hold_reason="No price.")
    draft = Invoice.objects.get()
    operator.post("/admin/invoicing/invoice/", {"action": "retry_held", "_selected_action": [draft.pk]})
    assert Invoice.objects.get().rated_at is None
    assert asked == ["find_due"]


def test_a_series_keeps_its_code_and_changes_its_prefix(operator: Client) -> None:
    series = NumberSeries.objects.get()
    address = f"/admin/invoicing/numberseries/{series.pk}/change/"
    text = page(operator, f"numberseries/{series.pk}/change/")
    assert 'name="prefix"' in text
    assert 'name="code"' not in text
    assert 'name="next_number"' not in text
    data = {"code": "other", "prefix": "2024-", "digits": "4", "next_number": "77"}
    assert operator.post(address, data).status_code == 302
    series.refresh_from_db()
    assert (series.code, series.prefix, series.digits, series.next_number) == ("default", "2024-", 4, 1)
    assert operator.post(f"/admin/invoicing/numberseries/{series.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_page_of_invoices_costs_the_same_for_one_and_for_twenty(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    version = plan_with(arrears="1")
    for number in range(20):
        subscribed(version, f"customer-{number}")
    run(CLOSED)
    with django_assert_max_num_queries(12):
        page(operator, "invoice/")
    with django_assert_max_num_queries(12):
        page(operator, f"invoice/{Invoice.objects.latest('id').pk}/change/")
