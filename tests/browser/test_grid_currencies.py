"""Prices copied from one currency to another."""

from decimal import Decimal

import pytest
from playwright.sync_api import expect

from catalog.charges.row_checks import DraftRow
from catalog.models import Charge
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from catalog.versions.publishing import set_price_list, set_rows
from tests.browser.grid import PRICE, Grid, arrived, held_back, shown, stored
from tests.browser.visiting import Operator

pytestmark = pytest.mark.browser

D = Decimal


def test_prices_are_copied_to_another_currency_by_a_factor(operator: Operator, charge: Charge) -> None:
    set_price_list(charge.version, "EUR")
    grid = Grid(operator).open(charge)
    grid.page.locator("[data-currency=EUR]").click()
    grid.counts("0 rows")
    grid.do("copyList")
    dialog = grid.page.locator("dialog")
    dialog.get_by_label("× factor").fill("0.9200000000000001")
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog).to_contain_text("has more than 15 decimals: say to how many to round.")
    dialog.get_by_label("× factor").fill("0.92")
    dialog.get_by_role("button", name="Copy").click()
    grid.counts("4 rows")
    assert grid.column(PRICE) == ["0.0000092", "0.0000184", "0.0000046", "0.0000092"]
    grid.page.locator("[data-currency=USD]").click()
    grid.type(1, PRICE, "3")
    grid.save()  # both
    assert shown(stored(charge, "EUR")) == [
        "0.0000092",
        "0.0000184",
        "0.0000046",
        "0.0000092",
    ]
    assert stored(charge)[0].price == per_unit(D(3))


def test_what_is_copied_is_rounded_as_it_is_shown(operator: Operator, charge: Charge) -> None:
    tiers = (Tier(D(10), D("0.00000333"), D("0.335")), Tier(None, D("1.239"), D(0), D(100)))
    prices_ = [per_unit(D("0.00000123")), Price(Model.GRADUATED, tiers=tiers), Price(Model.PACKAGE, D("2.222"), D(9))]
    set_rows(charge, None, [DraftRow({"model": str(number)}, price) for number, price in enumerate(prices_)])
    set_price_list(charge.version, "EUR")
    grid = Grid(operator).open(charge)
    grid.page.locator("[data-scale='6']").click()
    grid.page.locator("[data-currency=EUR]").click()
    grid.do("copyList")
    dialog = grid.page.locator("dialog")
    dialog.get_by_label("× factor").fill("0")
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog).to_contain_text("“0” is no factor: write a number above 0")
    dialog.get_by_label("× factor").fill("0.92")
    decimals = dialog.get_by_label("Round to decimals per million")
    decimals.fill("10")
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog).to_contain_text("Decimals per million are a whole number up to 9, or nothing.")
    decimals.fill("0")
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog).to_contain_text("Row 2: 0.3082 would become 0, which is free: round to more decimals.")
    decimals.fill("2")
    dialog.get_by_role("button", name="Copy").click()
    grid.said("The prices of USD × 0.92 stand here now, rounded to 2 decimals per million.")
    # 1.23 × 0.92 = 1.1316, 3.33 × 0.92 = 3.0636 for a million; 0.335 × 0.92 = 0.3082, 1.239 × 0.92 = 1.13988,
    # 2.222 × 0.92 = 2.04424 as they are.
    assert grid.column(PRICE) == ["1.13", "10: 3.06 + 0.31; : 1.14 per 100", "2.04 per 9"]
    grid.save()
    assert shown(stored(charge, "EUR")) == ["0.00000113", "10: 0.00000306 + 0.31; : 1.14 per 100", "2.04 per 9"]


def test_nothing_becomes_free_by_rounding(operator: Operator, charge: Charge) -> None:
    set_rows(charge, None, [DraftRow({"model": "free"}, per_unit(D(0))), DraftRow({}, per_unit(D("0.000000004")))])
    set_price_list(charge.version, "EUR")
    grid = Grid(operator).open(charge)
    grid.page.locator("[data-scale='6']").click()
    grid.page.locator("[data-currency=EUR]").click()
    grid.do("copyList")
    dialog = grid.page.locator("dialog")
    decimals = dialog.get_by_label("Round to decimals per million")
    decimals.fill("2")
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog).to_contain_text("Row 2: 0.004 per million would become 0, which is free: round to more decimals.")
    grid.counts("0 rows")
    decimals.fill("3")
    dialog.get_by_role("button", name="Copy").click()
    grid.counts("2 rows")
    assert grid.column(PRICE) == ["0", "0.004"]


def test_what_is_no_price_is_not_copied_to_another_currency(operator: Operator, charge: Charge) -> None:
    """What comes of a text would not be multiplied."""
    set_price_list(charge.version, "EUR")
    grid = Grid(operator).open(charge)
    waiting = held_back(grid)
    grid.type(1, PRICE, "2 x")
    arrived(grid, waiting, 1)
    grid.page.locator("[data-currency=EUR]").click()
    grid.do("copyList")
    dialog = grid.page.locator("dialog")
    expect(dialog).to_have_count(0)
    waiting[0].continue_()
    dialog.get_by_label("× factor").fill("2")
    dialog.get_by_role("button", name="Copy").click()
    grid.counts("4 rows")
    assert grid.column(PRICE) == ["", "0.00004", "0.00001", "0.00002"]
