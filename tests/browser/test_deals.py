"""Terms are negotiated and coupons redeemed in a real browser, on a desk and on a phone, under hostile names."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from billing_site.foundation import clock
from customers.models import Override, Redemption, Subscription
from tests.browser.visiting import DESKTOP, PHONE, Operator
from tests.customers import making
from tests.customers.dealing import override
from tests.invoicing.running import plan_with, subscribed

pytestmark = pytest.mark.browser
HOSTILE = "<script>alert(1)</script> مرحبا 価格 " + "x" * 150


@pytest.fixture
def subscription(transactional_db: None) -> Subscription:
    """On a plan of 30 rows since the first of this month, with some usage of today."""
    tokens = making.meter("tokens", ["model", "kind"], unit="token")
    rows = [({"model": f"model-{n}", "kind": "input"}, f"0.0000{n + 10}") for n in range(30)]
    version = plan_with(tokens, advance="49", rows=[({"model": HOSTILE[:200]}, "0.00001"), *rows, ({}, "0.00002")])
    today = clock.now().date()
    made = subscribed(version, "acme", start=today.replace(day=1))
    made.customer.name = HOSTILE[:200]
    made.customer.save()
    noon = datetime.combine(today, datetime.min.time(), UTC) + timedelta(hours=1)
    making.use("acme", tokens, noon, 40_000_000, {"model": "model-3", "kind": "input"})
    return made


def page_of(subscription: Subscription) -> str:
    return f"/admin/customers/subscription/{subscription.pk}/change/"


def first_day(subscription: Subscription) -> date:
    return subscription.starts_at.date()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_a_price_is_negotiated_after_a_look_at_what_it_comes_to(
    signed_in: Callable[..., Operator], live_server: Any, subscription: Subscription, size: tuple[int, int]
) -> None:
    override(subscription, "minimum", first_day(subscription), amount="100", reason=HOSTILE)
    operator = signed_in(live_server.url, size)
    page = operator.page
    operator.go(page_of(subscription))
    assert operator.widths()[0] <= operator.widths()[1]
    page.locator("summary", has_text="Requests").click()
    row = page.locator("tr", has_text="model = model-3")
    row.get_by_role("link", name="Negotiate…").click()
    expect(page.get_by_label("Price", exact=True)).to_have_value("0.000013")
    expect(page.get_by_label("Size of a package")).to_be_hidden()
    page.get_by_label("How it is priced").select_option("package")
    expect(page.get_by_label("Size of a package")).to_be_visible()
    page.get_by_label("How it is priced").select_option("per_unit")
    page.get_by_label("Price", exact=True).fill("0.00001")
    page.get_by_label("Reason").fill("Framework contract 7")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("With it")).to_be_visible()
    assert operator.widths()[0] <= operator.widths()[1]
    assert Override.objects.count() == 1
    page.get_by_role("button", name="Negotiate").click()
    expect(page.locator("tr", has_text="Framework contract 7")).to_contain_text("−23.1 %")
    assert Override.objects.count() == 2


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_a_price_that_looks_wrong_is_saved_once_somebody_says_it_is_meant(
    signed_in: Callable[..., Operator], live_server: Any, subscription: Subscription, size: tuple[int, int]
) -> None:
    operator = signed_in(live_server.url, size)
    page = operator.page
    row = json.dumps({"model": HOSTILE[:200]})
    query = urlencode({"what": "price", "charge": "charge-1", "row": row})
    operator.go(f"/admin/customers/subscription/{subscription.pk}/negotiate/?{query}")
    page.get_by_label("Price", exact=True).fill("0.0000001")
    page.get_by_label("Reason").fill("Framework contract 8")
    page.get_by_role("button", name="Negotiate").click()
    expect(page.get_by_role("heading", name="Is this meant?")).to_be_visible()
    expect(page.get_by_text("100 times less than the plan's")).to_be_visible()
    assert operator.widths()[0] <= operator.widths()[1]
    assert Override.objects.count() == 0
    page.get_by_label("Yes, it is meant").check()
    page.get_by_role("button", name="Negotiate").click()
    expect(page.get_by_text("It is negotiated.")).to_be_visible()
    assert Override.objects.count() == 1


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_a_coupon_is_made_and_redeemed(
    signed_in: Callable[..., Operator], live_server: Any, subscription: Subscription, size: tuple[int, int]
) -> None:
    operator = signed_in(live_server.url, size)
    page = operator.page
    operator.go("/admin/catalog/coupon/add/")
    expect(page.get_by_label("Number of invoices")).to_be_hidden()
    page.get_by_label("Code").fill("spring-24")
    page.get_by_label("Name").fill(HOSTILE[:200])
    page.get_by_label("Percentage").fill("12.5")
    page.get_by_label("For how long").select_option("periods")
    page.get_by_label("Number of invoices").fill("3")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("12.5 % on 3 invoices")).to_be_visible()
    operator.go(page_of(subscription))
    page.get_by_role("link", name="Redeem a coupon…").click()
    page.get_by_label("Coupon").fill("Spring-24")
    page.get_by_role("button", name="Redeem").click()
    expect(page.get_by_text("The coupon is redeemed.")).to_be_visible()
    assert Redemption.objects.get().coupon.code == "SPRING-24"
    assert operator.widths()[0] <= operator.widths()[1]
