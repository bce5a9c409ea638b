"""Price models of rows, and the panel in which tiers are written."""

from decimal import Decimal

import pytest
from playwright.sync_api import expect

from catalog.charges.row_checks import DraftRow
from catalog.models import Charge
from catalog.pricing.price import Model, Price
from catalog.pricing.tiers import Tier
from catalog.versions.publishing import set_rows
from tests.browser.grid import MODEL, PRICE, Grid, stored
from tests.browser.visiting import Operator
from tests.catalog import making

pytestmark = pytest.mark.browser

D = Decimal


def models_of(charge: Charge) -> list[tuple[Model, D | None]]:
    return [(row.price.model, row.price.unit_price) for row in stored(charge)]


def test_the_model_alone_is_filled_down(grid: Grid, charge: Charge) -> None:
    grid.choose(1, MODEL)
    grid.page.locator("[data-part=panel]").get_by_label("Price model").select_option("package")
    grid.choose(1, MODEL)
    grid.keys("Shift+ArrowDown", "Shift+ArrowDown", "Control+d")
    assert grid.column(PRICE) == ["0.00001 per 1", "0.00002 per 1", "0.000005 per 1", "0.00001"]
    grid.save()
    package, own = Model.PACKAGE, Model.PER_UNIT
    assert models_of(charge) == [
        (package, D("0.00001")),
        (package, D("0.00002")),
        (package, D("0.000005")),
        (own, D("0.00001")),
    ]
    # A price takes its model along.
    grid.choose(3, PRICE)
    grid.keys("Shift+ArrowDown", "Control+d")
    assert grid.column(PRICE)[2:] == ["0.000005 per 1", "0.000005 per 1"]


def test_the_model_alone_is_pasted(grid: Grid, charge: Charge) -> None:
    grid.choose(1, MODEL)
    grid.paste("package\nflat\nper_unit\n")
    grid.said("3 rows are pasted.")
    assert grid.column(PRICE) == ["0.00001 per 1", "0.00002", "0.000005", "0.00001"]
    grid.save()
    assert [model for model, _ in models_of(charge)] == [Model.PACKAGE, Model.FLAT, Model.PER_UNIT, Model.PER_UNIT]


def test_a_text_is_read_anew_by_another_model(grid: Grid, charge: Charge) -> None:
    grid.page.locator("[data-scale='6']").click()
    grid.type(1, PRICE, "1000: 20; : 10")
    grid.said("“1000: 20; : 10” is no price.")
    grid.page.locator("[data-scale='0']").click()
    grid.choose(1, PRICE)
    grid.page.locator("[data-part=panel]").get_by_label("Price model").select_option("graduated")
    expect(grid.cell(1, PRICE)).to_have_text("1000: 0.00002; : 0.00001")
    expect(grid.page.locator(".tb-mark-error")).to_have_count(0)


def test_a_price_by_tiers_is_written_in_the_panel_and_priced_by_the_server(grid: Grid, charge: Charge) -> None:
    grid.choose(1, PRICE)
    panel = grid.page.locator("[data-part=panel]")
    panel.get_by_label("Price model").select_option("graduated")
    panel.get_by_text("Add a tier").click()
    grid.page.keyboard.type("1000")
    grid.keys("Tab")
    grid.page.keyboard.type("0.02")
    first = panel.locator("tbody tr").first
    last = panel.locator(".tb-grid-tiers tbody tr").last
    last.get_by_label("unit price").fill("0.01")
    last.get_by_label("flat price").fill("5")
    last.get_by_label("flat price").blur()
    expect(grid.cell(1, PRICE)).to_have_text("1000: 0.02; : 0.01 + 5")
    # 1,000 × 0.02 = 20; one more costs 0.01 and the fee of the second tier.
    expect(panel).to_contain_text("$20.00")
    expect(panel).to_contain_text("$25.01")
    first.get_by_label("up to").fill("-3")
    first.get_by_label("up to").blur()
    expect(panel).to_contain_text("Tier 1 ends at -3: write an upper bound above 0.")
    expect(first.get_by_label("up to")).to_have_attribute("aria-invalid", "true")
    first.get_by_label("up to").fill("1000")
    first.get_by_label("up to").blur()
    grid.save()
    assert stored(charge)[0].price == Price(
        Model.GRADUATED, tiers=(Tier(D(1000), D("0.02")), Tier(None, D("0.01"), D(5)))
    )


