"""From nothing to an invoice, by the pages of the admin alone, on a real web server, worker and beat.

What the invoice has to say, worked by hand:

    small, input     12,345 + 7,777 = 20,122 token × 0.0005 = 10.061    → 10.06
    small, output                      1,994 token × 0.0025 =  4.985    →  4.99 (half away from zero)
    large, input      1,001 + 2,002 =  3,003 token × 0.0125 = 37.5375   → 37.54
    large, output                        499 token × 0.03   = 14.97     → 14.97
    requests                               4       × 0.05   =  0.20     →  0.20
    support, in arrears, all of January    1       × 20.00              → 20.00
    total                                                                 87.76
"""

import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from billing_site.foundation import clock
from invoicing.models import Run
from tests.browser.grid import Grid
from tests.browser.visiting import Operator
from tests.processes import Processes, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.scenarios]

PRICES = [
    ("small", "input", "0.0005"),
    ("small", "output", "0.0025"),
    ("large", "input", "0.0125"),
    ("large", "output", "0.03"),
]
USAGE = [("small", 12_345, 1_994), ("small", 7_777, 0), ("large", 1_001, 499), ("large", 2_002, 0)]
LINES = [
    ("Tokens · small · input", "20,122 token", "$0.0005", "$10.06"),
    ("Tokens · small · output", "1,994 token", "$0.0025", "$4.99"),
    ("Tokens · large · input", "3,003 token", "$0.0125", "$37.54"),
    ("Tokens · large · output", "499 token", "$0.03", "$14.97"),
    ("Requests", "4 request", "$0.05", "$0.20"),
    ("Support", "1", "$20.00", "$20.00"),
]


def make_meters(operator: Operator) -> None:
    operator.open("Meters")
    operator.press("Add meter")
    operator.fill(name="LLM tokens", code="llm_tokens", event_type="llm.request", unit="token")
    operator.fill(aggregation="Sum: add up the values", label_dimension="token_type")
    for label in ("input", "output"):
        operator.add_row("values", label=label, property=f"{label}_tokens")
    operator.add_row("dimensions", name="model", property="model")
    operator.save()
    operator.sees("LLM tokens", "was added successfully")

    operator.press("Add meter")
    operator.fill(name="Requests", code="requests", event_type="llm.request", unit="request")
    operator.save()
    operator.sees("Requests", "was added successfully")


def make_plan(operator: Operator) -> None:
    """A product, a plan, and the draft of its first version: no grace, so that January is finalized at once."""
    operator.open("Products")
    operator.press("Add product")
    operator.fill(name="Chat API", code="chat")
    operator.save()
    operator.open("Plans")
    operator.press("Add plan")
    operator.fill(name="Pro", code="pro", currency="USD", grace="00:00:00")
    operator.save()
    operator.sees("Pro v1 is a draft now")


def price_plan(operator: Operator) -> None:
    operator.press("Add a usage charge")
    operator.fill(name="Tokens", code="tokens", product="Chat API", meter="LLM tokens")
    operator.save()
    grid = Grid(operator).begun()
    for number, cells in enumerate(PRICES, start=1):
        grid.do("add")
        for column, text in zip((1, 2, 4), cells, strict=True):
            grid.type(number, column, text)
    operator.save()
    operator.press("Add a usage charge")
    operator.fill(name="Requests", code="requests", product="Chat API", meter="Requests", unit_price="0.05")
    operator.save()
    operator.press("Pro v1")
    operator.press("Add a flat fee")
    operator.fill(name="Support", code="support", product="Chat API", amount="20")
    operator.fill(timing="In arrears, at the end of each period")
    operator.save()
    operator.sees("4 prices per token", "0.05 USD per request", "$20.00 in arrears")


def publish(operator: Operator) -> None:
    operator.press("Publish…")
    operator.sees("The first version of Pro", "never change again")
    operator.press("Publish Pro v1")
    operator.sees("Pro v1 was published and never changes")


def subscribe_customer(operator: Operator) -> None:
    operator.open("Customers")
    operator.press("Add customer")
    operator.fill(name="Acme Ltd", reference="acme")
    operator.press("Save and continue editing")
    operator.press("Subscribe to a plan")
    operator.fill(version="Pro v1", starts_on="2024-01-01", ends_on="2024-02-01", reference="acme-january")
    operator.save()
    operator.sees("acme-january", "was added successfully")


