"""The pages of what leaks, on a desktop and on a phone: nothing there, and much of it under hostile names."""

import os
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key
from customers.subscriptions import subscribing
from meters.models import Event, Meter, Refusal, Stream
from tests.browser.grid import Grid
from tests.browser.visiting import DESKTOP, PHONE, Operator
from tests.customers import making

pytestmark = pytest.mark.browser

HOSTILE = "<b onmouseover=alert(1)>x</b>" + "W" * 200
PAGES = ("/admin/leaks/", "/admin/attribution/", "/admin/calls/")


def much() -> Meter:
    """Unpriced usage of 30 models, 60 unknown customers and types, refusals, bad values, failed calls."""
    tokens = making.meter("tokens", ("model",), unit="token")
    version = making.version(name="Chat")
    making.usage_charge(version, tokens, [({"model": "a"}, "0.01")])
    making.publish(version)
    customer = subscribing.create_customer(reference="acme", name="Acme")
    now = clock.now()
    subscribing.subscribe(customer=customer, version=version, starts_on=date(now.year, now.month, 1))
    Stream.objects.create(customer="acme", type=tokens.event_type)
    key, _ = create_key("gateway " + "k" * 90, ["ingest"])
    for number in range(30):
        making.use(
            "acme", tokens, now, 1000 + number, {"model": f"model-{number}{HOSTILE[:200]}", "team": f"t{number}"}
        )
        kind = {"customer": f"{number}{HOSTILE}", "type": f"{number}{HOSTILE}"}
        Stream.objects.create(**kind)
        Event.objects.create(
            reference="r", timestamp=now - timedelta(hours=1), status="failed", properties={"team": HOSTILE}, **kind
        )
        Refusal.objects.create(
            day=now.date(), api_key=key, code=f"code_{number}", type=HOSTILE, events=number + 1, message=HOSTILE * 2
        )
    Event.objects.create(
        customer="acme", reference="bad", type=tokens.event_type, timestamp=now, status="succeeded", properties={}
    )
    return tokens


def fits(operator: Operator, name: str) -> None:
    held, window = operator.widths()
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        operator.page.screenshot(path=f"{folder}/{name}-{window}.png", full_page=True)
    assert held <= window


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_there(signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]) -> None:
    operator = signed_in(live_server.url, size)
    for path in PAGES:
        operator.go(path)
        fits(operator, "none" + path.replace("/", "-"))
    operator.press("Show")
    operator.sees("No events in this range.")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_much_of_it_under_hostile_names(
    signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]
) -> None:
    much()
    operator = signed_in(live_server.url, size)
    operator.go("/admin/leaks/")
    operator.sees("Usage that no row prices", "model-29<b onmouseover", "code_29", "missing")
    fits(operator, "much-leaks")
    operator.go("/admin/attribution/")
    operator.fill(property="team")
    operator.press("Show")
    operator.sees("t29", "Tokens (token)", "30,435")
    fits(operator, "much-attribution")
    operator.go("/admin/calls/")
    operator.press("Show")
    operator.sees("100.00 %", "Error rate", "49.18 %")
    fits(operator, "much-calls")


def test_what_mends_a_leak_is_in_sight_on_a_phone(signed_in: Callable[..., Operator], live_server: Any) -> None:
    much()
    operator = signed_in(live_server.url, PHONE)
    operator.go("/admin/leaks/")
    mend = operator.page.get_by_role("button", name="Clone the version with this row").first
    box = mend.bounding_box()
    assert box is not None
    assert 0 <= box["x"] < box["x"] + box["width"] <= PHONE[0]
    card = operator.page.locator("#unpriced tr", has=mend).first
    assert card.locator("td").evaluate_all(
        "cells => cells.map(cell => getComputedStyle(cell, '::before').content)"
    ) == [f'"{name}"' for name in ("Charge", "Values", "Quantity", "Subscriptions", "Held drafts", "Worth", "Mend")]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_unknown_customer_is_attached_to_one_that_is_offered(
    signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]
) -> None:
    acme = subscribing.create_customer(reference="acme", name="Acme <b>Ltd")
    Stream.objects.create(customer="stray", type="llm")
    operator = signed_in(live_server.url, size)
    operator.go("/admin/leaks/")
    operator.press("Create or attach")
    operator.page.locator("#result_list .material-symbols-outlined", has_text="more_horiz").click()
    operator.page.get_by_text("Attach to a customer").first.click()
    field = operator.page.locator("[name=customer]:visible")
    field.press_sequentially("Acm")
    expect(operator.page.locator("#offered-customers option[value=acme]")).to_have_text("Acme <b>Ltd")
    field.fill("acme")
    fits(operator, "attach")
    operator.page.get_by_role("button", name="Attach").click()
    operator.sees("“stray” means “Acme <b>Ltd” from now on")
    assert acme.aliases.filter(reference="stray").exists()


def test_a_gap_is_mended_from_the_page(operator: Operator) -> None:
    """From the leak to a draft with the row filled in; a price, and it is saved."""
    much()
    operator.go("/admin/leaks/")
    operator.page.get_by_role("button", name="Clone the version with this row").first.click()
    operator.sees("is a copy of Chat v1")
    grid = Grid(operator).begun()
    assert grid.column(1)[-1] == f"model-29{HOSTILE[:200]}"
    operator.page.keyboard.type("0.5")
    grid.keys("Enter")
    operator.save()
    operator.sees("is saved", "Chat v2")
