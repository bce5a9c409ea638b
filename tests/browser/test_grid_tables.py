"""Spreadsheets: what is pasted, files in and out, and that nothing changes on the way."""

from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from catalog.charges.row_checks import DraftRow
from catalog.models import Cell, Charge
from catalog.pricing.compact import to_text
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from catalog.versions.publishing import set_rows
from tests.browser.grid import HOSTILE, NAME, PRICE, Grid, shown, stored
from tests.browser.visiting import Operator

pytestmark = pytest.mark.browser

D = Decimal


def test_what_was_pasted_with_blanks_around_it_is_told(grid: Grid) -> None:
    grid.choose(1, NAME)
    grid.paste("TRUE \nmodel-b\n")
    grid.said("2 rows are pasted. A value had blanks around it, which are gone.")
    assert grid.column(NAME)[:2] == ["TRUE", "model-b"]


def test_three_columns_without_a_head_are_pasted(grid: Grid, charge: Charge) -> None:
    """As people have them: a name, a type and a price, with a sign or without one."""
    grid.page.locator("[data-scale='6']").click()
    grid.choose(1, NAME)
    grid.paste("gpt-4o\tinput\t3.6\ngpt-4o\toutput\t$14.40\n")
    grid.said("2 rows are pasted. Prices are taken per million. The last column holds numbers, which were taken for")
    grid.said("to say what columns are, add a header row: model, token_type, price.")
    assert [line[1:] for line in grid.cells()[:2]] == [
        ["gpt-4o", "input", "Per unit", "3.6"],
        ["gpt-4o", "output", "Per unit", "14.4"],
    ]
    grid.choose(3, NAME)
    grid.paste("x\tinput\t1\ny\tinput\t€2\n")
    grid.said("1 price could not be read. Row 4: “€2” has a sign of another currency, and prices here are in USD")
    grid.type(4, PRICE, "2")
    expect(grid.page.locator("[data-part=said]")).to_have_text("")
    grid.save()
    assert shown(stored(charge))[:4] == ["0.0000036", "0.0000144", "0.000001", "0.000002"]