def test_a_tier_without_a_price_is_asked_for_it(grid: Grid, charge: Charge) -> None:
    before = stored(charge)
    grid.choose(1, PRICE)
    panel = grid.page.locator("[data-part=panel]")
    panel.get_by_label("Price model").select_option("graduated")
    panel.get_by_text("Add a tier").click()
    grid.page.keyboard.type("1000000")
    grid.keys("Tab")
    last = panel.locator(".tb-grid-tiers tbody tr").last.get_by_label("unit price")
    expect(last).to_have_value("")
    expect(grid.cell(1, PRICE)).to_have_text("1000000: 0.00001; :")
    expect(panel).to_contain_text("The price of tier 2 is missing: write 0 if it is free.")
    expect(last).to_have_attribute("aria-invalid", "true")
    grid.do("save")
    grid.said("Not saved: Row 1: The price of tier 2 is missing: write 0 if it is free.")
    assert stored(charge) == before
    last.fill("0")
    last.blur()
    grid.save()
    tiers = (Tier(D(1_000_000), D("0.00001")), Tier(None, D(0)))
    assert stored(charge)[0].price == Price(Model.GRADUATED, tiers=tiers)
    grid.page.locator(".tb-found-hint summary").click()
    grid.found("Tier 2 of row 1 (model = model-a, token_type = input) costs nothing.")


def test_a_new_tier_follows_those_that_are_there(grid: Grid) -> None:
    grid.choose(1, PRICE)
    panel = grid.page.locator("[data-part=panel]")
    panel.get_by_label("Price model").select_option("volume")
    for bound, price in (("10", "5"), ("20", "4")):
        panel.get_by_text("Add a tier").click()
        grid.page.keyboard.type(bound)
        grid.keys("Tab")
        grid.page.keyboard.type(price)
        grid.keys("Tab")
    panel.locator(".tb-grid-tiers tbody tr").last.get_by_label("unit price").fill("3")
    grid.keys("Tab")
    expect(grid.cell(1, PRICE)).to_have_text("10: 5; 20: 4; : 3")


def test_a_fee_without_usage_is_asked_about_where_it_can_be_due(operator: Operator, charge: Charge) -> None:
    """In a matrix it never is; what a price says of it stays as it was."""
    tiers = (Tier(D(10), D(3), D(1)), Tier(None, D(2)))
    price = Price(Model.VOLUME, tiers=tiers, flat_at_zero=False)
    set_rows(charge, None, [DraftRow({}, price)])
    plain_charge = making.usage(charge.version, making.calls(), [({}, D(1))], code="calls")
    set_rows(plain_charge, None, [DraftRow({}, price)])
    for each, offered in ((charge, 0), (plain_charge, 1)):
        grid = Grid(operator).open(each)
        grid.page.locator(".tabulator-cell.tb-grid-price").first.click()
        panel = grid.page.locator("[data-part=panel]")
        expect(panel.get_by_text("Add a tier")).to_be_visible()
        tick = panel.get_by_label("The first tier's fee is due without usage, too")
        expect(tick).to_have_count(offered)
        if offered:
            expect(tick).not_to_be_checked()
        panel.locator(".tb-grid-tiers tbody tr").last.get_by_label("unit price").fill("1")
        grid.keys("Tab")
        grid.save()
        changed = Price(Model.VOLUME, tiers=(tiers[0], Tier(None, D(1))), flat_at_zero=False)
        assert stored(each) == [DraftRow({}, changed)]


def test_no_model_makes_a_price_of_nothing(operator: Operator, charge: Charge) -> None:
    set_rows(charge, None, [DraftRow({"model": "a"}, Price(Model.VOLUME, tiers=(Tier(D(10), D(3)), Tier(None, D(2)))))])
    grid = Grid(operator).open(charge)
    model = grid.page.locator("[data-part=panel]").get_by_label("Price model")
    grid.choose(1, PRICE)
    model.select_option("stairstep")
    expect(grid.cell(1, PRICE)).to_have_text("10: ; :")
    grid.do("add")
    grid.choose(2, PRICE)
    model.select_option("graduated")
    expect(grid.cell(2, PRICE)).to_have_text(":")
    grid.do("save")
    grid.said("Not saved: Row 1: The amount of tier 1 is missing: write 0 if it is free. (3 in all)")
