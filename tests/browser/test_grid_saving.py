"""What is typed is saved, be it read by then or not; with the page's fields, or none of it."""

from decimal import Decimal

import pytest
from playwright.sync_api import expect

from catalog.charges.row_checks import DraftRow
from catalog.models import Charge
from catalog.pricing.price import Model, Price, per_unit
from catalog.versions.charging import drafted
from catalog.versions.publishing import set_price_list, set_rows
from tests.browser.grid import NAME, PRICE, Grid, arrived, containing, held_back, stored
from tests.browser.visiting import Operator
from tests.catalog import making

pytestmark = pytest.mark.browser

D = Decimal


PACKAGE = Price(Model.PACKAGE, D(7), D(1000))


@pytest.fixture
def package(operator: Operator, charge: Charge) -> Grid:
    """Its first row has a price of packages, which the server reads; answers wait until they are let go."""
    set_rows(
        charge, None, [DraftRow({"model": "a"}, Price(Model.PACKAGE, D(2), D(1000))), DraftRow({}, per_unit(D(1)))]
    )
    return Grid(operator).open(charge)


def test_the_pages_own_save_waits_for_what_was_just_typed(package: Grid, charge: Charge) -> None:
    waiting = held_back(package)
    package.choose(1, PRICE)
    package.keys("F2")
    package.page.keyboard.type("7 per 1000")
    package.page.get_by_role("button", name="Save", exact=True).click()
    arrived(package, waiting, 1)
    expect(package.page.locator("[data-part=state]")).to_have_text("Saving …")
    waiting[0].continue_()
    package.operator.sees("“Tokens” is saved.")
    assert stored(charge)[0].price == PACKAGE


def test_control_s_saves_what_is_being_typed(package: Grid, charge: Charge) -> None:
    waiting = held_back(package)
    package.choose(1, PRICE)
    package.page.keyboard.type("7 per 1000")
    package.keys("Control+s")
    arrived(package, waiting, 1)
    waiting[0].continue_()
    package.said("Saved.")
    assert stored(charge)[0].price == PACKAGE


def test_a_late_answer_is_for_the_text_that_it_read(operator: Operator, charge: Charge) -> None:
    set_price_list(charge.version, "EUR")
    set_rows(
        charge, None, [DraftRow({"model": "a"}, Price(Model.PACKAGE, D(2), D(1000))), DraftRow({}, per_unit(D(1)))]
    )
    grid = Grid(operator).open(charge)
    waiting = held_back(grid)
    grid.type(1, PRICE, "7 per 1000")
    arrived(grid, waiting, 1)
    assert grid.column(PRICE)[0] == "7 per 1000"
    expect(grid.page.locator("[data-part=state]")).to_have_text("Unsaved changes")
    grid.type(1, PRICE, "8 per 1000")
    arrived(grid, waiting, 2)
    grid.type(2, NAME, "b")
    waiting[1].continue_()
    grid.page.locator("[data-currency=EUR]").click()
    waiting[0].continue_()
    grid.page.wait_for_timeout(300)
    assert grid.column(PRICE) == []
    grid.page.locator("[data-currency=USD]").click()
    assert grid.column(PRICE)[0] == "8 per 1000"
    grid.save()
    assert stored(charge)[0].price == Price(Model.PACKAGE, D(8), D(1000))
    # Each text was a step, and is a price wherever undo goes back to it.
    grid.choose(1, PRICE)
    grid.keys("Control+z", "Control+z")
    assert grid.column(PRICE)[0] == "7 per 1000"
    grid.save()
    assert stored(charge)[0].price == PACKAGE
    grid.choose(1, PRICE)
    grid.keys("Control+z")
    assert grid.column(PRICE)[0] == "2 per 1000"
    assert len(waiting) == 2


def test_a_text_that_could_not_be_read_for_want_of_an_answer_stays(package: Grid, charge: Charge) -> None:
    package.page.locator("[data-scale='6']").click()
    package.page.route("**/grid/prices/", lambda route: route.abort())
    package.type(1, PRICE, "7 per 1000")
    package.said("“7 per 1000” is not read yet")
    expect(package.cell(1, PRICE)).to_have_class(containing("tb-mark-error"))
    assert package.column(PRICE)[0] == "7 per 1000"
    package.do("save")
    package.said("Not saved: Row 1: “7 per 1000” is not read yet")
    assert stored(charge)[0].price == Price(Model.PACKAGE, D(2), D(1000))
    package.page.unroute("**/grid/prices/")
    package.save()
    expect(package.page.locator(".tb-mark-error")).to_have_count(0)
    assert stored(charge)[0].price == PACKAGE
    faults = package.operator.faults
    assert all("prices" in fault or "ERR_FAILED" in fault for fault in faults)
    faults.clear()


def test_two_operators_do_not_write_over_each_other(grid: Grid, charge: Charge) -> None:
    set_rows(charge, None, drafted([({}, D(9))]))
    grid.type(1, PRICE, "5")
    grid.do("save")
    grid.said("Somebody has changed the prices in USD since you loaded them, so nothing was saved.")
    assert stored(charge) == [DraftRow({}, per_unit(D(9)))]
    expect(grid.page.locator("[data-part=state]")).to_have_text("Unsaved changes")


def test_leaving_with_unsaved_changes_is_warned_about(grid: Grid, charge: Charge) -> None:
    grid.type(1, PRICE, "5")
    faults = grid.operator.faults
    # The browser asks, and staying is the answer: nothing is lost.
    grid.page.evaluate("location.assign('/admin/')")
    grid.page.wait_for_timeout(500)
    assert [fault.partition(":")[0] for fault in faults] == ["dialog"]
    faults.clear()
    assert grid.column(PRICE)[0] == "5"
    grid.save()
    grid.operator.go("/admin/")
    assert faults == []


def test_the_pages_own_save_saves_the_prices_first(grid: Grid, charge: Charge) -> None:
    grid.type(1, PRICE, "-5")
    grid.operator.enter("name", "All tokens")
    grid.operator.save()
    grid.said("Not saved: Row 1: The unit price -5 is negative")
    charge.refresh_from_db()
    assert charge.name == "Tokens"
    grid.type(1, PRICE, "5")
    grid.operator.save()
    grid.operator.sees("“All tokens” is saved.")
    assert stored(charge)[0].price == per_unit(D(5))
    charge.refresh_from_db()
    assert charge.name == "All tokens"


def test_when_a_field_is_refused_the_prices_are_not_saved_either(grid: Grid, charge: Charge) -> None:
    making.usage(charge.version, making.calls(), [], code="calls")
    before = stored(charge)
    grid.type(1, PRICE, "5")
    grid.operator.enter("code", "calls")
    grid.operator.save()
    code = grid.page.locator("#id_code")
    expect(code).to_have_attribute("aria-invalid", "true")
    expect(code).to_be_focused()
    grid.said("Not saved: Chatbot v1 has a charge “calls” already")
    expect(grid.page.locator(".tb-found-error")).to_have_count(0)
    expect(grid.page.locator("#charge_form .tb-grid-error")).to_have_count(1)
    assert stored(charge) == before
    expect(grid.page.locator("[data-part=state]")).to_have_text("Unsaved changes")
    assert grid.column(PRICE)[0] == "5"
    grid.operator.enter("code", "all")
    grid.operator.save()
    grid.operator.sees("“Tokens” is saved.")
    charge.refresh_from_db()
    assert (charge.code, stored(charge)[0].price) == ("all", per_unit(D(5)))
