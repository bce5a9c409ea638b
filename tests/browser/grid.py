"""The grid of a charge, as an operator uses it: by keys, clipboard and buttons."""

import re
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, Route, expect

from catalog.charges.cell_prices import price_of
from catalog.charges.row_checks import DraftRow
from catalog.models import Cell, Charge
from catalog.pricing.compact import to_text
from tests.browser.visiting import Operator

NAME, TYPE, MODEL, PRICE = 1, 2, 3, 4
HOSTILE = {
    "markup": "<script>alert(1)</script>",
    "hebrew": "חברת הבדיקות",
    "chinese": "株式会社テスト",
    "formula": "=HYPERLINK(1)",
    "long": "W" * 200,
    "quotes": """a "b" 'c' & <b>""",
}
READY = "#charge-grid[data-ready]"


@dataclass
class Grid:
    operator: Operator

    @property
    def page(self) -> Page:
        return self.operator.page

    def open(self, charge: Charge, more: str = "") -> "Grid":
        self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.operator.go(f"/admin/catalog/charge/{charge.pk}/change/{more}")
        return self.begun()

    def begun(self) -> "Grid":
        expect(self.page.locator(READY)).to_be_visible(timeout=20_000)
        return self

    def cell(self, row: int, column: int) -> Locator:
        """By numbers as they stand there: rows from 1, columns from 1. It has to be in sight."""
        number = self.page.locator(".tb-grid-number", has_text=re.compile(rf"^{row}$"))
        line = self.page.locator(".tabulator-row", has=number)
        return line.locator(".tabulator-cell").nth(column)

    def choose(self, row: int, column: int) -> None:
        self.cell(row, column).click()

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, row: int, column: int, text: str) -> None:
        """Into a cell, and on to the next row."""
        self.choose(row, column)
        self.page.keyboard.type(text)
        self.keys("Enter")

    def paste(self, text: str) -> None:
        """What a spreadsheet has put on the clipboard, at the chosen cell."""
        self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        self.keys("Control+v")

    def copied(self) -> str:
        """The chosen cells, as a spreadsheet would take them."""
        self.keys("Control+c")
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    def do(self, name: str) -> None:
        self.page.locator(f"[data-do={name}]").click()

    def said(self, text: str, seconds: int = 10) -> None:
        expect(self.page.locator("[data-part=said]")).to_contain_text(text, timeout=1_000 * seconds)

    def counts(self, rows: str) -> None:
        expect(self.page.locator("[data-part=count]")).to_have_text(rows)

    def save(self) -> None:
        self.do("save")
        self.said("Saved.")
        expect(self.page.locator("[data-part=state]")).to_have_text("All saved")

    def found(self, text: str) -> Locator:
        """What the card of findings says."""
        told = self.page.locator("[data-part=findings] li", has_text=text).first
        expect(told).to_be_visible(timeout=15_000)
        return told

    def column(self, column: int) -> list[str]:
        """What stands in the cells of a column that are in sight."""
        return [each[column] for each in self.cells()]

    def cells(self) -> list[list[str]]:
        rows: list[list[str]] = self.page.locator(".tabulator-row").evaluate_all(
            "rows => rows.map(row => [...row.querySelectorAll('.tabulator-cell')].map(cell => cell.textContent))"
        )
        return rows


def shown(rows: list[DraftRow]) -> list[str]:
    """Prices of one unit."""
    return [to_text(row.price) for row in rows]


def stored(charge: Charge, currency: str = "USD") -> list[DraftRow]:
    cells = Cell.objects.filter(charge=charge)
    cells = cells.filter(price_list=None) if currency == "USD" else cells.filter(price_list__currency=currency)
    return [DraftRow(cell.match, price_of(cell)) for cell in cells]


def pasted(rows: int) -> str:
    """What Excel copies: tabs, CRLF, a head."""
    lines = [f"model-{number:03d}\tinput\t0.{number + 1:06d}" for number in range(rows)]
    return "\r\n".join(["model\ttoken_type\tprice", *lines]) + "\r\n"


def containing(text: str) -> Any:
    return re.compile(re.escape(text))


def held_back(grid: Grid) -> list[Route]:
    """Requests to read prices: each waits until it is continued."""
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    grid.page.route("**/grid/prices/", hold)
    return waiting


def arrived(grid: Grid, waiting: list[Route], count: int) -> None:
    for _ in range(100):
        if len(waiting) >= count:
            return
        grid.page.wait_for_timeout(50)
    raise AssertionError(f"{len(waiting)} of {count} requests came")
