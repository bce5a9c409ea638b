"""Rows as the cells of a spreadsheet. Pure; `sheet_reading` reads them.

Columns: one for each dimension, by its name; then “price model” and “price per unit”, names that no dimension can have.
A cell that is empty, or *, matches anything. A price is its one line of text (`pricing.compact`).
"""

from collections.abc import Iterable, Iterator, Sequence

from billing_site.foundation.spreadsheets import harmless
from catalog.charges.row_checks import DraftRow
from catalog.pricing.compact import to_text

ANY = "*"
MODEL, PRICE = "price model", "price per unit"


def write(names: Sequence[str], rows: Iterable[DraftRow]) -> Iterator[list[str]]:
    """A head, and a line for each row, exact. Texts that a spreadsheet would run as formulas are made harmless."""
    yield [*names, MODEL, PRICE]
    for row in rows:
        cells = [*(row.match.get(name, ANY) for name in names), row.price.model.value, to_text(row.price)]
        yield [guarded(cell) for cell in cells]


def guarded(text: str) -> str:
    """Harmless in a spreadsheet, and exact to the last blank, so that `unguarded` gives it back as it was."""
    return f"'{text}" if _needs_guard(text) else text


def unguarded(text: str) -> str:
    return text[1:] if is_guarded(text) else text


def is_guarded(text: str) -> bool:
    return text.startswith("'") and _needs_guard(text)


def _needs_guard(text: str) -> bool:
    """With or without a guard: a formula, or blanks at its ends, which would be taken for a slip of the hand."""
    bare = text.lstrip("'")
    return harmless(bare) != bare or bare != bare.strip()
