"""The grid of a charge: from an empty draft to published prices, by keys, with what is refused in the very cell."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import Browser, expect

from catalog.charges.row_checks import DraftRow
from catalog.models import Charge
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from catalog.versions.publishing import publish
from tests.browser.conftest import session_of
from tests.browser.grid import NAME, PRICE, TYPE, Grid, containing, pasted, shown, stored
from tests.browser.visiting import Operator, tab
from tests.catalog import making

pytestmark = pytest.mark.browser

D = Decimal


def test_from_an_empty_draft_to_published_prices(operator: Operator) -> None:
    """Type, paste 500 rows, undo, look at what was found, save and publish."""
    meter, version = making.tokens(), making.draft()
    charge = making.usage(version, meter, [])
    grid = Grid(operator).open(charge)
    grid.do("add")
    grid.type(1, NAME, "model-a")
    grid.type(1, TYPE, "input")
    grid.type(1, PRICE, "0.00001")
    assert grid.cells() == [["1", "model-a", "input", "Per unit", "0.00001"]]

    grid.do("add")
    grid.counts("2 rows")
    grid.choose(2, NAME)
    grid.paste(pasted(500))
    grid.said("500 rows are pasted.")
    grid.counts("501 rows")
    grid.choose(2, NAME)
    grid.keys("Control+z")
    grid.counts("2 rows")
    grid.keys("Control+y")
    grid.counts("501 rows")
    grid.found("is 251 times less than what its neighbours cost in the middle")

    grid.do("addDefault")
    grid.counts("502 rows")
    grid.page.keyboard.type("0")
    grid.keys("Enter")
    grid.found("Row 502 (everything (*)) costs nothing, whatever is used.").locator("button").click()
    grid.page.keyboard.type("0.0005")
    grid.keys("Enter")
    grid.save()
    rows = stored(charge)
    assert len(rows) == 502
    assert rows[0] == DraftRow({"model": "model-a", "token_type": "input"}, per_unit(D("0.00001")))
    assert rows[500] == DraftRow({"model": "model-499", "token_type": "input"}, per_unit(D("0.0005")))
    assert rows[501] == DraftRow({}, per_unit(D("0.0005")))

    operator.press("Chatbot v1")
    operator.press("Publish…")
    operator.sees("Is this meant?", "Charge “Tokens”: The price of row 2 (model = model-000, token_type = input) is")
    operator.press("Publish Chatbot v1")
    operator.sees("was published and never changes")


def test_a_refusal_stands_in_the_very_cell_and_nothing_is_saved(grid: Grid, charge: Charge) -> None:
    before = stored(charge)
    grid.type(2, TYPE, "ouput")
    grid.type(3, PRICE, "0.0000000000000001")
    grid.choose(1, PRICE)
    grid.page.keyboard.type("9")
    grid.keys("Enter")
    grid.do("save")
    grid.said("Not saved: Row 2: The meter “llm_tokens” never gives token_type “ouput”: did you mean “output”")
    expect(grid.cell(2, TYPE)).to_have_class(containing("tb-mark-error"))
    expect(grid.cell(2, TYPE)).to_have_attribute("title", containing("did you mean “output”"))
    expect(grid.cell(3, PRICE)).to_have_class(containing("tb-mark-error"))
    for row, column in ((2, NAME), (2, PRICE), (3, TYPE), (1, PRICE)):
        expect(grid.cell(row, column)).not_to_have_class(containing("tb-mark-error"))
    assert stored(charge) == before
    # The keyboard is at the cell: what is typed mends it.
    grid.page.keyboard.type("output")
    grid.keys("Enter")
    grid.type(3, PRICE, "0.000000000000001")
    grid.save()
    assert shown(stored(charge)) == [
        "9",
        "0.00002",
        "0.000000000000001",
        "0.00001",
    ]


def test_equal_rows_are_told_before_they_are_saved(grid: Grid) -> None:
    grid.choose(1, NAME)
    grid.do("duplicate")
    grid.counts("5 rows")
    grid.found("Rows 1 and 2 are both for model = model-a, token_type = input: remove one of them.")
    expect(grid.cell(2, NAME)).to_have_class(containing("tb-mark-error"))
    grid.choose(2, NAME)
    grid.keys("Control+-")
    grid.counts("4 rows")
    expect(grid.page.locator(".tb-mark-error")).to_have_count(0)


def test_keys_move_edit_fill_and_empty(grid: Grid, charge: Charge) -> None:
    grid.choose(1, NAME)
    grid.keys("Tab", "Tab", "Tab", "F2")
    grid.page.keyboard.type("5")  # at the end of what is chosen: it replaces it
    grid.keys("Enter", "Shift+ArrowUp", "Control+d")
    assert grid.column(PRICE) == ["5", "5", "0.000005", "0.00001"]
    grid.choose(4, TYPE)
    grid.keys("Delete")
    grid.choose(4, PRICE)
    grid.keys("Delete", "Alt+ArrowUp", "Alt+ArrowUp", "Alt+ArrowUp")
    assert grid.cells()[0] == ["1", "model-b", "*", "Per unit", ""]
    grid.keys("Control+s")
    grid.said("Not saved: Row 1: The unit price is missing")
    grid.page.keyboard.type("7")
    grid.keys("Escape", "Control+z", "Control+z", "Control+z", "Control+z")
    assert grid.cells()[3][1:3] == ["model-b", "*"]
    assert grid.column(PRICE) == ["5", "5", "0.000005", "0.00001"]


def test_prices_are_shown_for_many_units_and_kept_exactly(grid: Grid, charge: Charge) -> None:
    grid.page.locator("[data-scale='6']").click()
    assert grid.column(PRICE) == ["10", "20", "5", "10"]
    grid.type(1, PRICE, "123456.123456789")
    grid.type(2, PRICE, "0.000000001")
    grid.save()
    assert shown(stored(charge))[:2] == [
        "0.123456123456789",
        "0.000000000000001",
    ]
    # What is copied for a million is read for a million, wherever it is pasted.
    grid.choose(1, PRICE)
    assert grid.copied() == "123456.123456789"
    grid.page.locator("[data-scale='0']").click()
    grid.choose(3, PRICE)
    grid.keys("Control+v")
    grid.said("1 row is pasted")
    assert grid.column(PRICE) == ["0.123456123456789", "0.000000000000001", "0.123456123456789", "0.00001"]


def test_a_comma_is_asked_about(grid: Grid) -> None:
    grid.choose(1, PRICE)
    grid.paste("0,5\n1,25\n")
    grid.page.get_by_role("button", name="A decimal comma").click()
    grid.said("2 rows are pasted")
    assert grid.column(PRICE)[:2] == ["0.5", "1.25"]
    grid.type(3, PRICE, "0,5")
    grid.said("“0,5” has a comma: write a point for decimals, and nothing between thousands.")
    grid.do("save")
    grid.said("Not saved")
    expect(grid.cell(3, PRICE)).to_have_class(containing("tb-mark-error"))


def test_what_was_refused_names_its_row_and_is_over_when_that_is_mended(grid: Grid, charge: Charge) -> None:
    said = grid.page.locator("[data-part=said]")
    grid.type(2, PRICE, "abc")
    grid.said("Row 2: “abc” is no price.")
    grid.do("save")
    grid.said("Not saved: Row 2: “abc” is no price.")
    grid.type(1, PRICE, "5")
    grid.said("Not saved: Row 2: “abc” is no price.")
    grid.type(2, PRICE, "7")
    expect(said).to_have_text("")
    grid.save()
    assert shown(stored(charge))[:2] == ["5", "7"]


def test_who_may_only_look_sees_and_copies_but_changes_nothing(browser: Browser, live_server: Any, db: None) -> None:
    charge = making.usage(making.draft(), making.tokens())
    user = User.objects.create_user("vera", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_charge", "view_planversion"]))
    operator = tab(browser, live_server.url)
    operator.take_over(session_of(user))
    grid = Grid(operator).open(charge)
    grid.choose(1, PRICE)
    grid.page.keyboard.type("5")
    grid.keys("Enter", "Delete", "Control+d", "Insert")
    assert grid.column(PRICE) == ["0.00001", "0.00002", "0.000005", "0.00001"]
    assert grid.page.locator("[data-do=save], [data-do=add], [data-do=upload]").count() == 0
    grid.choose(1, PRICE)
    assert grid.copied() == "0.00001"
    assert operator.faults == []
    operator.page.close()


def test_a_published_price_is_looked_at(operator: Operator, charge: Charge) -> None:
    publish(charge.version)
    grid = Grid(operator).open(charge)
    assert grid.column(PRICE) == ["0.00001", "0.00002", "0.000005", "0.00001"]
    assert grid.page.locator("[data-do=save]").count() == 0
    operator.sees("so this charge never changes")


def test_without_javascript_there_is_a_plain_table(browser: Browser, live_server: Any, db: None) -> None:
    charge = making.usage(making.draft(), making.tokens())
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    user = User.objects.create_superuser("nora")
    context.add_cookies([{"name": "sessionid", "value": session_of(user), "url": live_server.url}])
    page.goto(f"{live_server.url}/admin/catalog/charge/{charge.pk}/change/")
    assert page.locator("[name^=cells-]").count() == 0
    page.get_by_role("link", name="in a plain table").click()
    page.locator("[name=cells-0-model]").select_option("graduated")
    page.locator("[name=cells-0-price]").fill("1000: 0.02; : 0.01 + 5")
    page.locator("[name=_save]").click()
    assert "is saved" in page.content()
    context.close()
    assert stored(charge)[0].price == Price(
        Model.GRADUATED, tiers=(Tier(D(1000), D("0.02")), Tier(None, D("0.01"), D(5)))
    )
