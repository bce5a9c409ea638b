"""Rows that were copied out of a spreadsheet, or stand in a file: read, and what cannot be read is told. Pure."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from billing_site.foundation.errors import Fault
from billing_site.foundation.shape_kinds import storable
from catalog.grid.sheet_commas import commas_in, with_points
from catalog.grid.sheet_signs import is_amount, without_signs
from catalog.grid.sheets import ANY, MODEL, PRICE, is_guarded, unguarded
from catalog.pricing.compact_reading import from_text
from catalog.pricing.documents import Unreadable
from catalog.pricing.price import Model, Price

# Columns of prices by what people call them: for how many powers of ten of units; None: as the reader is asked.
_PRICES: Mapping[str, int | None] = {
    **dict.fromkeys((PRICE, "unit price", "unit_price", "price of one unit"), 0),
    "price per 1000": 3,
    "price per 1,000": 3,
    "price per thousand": 3,
    "price per 1000000": 6,
    "price per 1,000,000": 6,
    "price per million": 6,
    "price": None,
}
_MODELS = {MODEL, "price_model", "pricing model"}


@dataclass(frozen=True)
class ReadRow:
    """One line: what it says and nothing else. `values`: those of the dimensions that it has a column for.

    `text`: a price that could not be read, as it stands there.
    """

    values: Mapping[str, str]
    model: Model | None = None
    price: Price | None = None
    text: str = ""


@dataclass(frozen=True)
class ReadSheet:
    """`commas`: prices that have a comma, when nobody has said what it means; then, or with `faults`, nothing is read.

    `marks` are faults of single prices, whose text is kept. Fields are “rows.2.price” or the like, counted from the
    first line below the head, which `head` says is there. `columns`: what the cells of a line are. `scale`: prices were
    taken for 10^scale units. `trimmed`: how many values had blanks around them, which are gone. `told`: what was taken
    for what, and how to say otherwise.
    """

    rows: tuple[ReadRow, ...] = ()
    head: bool = False
    columns: tuple[str, ...] = ()
    commas: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    marks: tuple[Fault, ...] = ()
    scale: int = 0
    trimmed: int = 0
    told: str = ""


@dataclass(frozen=True)
class Reading:
    """How to read: `start` is the column of the first cell when there is no head; `models`: of the rows beneath.

    `comma`: “decimal” or “thousands”, None: refuse to guess. `scale`: prices are for 10^scale units. `currency`: of the
    prices; empty: credits.
    """

    names: tuple[str, ...]
    start: int = 0
    models: Sequence[Model] = ()
    comma: str | None = None
    scale: int = 0
    currency: str = ""
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", (*self.names, MODEL, PRICE))


def read(text: str, how: Reading) -> ReadSheet:
    """The rows that a text holds: tabs, commas or semicolons between cells, quoted where it has to be."""
    try:
        lines = cells_of(text, how)
    except csv.Error as error:
        return ReadSheet(faults=(Fault("sheet_unreadable", f"The text is no table: {error}.", "rows"),))
    head = bool(lines) and _is_head(lines[0], how)
    columns, scale, faults = _columns(lines[0], how) if head else (_unnamed(lines, how), how.scale, [])
    body = [line for line in lines[1:] if any(line)] if head else lines
    faults += [*_too_wide(body, len(columns)), *_garbled(lines)]
    if faults:
        return ReadSheet(head=head, columns=columns, faults=tuple(faults))
    prices = (cell for line in body for name, cell in zip(columns, line, strict=False) if name == PRICE)
    if how.comma is None and (commas := commas_in(prices)):
        return ReadSheet(head=head, columns=columns, commas=commas)
    blanks = sum(
        cell != _value(cell)
        for line in body
        for name, cell in zip(columns, line, strict=False)
        if name not in (MODEL, PRICE, "")
    )
    rows: list[ReadRow] = []
    marks: list[Fault] = []
    for index, line in enumerate(body):
        beneath = how.models[index] if index < len(how.models) else Model.PER_UNIT
        try:
            row, wrong = _row(line, columns, how, beneath, scale, f"rows.{index}")
        except Unreadable as error:
            faults += error.faults
            continue
        rows.append(row)
        marks += wrong
    told = "" if head or columns == _beneath(how, columns) else _taken_for_prices(columns)
    return ReadSheet(() if faults else tuple(rows), head, columns, (), tuple(faults), tuple(marks), scale, blanks, told)


class _Exact(str):
    """A cell that was guarded: its blanks are its own."""

    __slots__ = ()


def _value(cell: str) -> str:
    return cell if isinstance(cell, _Exact) else cell.strip()


def cells_of(text: str, how: Reading) -> list[list[str]]:
    """Lines of cells. A head tells what stands between them; without one it is tabs, which a spreadsheet copies."""
    text = text.removeprefix("\ufeff")
    found = (delimiter for delimiter in "\t,;" if _is_head(_first(text, delimiter), how))
    return _split(text, next(found, "\t"))


def _first(text: str, delimiter: str) -> list[str]:
    """The first line, if there can be one with this between cells."""
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def _split(text: str, delimiter: str) -> list[list[str]]:
    """An empty line is an empty cell of a column, but for those at the end."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines = [[_Exact(unguarded(cell)) if is_guarded(cell) else cell for cell in line] for line in reader]
    while lines and not any(lines[-1]):
        lines.pop()
    return lines


