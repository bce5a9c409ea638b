"""Every page of the admin, with nothing in it and with names that break pages, in the window of a phone."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from catalog.models import PlanVersion
from invoicing.models import Invoice
from tests.browser import plenty
from tests.browser.visiting import DESKTOP, PHONE, Operator, tab

pytestmark = pytest.mark.browser


def addresses(operator: Operator, within: str) -> list[str]:
    """What the links of a page lead to, in the admin."""
    links = operator.page.locator(f"{within} a[href^='/admin/']")
    found = links.evaluate_all("links => links.map(link => new URL(link.href).pathname)")
    return list(dict.fromkeys(found))


def lists(operator: Operator) -> Iterator[str]:
    operator.go("/admin/")
    yield from addresses(operator, "#nav-sidebar-apps")


def pages(operator: Operator) -> Iterator[str]:
    """Each list, the first two things on it, and the form for a new one. Whoever asks opens each before the next."""
    for place in list(lists(operator)):
        yield place
        inside = [each for each in addresses(operator, "#content") if each.startswith(place)]
        yield from [each for each in inside if each.endswith("/change/")][:2]
        yield from [each for each in addresses(operator, "body") if each == f"{place}add/"]


def too_wide(operator: Operator, places: Iterator[str]) -> list[str]:
    """Where the page would have to be pushed sideways."""
    found = []
    for place in places:
        operator.go(place)
        holds, window = operator.widths()
        if holds > window:
            found.append(f"{place} is {holds} wide")
    return found


def test_pages_without_anything_say_what_will_be_there(signed_in: Callable[..., Operator], live_server: Any) -> None:
    operator = signed_in(live_server.url, PHONE)
    empty = 0
    for place in list(lists(operator)):
        operator.go(place)
        assert operator.widths()[0] <= operator.widths()[1], place
        heading = operator.page.get_by_role("heading", name=re.compile(r"^No .* yet$"))
        if heading.count():
            empty += 1
            assert heading.locator("+ p").inner_text().strip(), f"{place} does not say what it is for"
    assert empty >= 12


def test_no_name_breaks_a_page_on_a_phone(signed_in: Callable[..., Operator], live_server: Any) -> None:
    plenty.everything()
    operator = signed_in(live_server.url, PHONE)
    version = PlanVersion.objects.get(plan__code="plan-long", number=1)
    more = [
        f"/admin/catalog/planversion/{version.pk}/{page}/"
        for page in ("change", "history", "publish", "clone", "retire")
    ]

    assert too_wide(operator, iter([*pages(operator), *more])) == []


# Texts that are cut off, or stand where one has to push, and no title at them says them whole.
CUT = """() => [...document.querySelectorAll("#content *")].filter((each) => {
    const style = getComputedStyle(each);
    const sideways = each.scrollWidth > each.clientWidth + 1, below = each.scrollHeight > each.clientHeight + 1;
    const out = style.display !== "inline" && style.overflowX !== "visible";
    const cut = out && (sideways || style.webkitLineClamp !== "none" && below);
    return cut && each.innerText?.trim() && !each.title && !each.querySelector("[title]");
}).map((each) => `${each.className}: ${each.innerText.slice(0, 40)}`)"""
WIDE = (1440, 900)


def test_no_name_is_cut_on_a_wide_screen(signed_in: Callable[..., Operator], live_server: Any) -> None:
    plenty.everything()
    operator = signed_in(live_server.url, WIDE)
    version = PlanVersion.objects.get(plan__code="plan-long", number=1)
    charge = version.charges.get(code="c" * 100)
    places = [f"planversion/{version.pk}/change/", f"charge/{charge.pk}/change/", "charge/", "planversion/"]
    for place in [*(f"/admin/catalog/{each}" for each in places), "/admin/customers/subscription/"]:
        operator.go(place)
        operator.page.wait_for_load_state("networkidle")
        assert operator.widths()[0] <= operator.widths()[1], place
        assert operator.page.evaluate(CUT) == [], place


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_an_invoice_of_200_lines_is_read_in_any_window(
    signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]
) -> None:
    plenty.everything()
    operator = signed_in(live_server.url, size)
    for invoice in Invoice.objects.filter(customer__name__in=[*plenty.NAMES.values(), "Many Lines Ltd"]):
        operator.go(f"/admin/invoicing/invoice/{invoice.pk}/change/")
        operator.page.locator(".inv-lines summary").evaluate_all("all => all.forEach(each => each.click())")
        holds, window = operator.widths()
        assert holds <= window, invoice
        operator.sees(invoice.customer.name)

    assert Invoice.objects.get(customer__reference="many").lines.count() == 200
    cut_off = operator.page.locator(".inv :not(thead, thead *)").evaluate_all(
        "all => all.filter(each => each.clientWidth && each.scrollWidth > each.clientWidth).map(each => each.outerHTML)"
    )
    assert cut_off == []


NUMBERS = {
    "invoicing/invoice": ["amount"],
    "invoicing/run": ["invoices", "progress", "errors"],
    "invoicing/numberseries": ["digits", "next_number"],
    "meters/usagehour": ["shown_quantity", "shown_events"],
    "meters/unknowntype": ["customers", "events"],
    "customers/unknowncustomer": ["events"],
    "customers/customer": ["running"],
    "catalog/planversion": ["charge_count"],
    "catalog/plan": ["drafts"],
}
# Where the last digit of a cell, and the last letter of its column's name, end.
ENDS = """names => names.map(name => {
    const end = (within) => {
        const range = document.createRange();
        range.selectNodeContents(document.querySelector(within));
        return Math.round(range.getBoundingClientRect().right);
    };
    return [end(`#result_list .column-${name} .text`), end(`#result_list .field-${name}`)];
})"""


def test_numbers_stand_right_under_their_names(operator: Operator) -> None:
    plenty.everything()
    for place, names in NUMBERS.items():
        operator.go(f"/admin/{place}/")
        for name, (head, cell) in zip(names, operator.page.evaluate(ENDS, names), strict=True):
            assert abs(head - cell) <= 1, (place, name)


@pytest.mark.parametrize("name", ["hebrew", "arabic", "chinese", "markup", "quotes"])
def test_names_are_shown_to_the_letter(operator: Operator, name: str) -> None:
    text = plenty.NAMES[name]
    operator.open("Products")
    operator.press("Add product")
    operator.fill(name=text, code="named")
    operator.save()

    expect(operator.page.locator("#result_list .field-name")).to_have_text(text)
    operator.go("/admin/history/")
    expect(operator.page.locator(".tb-change ins", has_text=text)).not_to_have_count(0)


def test_the_documentation_of_the_api_needs_no_other_host(browser: Browser, live_server: Any, db: None) -> None:
    visitor = tab(browser, live_server.url, PHONE)
    visitor.go("/v1/docs")
    visitor.page.locator(".opblock", has_text="/v1/events").locator("button").first.click()
    visitor.sees("Send usage events", "Idempotency-Key", "Authorize")

    holds, window = visitor.widths()
    assert holds <= window
    assert visitor.faults == []
    visitor.page.close()
