"""Model costs on a desktop and on a phone: found, read, drawn, recorded as shown, withdrawn."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from billing_site.foundation import clock
from catalog.costs import own_costs, package_prices
from catalog.costs import reading as cost_reading
from catalog.models import ModelCost, ProviderModel
from catalog.pricing.model_costs import Hours
from tests.browser.visiting import PHONE, Operator
from tests.catalog.costing import from_day, own, read, usually

pytestmark = pytest.mark.browser

HOSTILE = "<script>alert(1)</script>"
NAMES = [HOSTILE, "מודל השפה שלנו", "北京语言模型", "W" * 200, '"><img src=x onerror=alert(2)>']
DESK = (1440, 900)
SIZES = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desktop", "phone"])


def looks(operator: Operator, name: str) -> None:
    """Not wider than the window. SCREENSHOTS names a folder to keep pictures in."""
    held, window = operator.widths()
    if folder := os.environ.get("SCREENSHOTS"):
        operator.page.screenshot(path=f"{folder}/{name}-{window}.png", full_page=True)
    assert held <= window


def changing() -> ProviderModel:
    """A model whose costs have changed and will, with steps, hours and own ones."""
    today = clock.now().date()
    then, soon = today - timedelta(days=200), today + timedelta(days=60)
    read(
        acme_1=[
            usually(
                input_mtok=["3", (200_000, "6")], output_mtok="15", cache_read_mtok="0.3", web_searches_kcount="10"
            ),
            from_day(then, input_mtok=["2.5", (200_000, "5")], output_mtok="10", cache_read_mtok="0.25"),
            from_day(soon, input_mtok="2", output_mtok="8", cache_read_mtok="0.2"),
        ]
    )
    month_ago = clock.now() - timedelta(days=30)
    own("0.0000021", effective_from=month_ago, note="Contract with Acme, § 3")
    own("0.0000011", hours=Hours(22, 6), effective_from=month_ago)
    own("0.5", "output", effective_from=month_ago)
    own_costs.withdraw_cost(ModelCost.objects.order_by("id").last(), "a slip", "dana")  # type: ignore[arg-type]
    model = ProviderModel.objects.get(model="acme-1")
    own_costs.name_model(HOSTILE, model, "dana")
    return model


@SIZES
def test_the_whole_package_is_found_by_any_name(
    signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]
) -> None:
    operator = signed_in(live_server.url, size)
    operator.go("/admin/catalog/providermodel/")
    operator.sees("No model costs yet")
    looks(operator, "costs-none")
    cost_reading.read_in(package_prices.bundled())
    for name in NAMES:
        own("0.000001", name=f"home/{name}")
    own("0.0000021", name="openai/gpt-4o", effective_from=clock.now() - timedelta(hours=2))
    operator.go("/admin/catalog/providermodel/")
    operator.sees("anthropic/claude-3-5-haiku-latest", "genai-prices 0.2.3")
    looks(operator, "costs-much")
    operator.go("/admin/catalog/providermodel/?q=azure/openai/gpt-4o-2024-11-20")
    operator.sees("means openai/gpt-4o", "2.1")
    looks(operator, "costs-found")
    operator.go("/admin/catalog/providermodel/?q=gemini-2.5")
    operator.sees("above 200,000")
    looks(operator, "costs-steps")
    operator.go("/admin/catalog/providermodel/?provider=home")
    for name in NAMES:
        operator.sees(name)
    looks(operator, "costs-names")
    for model in ProviderModel.objects.filter(provider="home"):
        operator.go(f"/admin/catalog/providermodel/{model.pk}/change/")
        looks(operator, f"costs-name-{model.pk}")


@SIZES
def test_a_model_and_its_course(signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]) -> None:
    model = changing()
    operator = signed_in(live_server.url, size)
    operator.go(f"/admin/catalog/providermodel/{model.pk}/change/")
    operator.sees("What it costs now", "above 200,000", "22:00–06:00 UTC", "Contract with Acme, § 3", HOSTILE)
    expect(operator.page.locator(".tb-chart canvas")).to_be_visible()
    operator.page.locator(".tb-chart").press("ArrowLeft")
    expect(operator.page.locator(".tb-readout")).to_contain_text("Output")
    looks(operator, "cost-model")
    heads = operator.page.locator("#course thead th").all_inner_texts()
    assert heads == ["Month", "Input", "Output", "Cache read"]


@SIZES
def test_an_own_cost_is_shown_recorded_and_withdrawn(
    signed_in: Callable[..., Operator], live_server: Any, size: tuple[int, int]
) -> None:
    model = changing()
    operator = signed_in(live_server.url, size)
    operator.go(f"/admin/catalog/providermodel/{model.pk}/change/")
    operator.press("Record an own cost…")
    looks(operator, "cost-record")
    operator.fill(cost="1.9")
    operator.press("Show what it changes")
    operator.sees("What it changes", "Above 200,000 input tokens it goes on costing 5", "Who is affected")
    looks(operator, "cost-preview")
    operator.press("Record it")
    operator.sees("Recorded: it holds from")
    assert str(ModelCost.objects.filter(source="own").order_by("id").last().cost) == "0.000001900000000"  # type: ignore[union-attr]
    operator.page.get_by_role("link", name="Withdraw…").first.click()
    operator.fill(note="only a test")
    looks(operator, "cost-withdraw")
    operator.press("Withdraw it")
    operator.sees("Withdrawn: what held before it holds on.", "only a test")

    operator.go(f"/admin/catalog/providermodel/add/?model={model.pk}")
    operator.fill(model=f"{HOSTILE}{'x' * 100}", cost="2")
    operator.press("Show what it changes")
    operator.sees("The catalogue has no model")
    looks(operator, "cost-preview-new")