def _is_head(line: Sequence[str], how: Reading) -> bool:
    """Whether a line names columns: one of the price or the model, which no row says, or dimensions alone."""
    titles = [cell.strip() for cell in line if cell.strip()]
    if any(_own(title, how) for title in titles):
        return True
    return len(titles) > 1 and all(title in how.names for title in titles)


def _own(title: str, how: Reading) -> str | None:
    """Which of its own columns a title means."""
    if title in how.names:
        return None
    title = title.lower()
    return PRICE if title in _PRICES else MODEL if title in _MODELS else None


def _columns(line: Sequence[str], how: Reading) -> tuple[tuple[str, ...], int, list[Fault]]:
    """What each cell of a line is, by the head; for how many units its prices are; what cannot be."""
    found: list[str] = []
    faults: list[Fault] = []
    scale = how.scale
    for title in (cell.strip() for cell in line):
        own = _own(title, how)
        name = own or title
        if title and name not in how.columns:
            close = get_close_matches(title, how.columns, n=1)
            known = ", ".join(f"“{each}”" for each in how.columns)
            hint = f"did you mean “{close[0]}”" if close else f"there are {known}"
            faults.append(Fault("column_unknown", f"There is no column “{title[:100]}”: {hint}.", "rows"))
        elif title and name in found:
            faults.append(Fault("column_twice", f"The column “{name}” is there twice: keep one.", "rows"))
        if own == PRICE:
            said = _PRICES[title.lower()]
            scale = how.scale if said is None else said
        found.append(name)
    return tuple(found), scale, faults


def _unnamed(lines: Sequence[Sequence[str]], how: Reading) -> tuple[str, ...]:
    """What cells without a head are: those that they are put over. Numbers, where models would be last, are prices."""
    columns = _beneath(how, max(lines, key=len, default=how.columns))
    last = len(columns) - 1
    if last < 1 or columns[last] != MODEL:
        return columns
    cells = [line[last].strip() for line in lines if len(line) > last and line[last].strip()]
    return (*columns[:last], PRICE) if cells and all(map(is_amount, cells)) else columns


def _beneath(how: Reading, line: Sequence[str]) -> tuple[str, ...]:
    """The columns that a line is put over: those beside them stay as they are."""
    return how.columns[how.start : how.start + len(line)]


def _taken_for_prices(columns: Sequence[str]) -> str:
    return f"The last column holds numbers, which were taken for prices: {_to_say_so(columns[:-1])}."


def _to_say_so(names: Sequence[str]) -> str:
    return f"to say what columns are, add a header row: {', '.join([*names, 'price'])}"


def _too_wide(lines: Sequence[Sequence[str]], columns: int) -> list[Fault]:
    for index, line in enumerate(lines):
        if any(line[columns:]):
            message = (
                f"Line {index + 1} has {len(line)} cells, and there are {columns} columns from where they were pasted:"
                " choose a cell further to the left, or copy fewer columns."
            )
            return [Fault("sheet_too_wide", message, f"rows.{index}")]
    return []


def _garbled(lines: Sequence[Sequence[str]]) -> list[Fault]:
    """The first cell with a character that was lost when bytes were taken for UTF-8, or that cannot be stored."""
    for index, line in enumerate(lines):
        for place, cell in enumerate(line):
            if "\ufffd" in cell or not storable(cell):
                message = (
                    f"Line {index + 1}, cell {place + 1}, “{cell[:60]}”, has characters that could not be read:"
                    " save the file as “CSV UTF-8” and read it again."
                )
                return [Fault("sheet_garbled", message, "rows")]
    return []


def _row(
    line: Sequence[str], columns: Sequence[str], how: Reading, beneath: Model, scale: int, place: str
) -> tuple[ReadRow, list[Fault]]:
    # A spreadsheet leaves empty cells at the end of a line away.
    given = dict(zip(columns, [*line, *[""] * (len(columns) - len(line))], strict=False))
    values = {name: _value(cell) or ANY for name, cell in given.items() if name not in (MODEL, PRICE, "")}
    model = _model(given[MODEL], how, place) if given.get(MODEL, "").strip() else None
    text = given.get(PRICE, "").strip()
    if not text:
        return ReadRow(values, model), []
    try:
        bare = without_signs(text, how.currency, f"{place}.price")
        price = from_text(model or beneath, with_points(bare, how.comma, f"{place}.price"), f"{place}.price", scale)
    except Unreadable as error:
        return ReadRow(values, model, text=text), error.faults
    return ReadRow(values, model, price), []


def _model(text: str, how: Reading, place: str) -> Model:
    """By its name, however it is written, or by the first words of what it is called. Raises Unreadable."""
    said = text.strip().lower()
    for model in Model:
        short = re.split(r"[:,]", model.label, maxsplit=1)[0].lower()
        if said in (model.value, model.value.replace("_", " "), model.label.lower(), short):
            return model
    known = ", ".join(each.value for each in Model)
    mend = f"; if it is a price, {_to_say_so(how.names)}" if is_amount(text) else ""
    message = f"“{text[:60]}” is no price model: write one of {known}{mend}."
    raise Unreadable([Fault("model_unknown", message, f"{place}.model")])
