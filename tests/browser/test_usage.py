"""The usage chart, on a desktop and on a phone: drawn from the table, which holds what the API answers."""

import json
import os
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect
from rest_framework.test import APIClient

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key
from customers.subscriptions import subscribing
from meters.events.decoding import decode
from meters.ingestion.ingest import accept
from meters.models import Meter
from tests.browser.visiting import DESKTOP, PHONE, Operator
from tests.customers.making import meter
from tests.meters.making import LIMITS, event, tokens_meter

pytestmark = pytest.mark.browser

HOSTILE = "<script>alert(1)</script>"
NAMES = [HOSTILE, "שלום עולם", "W" * 200, '"><img src=x onerror=alert(2)>']
SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
DAYS, MODELS = 90, 40


def much() -> Meter:
    """Ninety days of forty models under hostile names, ever less of each; a quarter of them on any one day."""
    tokens = tokens_meter(code="tokens", values=[("", "tokens")], label_dimension="")
    subscribing.create_customer(reference="acme", name=f"Acme {HOSTILE}", timezone="Asia/Kathmandu")
    now = clock.now()
    names = [*NAMES, *(f"model-{number:02}" for number in range(len(NAMES), MODELS))]
    events = [
        event(
            f"{day}-{number}",
            timestamp=(now - timedelta(days=day)).isoformat(),
            properties={"model": name, "tokens": f"{(MODELS - number) * 1000 + day}.5"},
        )
        for day in range(DAYS)
        for number, name in enumerate(names)
        if (day + number) % 4 == 0
    ]
    assert accept(decode(json.dumps(events).encode(), now, LIMITS)).accepted == len(events)
    return tokens


def drawn(operator: Operator) -> int:
    """How many pixels of the chart have a colour that axes have not."""
    return int(
        operator.page.locator(".tb-chart canvas").evaluate(
            """canvas => {
                const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                let coloured = 0;
                for (let at = 0; at < data.length; at += 4) {
                    const [r, g, b, a] = data.slice(at, at + 4);
                    if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60) coloured++;
                }
                return coloured;
            }"""
        )
    )


def looks(operator: Operator, name: str) -> None:
    held, window = operator.widths()
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        operator.page.screenshot(path=f"{folder}/{name}-{window}.png", full_page=True)
    assert held <= window


def answered(**query: str) -> dict[tuple[str, str | None], str]:
    """The API's quantities by day and model."""
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {create_key('reader', ['read'])[1]}")
    found: dict[tuple[str, str | None], str] = {}
    after: dict[str, str] = {}
    while True:
        page = client.get(
            "/v1/usage", {"customer": "acme", "meter": "tokens", "limit": "1000", **query, **after}
        ).json()
        for row in page["data"]:
            found[row["start"][:10], row["dimensions"].get("model")] = row["quantity"]
        if page["next"] is None:
            return found
        after = {"after": page["next"]}


@SIZES
def test_the_chart_is_the_table_and_the_table_is_the_api(
    signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]
) -> None:
    much()
    operator = signed_in(live_server.url, size)
    today = clock.now().date()
    first = (today - timedelta(days=DAYS - 1)).isoformat()
    operator.go(f"/admin/usage/?customer=acme&meter=tokens&first={first}&last={today}&window=day&split=model")
    operator.sees("32 others", "Download as CSV", "Asia/Kathmandu")
    assert drawn(operator) > 5_000
    looks(operator, "usage-much")

    names = operator.page.locator("#numbers thead th").all_inner_texts()
    assert names[2:4] == [HOSTILE, "שלום עולם"]
    rows = operator.page.locator("#numbers tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.querySelector('data')?.value ?? cell.innerText))"
    )
    until = (today + timedelta(days=1)).isoformat()
    by_model = answered(**{"from": first, "to": until, "window": "day", "group_by": "model"})
    by_day = answered(**{"from": first, "to": until, "window": "day"})
    assert len(rows) == DAYS
    assert len(by_model) > 800
    for label, everything, *parts in rows:
        assert by_day.get((label, None), "–") == everything
        for name, part in zip(names[2:-1], parts[:-1], strict=True):
            assert by_model.get((label, name), "–") == part


@SIZES
def test_nothing_and_nobody(signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]) -> None:
    operator = signed_in(live_server.url, size)
    operator.go("/admin/usage/")
    operator.sees("There are no meters yet")
    looks(operator, "usage-no-meter")
    meter("tokens", ("model",), unit="token")
    subscribing.create_customer(reference="acme", name="Acme")
    operator.go("/admin/usage/")
    operator.sees("Choose a customer")
    looks(operator, "usage-unasked")
    operator.fill(customer=NAMES[2])
    operator.press("Show")
    operator.sees("No customer has the reference, alias or name")
    looks(operator, "usage-nobody")
    operator.fill(customer="acme")
    operator.press("Show")
    operator.sees("No usage of this meter in these days")
    looks(operator, "usage-none")


@SIZES
def test_asked_by_hand(signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]) -> None:
    """A customer found by a part of its name, a split, a value of it, the arrow keys, and the dark theme."""
    much()
    operator = signed_in(live_server.url, size)
    operator.go("/admin/usage/")
    operator.page.locator("[name=customer]").type("cme <scr")
    expect(operator.page.locator("#offered_customer option")).to_have_attribute("value", "acme")
    operator.press("Show")
    operator.fill(split="model")
    operator.enter("add[model]", "model-05")
    operator.press("Show")
    expect(operator.page).to_have_url(re.compile(r"\?customer=acme&.*&split=model&filter%5Bmodel%5D=model-05$"))
    chart = operator.page.locator(".tb-chart")
    chart.focus()
    chart.press("ArrowLeft")
    expect(operator.page.locator(".tb-readout")).to_contain_text(clock.now().strftime("%Y-"))
    operator.page.evaluate("document.documentElement.classList.add('dark')")
    assert drawn(operator) > 500
    looks(operator, "usage-dark")
    operator.page.get_by_label("model-05").uncheck()
    operator.press("Show")
    operator.sees("32 others")
