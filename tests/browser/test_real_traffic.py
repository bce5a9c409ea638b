"""The hour of real traffic that is shipped, billed by the pages of the admin alone: uploaded, priced, invoiced.

API calls                  28,185 × 0.01                                → 281.85
model-a, input         22,361,870 × 0.00001  = 223.6187                 → 223.62
model-a, output         4,088,665 × 0.00002  =  81.7733                 →  81.77
model-b, input         18,059,974 × 0.000005 =  90.29987                →  90.30
model-b, output           245,896 × 0.00001  =   2.45896                →   2.46
total                                                                     680.00
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from billing_site.demo import traffic
from tests.browser.grid import Grid
from tests.browser.test_first_invoice import has_invoice, shown_lines
from tests.browser.visiting import Operator
from tests.processes import Processes, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.scenarios]

FOLDER = Path(traffic.__file__).parent
PRICES = [
    ("model-a", "input", "0.00001"),
    ("model-a", "output", "0.00002"),
    ("model-b", "input", "0.000005"),
    ("model-b", "output", "0.00001"),
]
LINES = [
    ("API calls", "28,185 call", "$0.01", "$281.85"),
    ("Tokens · model-a · input", "22,361,870 token", "$0.00001", "$223.62"),
    ("Tokens · model-a · output", "4,088,665 token", "$0.00002", "$81.77"),
    ("Tokens · model-b · input", "18,059,974 token", "$0.000005", "$90.30"),
    ("Tokens · model-b · output", "245,896 token", "$0.00001", "$2.46"),
]


def upload(operator: Operator, name: str, model: str, rows: str) -> None:
    operator.go("/admin/meters/upload/add/")
    operator.page.set_input_files("input[type=file]", FOLDER / name)
    operator.press("Upload")
    assert operator.page.locator("[name=target-0]").input_value() == "timestamp"
    values = {"property-1": "input_tokens", "property-2": "output_tokens", "constant-type": "llm.request"}
    for field, value in {**values, "constant-customer": "splitwise", "properties": f"model = {model}"}.items():
        operator.enter(field, value)
    operator.press("Check")
    expect(operator.page.locator("#found-check")).to_be_visible(timeout=30_000)
    operator.press(f"Load {rows} events")
    expect(operator.page.locator("#found-load")).to_be_visible(timeout=30_000)
    operator.sees(rows, "accepted, and counted")


def make_meters(operator: Operator) -> None:
    """After the events: both count what is stored."""
    operator.open("Meters")
    operator.press("Add meter")
    operator.fill(name="LLM tokens", code="llm_tokens", event_type="llm.request", unit="token")
    operator.fill(aggregation="Sum: add up the values", label_dimension="token_type")
    for label in ("input", "output"):
        operator.add_row("values", label=label, property=f"{label}_tokens")
    operator.add_row("dimensions", name="model", property="model")
    operator.save()
    expect(operator.page.locator("body")).to_contain_text("28,185 stored events", timeout=30_000)
    operator.open("Meters")
    operator.press("Add meter")
    operator.fill(name="API calls", code="api_calls", event_type="llm.request", unit="call")
    operator.save()
    expect(operator.page.locator("body")).to_contain_text("28,185 stored events", timeout=30_000)


def make_plan(operator: Operator) -> None:
    operator.open("Products")
    operator.press("Add product")
    operator.fill(name="Chatbot API", code="chatbot-api")
    operator.save()
    operator.open("Plans")
    operator.press("Add plan")
    operator.fill(name="Chatbot", code="chatbot", currency="USD", grace="00:00:00")
    operator.save()
    operator.press("Add a usage charge")
    operator.fill(name="API calls", code="calls", product="Chatbot API", meter="API calls", unit_price="0.01")
    operator.save()
    operator.press("Chatbot v1")
    operator.press("Add a usage charge")
    operator.fill(name="Tokens", code="tokens", product="Chatbot API", meter="LLM tokens")
    operator.save()
    grid = Grid(operator).begun()
    for number, (model, label, price) in enumerate(PRICES, start=1):
        grid.do("add")
        for column, text in ((1, model), (2, label), (4, price)):
            grid.type(number, column, text)
    operator.save()
    operator.press("Publish…")
    operator.press("Publish Chatbot v1")
    operator.sees("Chatbot v1 was published and never changes")


def test_the_shipped_hour_is_uploaded_and_billed_in_the_admin(
    processes: Processes, signed_in: Callable[..., Operator]
) -> None:
    web = processes.web()
    processes.worker()
    operator = signed_in(web.base_url)
    upload(operator, "conv.csv.gz", "model-a", "19,366")
    upload(operator, "code.csv.gz", "model-b", "8,819")
    make_meters(operator)
    make_plan(operator)
    operator.open("Customers")
    operator.press("Add customer")
    operator.fill(name="Splitwise Research", reference="splitwise")
    operator.press("Save and continue editing")
    operator.press("Subscribe to a plan")
    operator.fill(version="Chatbot v1", starts_on="2023-11-01", ends_on="2023-12-01", reference="november")
    operator.save()
    operator.open("Runs")
    operator.press("Run now")

    operator.open("Invoices")
    wait_until(lambda: has_invoice(operator), 30, "an invoice with a number on the list")
    operator.sees("Splitwise Research", "1 Nov 2023 – 30 Nov 2023", "$680.00 USD")
    operator.press("INV-000001")
    assert shown_lines(operator) == LINES
    expect(operator.page.locator(".inv-total")).to_have_text("Total $680.00 USD")
