"""The event explorer, on a desktop and on a phone: nothing there, much of it under hostile names, and found again."""

import json
import os
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from billing_site.foundation import clock
from customers.subscriptions import subscribing
from meters.events.decoding import decode
from meters.ingestion.ingest import accept
from tests.browser.visiting import DESKTOP, PHONE, Operator
from tests.meters.making import LIMITS, event, tokens_meter

pytestmark = pytest.mark.browser

HOSTILE = "<script>alert(1)</script>"
NAMES = ["acme", HOSTILE, "שלום עולם", "W" * 200]
SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])


def much() -> None:
    tokens_meter()
    subscribing.create_customer(reference="acme", name=f"Acme {HOSTILE}")
    now = clock.now()
    events = [
        event(
            f"{NAMES[number % 4]}-{number}"[-255:],
            customer=NAMES[number % 4],
            type="llm.request" if number % 3 else NAMES[number % 4],
            timestamp=(now - timedelta(minutes=number)).isoformat(),
            status="failed" if number % 7 == 0 else "succeeded",
            value=number * 1000,
            properties={
                "model": NAMES[number % 4],
                NAMES[number % 4]: {"deep": [HOSTILE]},
                "team": number % 5,
                "input_tokens": number,
            },
        )
        for number in range(400)
    ]
    assert accept(decode(json.dumps(events).encode(), now, LIMITS)).accepted == 400


def looks(operator: Operator, name: str) -> None:
    held, window = operator.widths()
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        operator.page.screenshot(path=f"{folder}/{name}-{window}.png", full_page=True)
    assert held <= window


@SIZES
def test_searching(signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]) -> None:
    operator = signed_in(live_server.url, size)
    operator.go("/admin/meters/event/")
    operator.sees("What programs send to /v1/events")
    looks(operator, "explorer-none")
    much()
    operator.go("/admin/meters/event/")
    looks(operator, "explorer-much")

    customer = operator.page.locator("[name=customer]")
    customer.type("ac")
    expect(operator.page.locator("#customers option")).to_have_attribute("value", "acme")
    customer.fill("acme")
    operator.page.locator("[name=type]").focus()
    expect(operator.page.locator("#types option")).to_have_count(2)
    operator.enter("p-0-property", "team")
    operator.enter("p-0-value", "1")
    operator.press("Add a condition")
    operator.enter("p-1-property", "model")
    operator.enter("p-1-value", "acme")
    operator.page.locator("[name='p-1-value']").press("Enter")
    rows = operator.page.locator(".tb-events tbody tr")
    expect(rows).to_have_count(20)
    looks(operator, "explorer-found")
    operator.page.get_by_role("button", name="Remove the condition on team").click()
    expect(operator.page).to_have_url(re.compile(r"p-1-property=model"))
    expect(rows).to_have_count(50)
    operator.press("Older")
    operator.press("Newest")

    operator.page.locator(".tb-events td a").nth(1).click()
    operator.sees("Counted as", "llm_tokens", "model = acme")
    looks(operator, "explorer-event")
