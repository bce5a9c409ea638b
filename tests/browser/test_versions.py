"""Versions in the hands of operators: terms, currencies, a clone of a plan, moving subscriptions; and as they look."""

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from catalog.models import PlanVersion
from catalog.versions.publishing import (
    change_version,
    clone_version,
    create_plan,
    draft_version,
    publish,
    set_price_list,
)
from customers.subscriptions import plan_moves
from invoicing.plan_moves import apply_due
from tests.browser.visiting import DESKTOP, PHONE, Operator
from tests.catalog import making as catalogue
from tests.customers import making
from tests.invoicing.running import subscribed

pytestmark = pytest.mark.browser

HOSTILE = "<script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}\u05d0\u05d1 價格表 " + "long " * 12


def shot(operator: Operator, name: str) -> None:
    """For people: SHOTS names a folder."""
    if folder := os.environ.get("SHOTS"):
        operator.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.fixture
def version(transactional_db: None) -> PlanVersion:
    made = draft_version(
        create_plan(code="chat", name=HOSTILE), minimum=Decimal(50), commitment_product=catalogue.product()
    )
    catalogue.fee(made)
    catalogue.usage(made, catalogue.calls(), [({}, Decimal("0.01"))], code="calls")
    set_price_list(made, "EUR", minimum=Decimal(45))
    return made


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_the_pages_fit(operator: Operator, version: PlanVersion, size: tuple[int, int]) -> None:
    operator.page.set_viewport_size({"width": size[0], "height": size[1]})
    published = publish(catalogue.draft_with_fee())
    change_version(clone_version(published), cap=Decimal(900))
    old = making.published(name=HOSTILE)
    for index in range(7):
        subscribed(old, f"{HOSTILE[:60]}-{index}")
    new = publish(clone_version(old))
    move = plan_moves.plan(source=old, target=new, timing="period_end", reason=HOSTILE, by="dana")
    places = {
        "version": f"/admin/catalog/planversion/{version.pk}/change/",
        "published": f"/admin/catalog/planversion/{old.pk}/change/",
        "publish": f"/admin/catalog/planversion/{version.pk}/publish",
        "plan": f"/admin/catalog/plan/{version.plan_id}/change/",
        "clone": f"/admin/catalog/plan/{version.plan_id}/clone",
        "moves": "/admin/customers/planmove/",
        "move": f"/admin/customers/planmove/{move.pk}/change/",
        "add-move": f"/admin/customers/planmove/add/?source={old.pk}",
        "versions": "/admin/catalog/planversion/",
    }
    for name, place in places.items():
        operator.go(place)
        shot(operator, f"{name}-{size[0]}")
        holds, window = operator.widths()
        assert holds <= window, place


def test_a_currency_is_added_and_a_plan_is_cloned(operator: Operator, version: PlanVersion) -> None:
    operator.go(f"/admin/catalog/planversion/{version.pk}/change/")
    operator.field("cap").fill("900")
    operator.page.get_by_role("button", name="Save and continue").click()
    version.refresh_from_db()
    assert version.cap == 900
    operator.go(f"/admin/catalog/plan/{version.plan_id}/clone")
    operator.field("name").fill("Second")
    operator.field("code").fill("second")
    operator.page.get_by_role("button", name="Clone").last.click()
    expect(operator.page.locator("body")).to_contain_text("charges what")
    assert PlanVersion.objects.get(plan__code="second").price_lists.get().currency == "EUR"


def test_a_move_is_planned_watched_and_done(operator: Operator, live_server: Any) -> None:
    old = making.published(name="Chat")
    subscribed(old, "acme")
    new = publish(clone_version(old))
    operator.go(f"/admin/catalog/planversion/{old.pk}/change/")
    operator.page.get_by_role("link", name="move it to a later version").click()
    operator.field("target").select_option(str(new.pk))
    operator.field("timing").select_option("now")
    operator.fill(reason="Dearer models")
    operator.page.get_by_role("button", name="Save", exact=True).click()
    expect(operator.page.locator("#progress")).to_contain_text("0 of 1 subscription:")
    apply_due(10)
    expect(operator.page.locator("#progress")).to_contain_text("1 moved")
    shot(operator, "moved")
