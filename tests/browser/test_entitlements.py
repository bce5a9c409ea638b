"""Features, what a draft gives, and what a customer may: on a desktop and on a phone, with much, nothing, and names."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from billing_site.foundation import clock
from catalog.models import Feature, PlanVersion
from catalog.versions import publishing
from catalog.versions.publishing import create_feature, set_feature_values
from customers.entitlements.entitling import grant
from customers.models import Customer, EntitlementOverride
from customers.subscriptions.subscribing import create_customer, subscribe
from tests.browser.plenty import NAMES
from tests.browser.visiting import PHONE, Operator
from tests.customers import making

pytestmark = pytest.mark.browser

SIZES = pytest.mark.parametrize("size", [(1440, 900), PHONE], ids=["desktop", "phone"])


def looks(operator: Operator, name: str) -> None:
    held, window = operator.widths()
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        operator.page.screenshot(path=f"{folder}/{name}-{window}.png", full_page=True)
    assert held <= window


def plan(values: dict[Feature, object]) -> PlanVersion:
    version = making.version(name="Chatbot Pro")
    making.fee(version, "20")
    set_feature_values(version, values)
    return version


def usual() -> tuple[Customer, PlanVersion]:
    """A customer on a plan, whose limits are half, nearly and wholly used."""
    tokens = making.meter("llm_tokens", dimensions=["model"], unit="token")
    calls = making.meter("api_calls", unit="call")

    def limit(code: str, name: str, of: Any, window: str, **more: Any) -> Feature:
        return create_feature(code=code, name=name, kind="number", meter=of, window=window, **more)

    models = ["small", "large", "huge", "embedding-small", "embedding-large"]
    values: dict[Feature, object] = {
        create_feature(code="sso", name="Single sign-on", kind="switch"): True,
        create_feature(code="audit", name="Audit log", kind="switch", description="Who did what, kept a year."): False,
        create_feature(code="models", name="Models", kind="list", allowed=models): ["small", "large"],
        create_feature(code="seats", name="Seats", kind="number", several="sum"): 5,
        limit("tokens", "Tokens", tokens, "billing_period"): 1_000_000,
        limit("tokens.large", "Tokens of large models", tokens, "month", filters={"model": ["large"]}): 200_000,
        limit("calls.day", "Calls a day", calls, "day"): 1_000,
        limit("calls.all", "Calls", calls, "month"): "unlimited",
    }
    version = publishing.publish(plan(values))
    customer = create_customer(reference="acme", name="Acme GmbH", timezone="Europe/Berlin")
    now = clock.now()
    subscribe(customer=customer, version=version, starts_on=(now - timedelta(days=90)).date())
    making.use("acme", tokens, now, 321_000, {"model": "small"})
    making.use("acme", tokens, now, 182_500, {"model": "large"})
    making.use("acme", calls, now, 1_204)
    grant(customer, Feature.objects.get(code="seats"), 25, reason="Contract 2026/12: 20 seats more than the plan")
    return customer, version


@SIZES
def test_what_a_customer_may_is_seen_and_granted(
    signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]
) -> None:
    customer, _ = usual()
    operator = signed_in(live_server.url, size)
    operator.go(f"/admin/customers/customer/{customer.pk}/change/")
    operator.sees("503,500 of 1,000,000", "496,500 left", "1,204 used, no limit", "Seats")
    expect(operator.page.locator(".ft-near progress")).to_have_count(1)
    expect(operator.page.locator(".ft-full progress")).to_have_count(1)
    looks(operator, "customer")

    operator.go(f"/admin/customers/customer/{customer.pk}/grant")
    looks(operator, "grant-choose")
    operator.page.get_by_role("link", name="Models", exact=True).click()
    looks(operator, "grant-list")
    operator.page.get_by_label("huge", exact=True).check()
    operator.page.locator("[name=reason]").fill("A trial of a week")
    operator.save()
    operator.sees("is granted to Acme GmbH", "override")
    assert EntitlementOverride.objects.get(feature__code="models").value == ("huge",)
    operator.go("/admin/customers/entitlementoverride/")
    looks(operator, "overrides")
    operator.page.locator("#result_list a", has_text="Models").first.click()
    operator.sees("A trial of a week", "active")
    looks(operator, "override")


@SIZES
def test_a_feature_is_made_and_given(
    signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]
) -> None:
    making.meter("llm_tokens", dimensions=["model"], unit="token")
    version = plan({})
    operator = signed_in(live_server.url, size)
    operator.go("/admin/catalog/feature/")
    looks(operator, "features-none")
    operator.go(f"/admin/catalog/planversion/{version.pk}/change/")
    operator.sees("There are no features yet")

    operator.go("/admin/catalog/feature/add/")
    looks(operator, "feature-add")
    # What was typed before the kind was chosen is still there, and nobody was asked whether to leave.
    asked: list[str] = []
    operator.page.on("dialog", lambda dialog: asked.append(f"{dialog.type} {dialog.message}"))
    operator.page.get_by_label("Name").press_sequentially("Tokens")
    operator.page.get_by_label("Description").press_sequentially("A & B = 5 %")
    operator.page.locator(".ft-kinds a", has_text="Number").click()
    expect(operator.page.get_by_label("Name")).to_have_value("Tokens")
    expect(operator.page.get_by_label("Description")).to_have_value("A & B = 5 %")
    assert asked == []
    operator.fill(meter="Llm_Tokens", window="Month")
    looks(operator, "feature-add-number")
    operator.save()
    operator.go("/admin/catalog/feature/add/?kind=list")
    operator.fill(name="Models", allowed="small\nlarge")
    operator.save()
    operator.sees("Llm_Tokens in each month", "2 values")

    operator.go(f"/admin/catalog/planversion/{version.pk}/features/")
    looks(operator, "given")
    operator.page.get_by_label("Tokens").fill("lots")
    operator.save()
    operator.sees("Nothing is saved yet", "“lots” is not a number")
    looks(operator, "given-refused")
    operator.page.get_by_label("Tokens").fill("1000000")
    operator.page.get_by_label("small", exact=True).check()
    operator.save()
    operator.sees("1,000,000 token in each month", "small")
    looks(operator, "version")
    assert {str(each.value) for each in version.feature_values.all()} == {"1000000.000000000000", "('small',)"}


@SIZES
def test_no_name_and_no_amount_breaks_a_page(
    signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]
) -> None:
    tokens = making.meter("tokens", unit="U" * 50)
    customer = create_customer(reference="acme", name=NAMES["markup"])
    values: dict[Feature, object] = {}
    for key, name in NAMES.items():
        for number in range(4):
            values[
                create_feature(
                    code=f"{key}-{number}",
                    name=name[:200],
                    description=name,
                    kind="number",
                    meter=tokens,
                    window="month",
                )
            ] = 123_456_789_012_345_678
        listed = create_feature(
            code=f"{key}-list", name=name[:200], kind="list", allowed=[f"{name[:240]} {n}" for n in range(30)]
        )
        values[listed] = listed.allowed
    draft = plan(values)
    looked = publishing.clone_version(draft)
    subscribe(customer=customer, version=publishing.publish(draft), starts_on=clock.now().date())
    making.use("acme", tokens, clock.now(), "123456789012345.678901234567")
    override = grant(customer, Feature.objects.get(code="long-list"), "any", reason=NAMES["long"])
    feature = Feature.objects.get(code="markup-list")

    operator = signed_in(live_server.url, size)
    for name, path in {
        "features": "/admin/catalog/feature/",
        "feature": f"/admin/catalog/feature/{feature.pk}/change/",
        "version": f"/admin/catalog/planversion/{looked.pk}/change/",
        "given": f"/admin/catalog/planversion/{looked.pk}/features/",
        "publish": f"/admin/catalog/planversion/{looked.pk}/publish/",
        "customer": f"/admin/customers/customer/{customer.pk}/change/",
        "choose": "/admin/customers/entitlementoverride/add/",
        "grant": f"/admin/customers/entitlementoverride/add/?feature={feature.pk}",
        "overrides": "/admin/customers/entitlementoverride/",
        "override": f"/admin/customers/entitlementoverride/{override.pk}/change/",
    }.items():
        operator.go(path)
        expect(operator.page.locator("h1")).not_to_have_count(0)
        looks(operator, f"much-{name}")