def make_key(operator: Operator) -> str:
    """An API key that may send old events, read off the one page that shows it."""
    operator.open("API keys")
    operator.press("Add API key")
    operator.fill(name="Gateway")
    operator.tick("Ingest: send usage events")
    operator.tick("Backfill: send events older than the usual limit")
    operator.save()
    operator.sees("This is the only time")
    return operator.page.get_by_label("API key", exact=True).input_value()


def send(base_url: str, key: str) -> None:
    events = [
        {
            "reference": f"request-{number}",
            "type": "llm.request",
            "customer": "acme",
            "timestamp": f"2024-01-{number + 10}T12:00:00Z",
            "properties": {"model": model, "input_tokens": given, "output_tokens": made},
        }
        for number, (model, given, made) in enumerate(USAGE)
    ]
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx2.post(f"{base_url}/v1/events", json=events, headers=headers, trust_env=False)
    assert answer.json() == {"accepted": 4, "duplicates": 0, "rejected": []}


def shown_lines(operator: Operator) -> list[tuple[str, ...]]:
    rows = operator.page.locator(".inv-lines tbody tr").all()
    names = [row.locator(".inv-description").inner_text() for row in rows]
    return [(name, *row.locator(".inv-number").all_inner_texts()) for name, row in zip(names, rows, strict=True)]


def test_an_operator_makes_the_first_invoice(processes: Processes, signed_in: Callable[..., Operator]) -> None:
    web = processes.web()
    User.objects.create_superuser("eve", password="a long enough word")
    operator = signed_in(web.base_url)
    operator.page.context.clear_cookies()
    operator.sign_in("eve", "a long enough word")
    operator.sees("Your first invoice in 9 steps")
    make_meters(operator)
    make_plan(operator)
    price_plan(operator)
    publish(operator)
    key = make_key(operator)
    send(web.base_url, key)
    subscribe_customer(operator)
    processes.worker()
    processes.beat(environment={"INVOICE_BEAT_SECONDS": "1"})

    operator.open("Invoices")
    wait_until(lambda: has_invoice(operator), 30, "an invoice with a number on the list")
    operator.sees("Acme Ltd", "1 Jan 2024 – 31 Jan 2024", "$87.76 USD")
    operator.press("INV-000001")

    assert shown_lines(operator) == LINES
    operator.sees("Invoice INV-000001", "Bill to", "Acme Ltd", "Pro v1", "acme-january")
    expect(operator.page.locator(".inv-total")).to_have_text("Total $87.76 USD")

    row = operator.page.locator(".inv-lines tr", has_text="Tokens · small · output")
    steps = row.locator("dd", has_text="1,994 token × 0.0025 = 4.985")
    expect(steps).to_be_hidden()
    row.get_by_text("How this came about").click()
    expect(steps).to_be_visible()
    expect(steps).to_contain_text("rounded to 4.99")
    expect(row).to_contain_text("model = small, token_type = output")

    operator.open("Runs")
    operator.press(str(Run.objects.get()))
    operator.sees("1 of 1 done")
    expect(operator.page.get_by_role("progressbar")).to_have_attribute("value", "1")
    operator.open("API keys")
    assert key not in operator.page.content()
    assert_everything_is_told(operator)


def has_invoice(operator: Operator) -> Any:
    operator.page.reload()
    return operator.page.get_by_text("INV-000001").count()


def assert_everything_is_told(operator: Operator) -> None:
    """The history says who did what; what was published can only be looked at, and cloned."""
    operator.open("Versions")
    operator.press("Pro v1")
    assert operator.page.get_by_role("button", name="Save").count() == 0
    assert operator.page.locator("#content-main input:visible, #content-main select:visible").count() == 0
    operator.sees("Clone…", "Retire…")
    operator.press("History")
    published = operator.page.locator(".tb-card", has_text="Draft → Published")
    expect(published).to_have_count(1)
    expect(published.locator("strong").first).to_have_text("eve")
    expect(published.locator("time")).to_have_attribute("datetime", re.compile(f"^{clock.now():%Y-%m-%d}"))
