"""An operator voids and amends events on their pages, at a desk and on a phone."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from meters.models import Correction, Event
from tests.browser.visiting import DESKTOP, PHONE, Operator
from tests.meters.correcting import amend, event_of, void
from tests.meters.making import event, send, tokens_meter

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>/" + "long" * 30


@pytest.mark.parametrize("window", [DESKTOP, PHONE])
def test_amend_and_void(signed_in: Callable[..., Operator], live_server: Any, window: tuple[int, int]) -> None:
    tokens_meter()
    send(event(HOSTILE, timestamp=None))
    operator = signed_in(live_server.url, window)
    first = event_of("acme", HOSTILE)
    operator.go(f"/admin/meters/event/{first}/change/")
    _press(operator, "Amend …")
    dialog = operator.page.locator("#modal-content")
    dialog.locator("[name=properties]").fill('{"model": "model-b", "input_tokens": 1')
    dialog.locator("[name=reason]").fill("<b>the wrong model</b>")
    dialog.get_by_role("button", name="Amend").click()
    expect(dialog).to_contain_text("This is no JSON object")
    dialog.locator("[name=properties]").fill('{"model": "model-b", "input_tokens": 0.1}')
    dialog.get_by_role("button", name="Amend").click()
    expect(operator.page.locator("body")).to_contain_text("Amended. Usage and drafts follow.")
    new = Event.objects.get(replaces=first)
    assert operator.page.url.endswith(f"/event/{new.pk}/change/")
    expect(operator.page.locator("body")).to_contain_text("“<b>the wrong model</b>”")
    _press(operator, "Void …")
    dialog.locator("[name=reason]").fill("a test call")
    dialog.get_by_role("button", name="Void").click()
    expect(operator.page.locator("body")).to_contain_text("Voided. Usage and drafts follow.")
    expect(operator.page.get_by_text("Void …")).to_have_count(0)
    assert list(Correction.objects.order_by("pk").values_list("kind", flat=True)) == ["amend", "void"]
    assert operator.widths()[0] <= operator.widths()[1]


@pytest.mark.parametrize("window", [DESKTOP, PHONE])
def test_the_list_with_much_in_it(
    signed_in: Callable[..., Operator], live_server: Any, window: tuple[int, int]
) -> None:
    tokens_meter()
    send(*(event(f"r{number}", customer=HOSTILE, timestamp=None) for number in range(12)), event(HOSTILE))
    for number in range(10):
        void(event_of(HOSTILE, f"r{number}"), f"{HOSTILE} {number}")
    amend(event_of("acme", HOSTILE), {"value": 2}, "x" * 500)
    operator = signed_in(live_server.url, window)
    operator.go("/admin/meters/correction/")
    expect(operator.page.locator("#result_list")).to_contain_text(HOSTILE)
    assert operator.widths()[0] <= operator.widths()[1]
    operator.go("/admin/meters/event/")
    expect(operator.page.get_by_text("amended since")).to_have_count(1)
    assert operator.widths()[0] <= operator.widths()[1]


def _press(operator: Operator, title: str) -> None:
    """An action of the page: on a phone it is in the page's menu."""
    wanted = operator.page.get_by_text(re.compile(rf"^\s*{re.escape(title)}\s*$"))
    if not wanted.locator("visible=true").count():
        operator.page.get_by_text("more_horiz").locator("visible=true").first.click()
    wanted.locator("visible=true").first.click()