def test_a_file_in_another_encoding_is_refused(grid: Grid, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes("model,token_type,price\nMünchen,input,1\n".encode("latin-1"))
    before = grid.cells()
    with grid.page.expect_file_chooser() as chooser:
        grid.do("upload")
    chooser.value.set_files(file)
    grid.said("Line 2, cell 1, “M\ufffdnchen”, has characters that could not be read: save the file as “CSV UTF-8”")
    assert grid.cells() == before


MATRIX = [
    DraftRow({"model": HOSTILE["formula"], "token_type": "input"}, per_unit(D("0.000000000000001"))),
    DraftRow({"model": "tab\there"}, Price(Model.PACKAGE, D(2), D(1000), D(500))),
    DraftRow(
        {"model": HOSTILE["quotes"]},
        Price(
            Model.GRADUATED,
            tiers=(Tier(D(1000), D("0.02")), Tier(D(2000), D(3), D(0), D(100)), Tier(None, D("0.01"), D(5))),
        ),
    ),
    DraftRow(
        {"model": HOSTILE["hebrew"]}, Price(Model.VOLUME, tiers=(Tier(None, D("0.5"), D(2)),), flat_at_zero=False)
    ),
    DraftRow(
        {"model": HOSTILE["chinese"]}, Price(Model.STAIRSTEP, tiers=(Tier(D(10), D(0), D(1)), Tier(None, D(0), D(9))))
    ),
    DraftRow(
        {"model": "'apostrophe"}, Price(Model.PERCENTAGE, percent=D("2.9"), fixed=D("0.3"), free=D(10), free_events=3)
    ),
    DraftRow({"token_type": "output"}, Price(Model.FLAT, D("19.99"))),
    DraftRow({}, Price(Model.COST_PLUS, percent=D(-5))),
]


def test_grid_to_csv_to_clipboard_and_back_changes_nothing(operator: Operator, charge: Charge, tmp_path: Path) -> None:
    set_rows(charge, None, MATRIX)
    before = list(Cell.objects.filter(charge=charge).values())
    grid = Grid(operator).open(charge)
    with grid.page.expect_download() as download:
        grid.do("download")
    file = tmp_path / "rows.csv"
    download.value.save_as(file)
    text = file.read_bytes().decode("utf-8-sig")
    assert file.read_bytes() == b"\xef\xbb\xbf" + text.encode()
    assert text.startswith(
        "model,token_type,price model,price per unit\r\n'=HYPERLINK(1),input,per_unit,0.000000000000001\r\n"
    )

    # By the clipboard, as a spreadsheet would have it: all cells of the file, with tabs.
    grid.choose(1, NAME)
    grid.paste(text)
    grid.said("8 rows are pasted.")
    assert grid.column(PRICE) == [to_text(row.price) for row in MATRIX]
    grid.save()
    assert list(Cell.objects.filter(charge=charge).values()) == before

    # By the file, in place of all rows.
    with grid.page.expect_file_chooser() as chooser:
        grid.do("upload")
    chooser.value.set_files(file)
    grid.page.get_by_role("button", name="Replace the 8 rows here").click()
    grid.said("8 rows are read.")
    grid.save()
    assert list(Cell.objects.filter(charge=charge).values()) == before

    # By copying everything and pasting it, in whatever unit is shown.
    grid.page.locator("[data-scale='3']").click()
    grid.choose(1, NAME)
    grid.keys("Control+a", "Control+c")
    grid.page.locator("[data-scale='0']").click()
    grid.choose(1, NAME)
    grid.keys("Control+v")
    grid.said("8 rows are pasted.")
    grid.save()
    assert list(Cell.objects.filter(charge=charge).values()) == before


def read_file(grid: Grid, file: Path) -> None:
    with grid.page.expect_file_chooser() as chooser:
        grid.do("upload")
    chooser.value.set_files(file)


@pytest.mark.parametrize(
    ("title", "scale", "said", "stored_as"),
    [
        ("price", "6", "per million", "0.0000036"),
        ("price", "3", "per 1,000", "0.0036"),
        ("price", "0", "per unit", "3.6"),
        ("price per unit", "6", "per unit", "3.6"),
        ("price per 1000", "6", "per 1,000", "0.0036"),
    ],
)
def test_a_file_and_the_clipboard_are_read_for_the_same_units(
    grid: Grid, charge: Charge, tmp_path: Path, title: str, scale: str, said: str, stored_as: str
) -> None:
    """A head without a unit means the one that is shown."""
    grid.page.locator(f"[data-scale='{scale}']").click()
    file = tmp_path / "rows.csv"
    file.write_text(f"model,token_type,{title}\ngpt-4o,input,3.6\n")
    read_file(grid, file)
    expect(grid.page.locator("dialog")).to_contain_text(f"rows.csv has 1 row, with prices {said}.")
    grid.page.get_by_role("button", name="Replace the 4 rows here").click()
    grid.said(f"1 row is read. Prices are taken {said}.")
    grid.choose(1, NAME)
    grid.paste(f"model\ttoken_type\t{title}\nother\tinput\t9\ngpt-4o\tinput\t3.6\n")
    grid.said(f"2 rows are pasted. Prices are taken {said}.")
    grid.keys("Control+z")
    grid.choose(1, NAME)
    grid.paste(f"model\ttoken_type\t{title}\ngpt-4o\tinput\t3.6\ncopy\tinput\t3.6\n")
    grid.counts("2 rows")
    grid.save()
    assert shown(stored(charge)) == [stored_as, stored_as]


@pytest.mark.parametrize("scale", ["3", "6"])
def test_what_goes_out_as_a_file_comes_back_whatever_unit_is_shown(
    operator: Operator, charge: Charge, tmp_path: Path, scale: str
) -> None:
    """The file's own head names its unit."""
    set_rows(charge, None, MATRIX)
    before = list(Cell.objects.filter(charge=charge).values())
    grid = Grid(operator).open(charge)
    grid.page.locator(f"[data-scale='{scale}']").click()
    with grid.page.expect_download() as download:
        grid.do("download")
    file = tmp_path / "rows.csv"
    download.value.save_as(file)
    assert file.read_text("utf-8-sig").startswith("model,token_type,price model,price per unit\n")
    read_file(grid, file)
    grid.page.get_by_role("button", name="Replace the 8 rows here").click()
    grid.said("8 rows are read. Prices are taken per unit.")
    grid.save()
    assert list(Cell.objects.filter(charge=charge).values()) == before
