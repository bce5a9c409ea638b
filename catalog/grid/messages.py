"""What the grid says to the server and hears from it: rows, faults and findings as JSON. Reads what is sent with care.

A row is {"match": {dimension: value}, "price": {…}}, the price as `pricing.documents` has it; one whose price nobody
could read yet is {"match": …, "model": "graduated", "text": "as it was typed", "scale": 6}, for 10^scale units. Tiers
name their prices, be they 0: what somebody left empty is not free.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.shape_kinds import TEXT, YES_OR_NO, choice, list_of, storable, whole_number
from billing_site.foundation.shapes import Field, Shape, Simple
from catalog.charges.priceable import Priceable
from catalog.charges.row_checks import DraftRow, match_faults
from catalog.checks.linting import Linted
from catalog.checks.row_lint import Finding, Severity
from catalog.grid.sheet_commas import with_points
from catalog.grid.sheet_reading import ReadRow, ReadSheet
from catalog.grid.sheets import ANY
from catalog.pricing.compact_reading import from_text
from catalog.pricing.documents import Unreadable, from_json, to_json
from catalog.pricing.price import TIERED, Model, Price
from catalog.versions.matrices import ListRows

ROWS_AT_MOST = 20_000
SCALES = (0, 3, 6)


def _scale(given: Any, place: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given not in SCALES:
        raise Unreadable([Fault("scale_unknown", "Prices are for 10^0, 10^3 or 10^6 units.", place)])
    return given


def _string(given: Any, place: str) -> str:
    if not isinstance(given, str):
        raise Unreadable([Fault("text_invalid", "What was pasted is a text.", place)])
    return given


def _few(given: Any, place: str) -> list[Any]:
    if not isinstance(given, list) or len(given) > ROWS_AT_MOST:
        raise Unreadable([Fault("rows_invalid", f"The rows are a list of {ROWS_AT_MOST:,} at most.", place)])
    return given


_ANYTHING = Simple(lambda given, place: given, {})  # is read where it is used
_ROWS = Field(Simple(_few, {"type": "array"}))
_SCALE, _COMMA = Simple(_scale, {"enum": list(SCALES)}), choice(["decimal", "thousands"])
_HOW = {"scale": Field(_SCALE, default=0), "comma": Field(_COMMA, default=None, nullable=True)}
_PRICE = {
    "price": Field(_ANYTHING, default=None, nullable=True),
    **{name: Field(_ANYTHING, nullable=True, default=None) for name in ("model", "text", *_HOW)},
}
WRITTEN = Shape("A written price", {"model": Field(choice(Model)), "text": Field(TEXT), **_HOW})
ROW = Shape("A row", {"match": Field(_ANYTHING), **_PRICE})
LIST = Shape("A price list", {"currency": Field(TEXT), "stamp": Field(TEXT), "rows": _ROWS})
SAVE = Shape("What is saved", {"lists": Field(list_of(LIST)), "form": Field(TEXT, default="")})
PRICES = Shape("What was typed", {"texts": _ROWS})
CHECK = Shape("What is looked at", {"rows": _ROWS, "currency": Field(TEXT), "so_far": Field(YES_OR_NO, default=False)})
FILE = Shape("What becomes a file", {"rows": _ROWS})
PREVIEW = Shape(
    "A price to be tried",
    {
        **_PRICE,
        "currency": Field(TEXT),
        "match": Field(_ANYTHING, default={}),
        "quantities": Field(list_of(_ANYTHING), default=()),
        "events": Field(_ANYTHING, default=1, nullable=True),
    },
)


def pasted(columns: int) -> Shape:
    """What was pasted, at one of so many columns."""
    fields = {
        "text": Field(Simple(_string, {"type": "string"})),
        "start": Field(whole_number(0, columns - 1), default=0),
        "models": Field(list_of(choice(Model)), default=()),
        "currency": Field(TEXT, default=""),
    }
    return Shape("What was pasted", {**fields, **_HOW})


def rows_to_json(rows: Iterable[DraftRow]) -> list[dict[str, Any]]:
    return [{"match": row.match, "price": to_json(row.price)} for row in rows]


def lists_to_json(lists: Iterable[ListRows]) -> list[dict[str, Any]]:
    return [{"currency": each.currency, "stamp": each.stamp, "rows": rows_to_json(each.rows)} for each in lists]


def lists_from_json(given: Iterable[Mapping[str, Any]], own: str) -> list[ListRows]:
    """The lists of `SAVE`. Raises Refused with the faults of all, named as `matrices.set_matrix` names them."""
    lists: list[ListRows] = []
    faults: list[Fault] = []
    for each in given:
        currency = each["currency"]
        place = "" if currency == own else f"lists.{currency}."
        if any(currency == other.currency for other in lists):
            faults.append(Fault("list_twice", f"The rows in {currency[:10]} are there twice.", f"{place}rows"))
            continue
        try:
            lists.append(ListRows(currency, rows_from_json(each["rows"], f"{place}rows"), each["stamp"]))
        except Refused as refused:
            faults += refused.faults
    if faults:
        raise Refused(*faults)
    return lists


def rows_from_json(given: Sequence[Any], field: str = "rows") -> list[DraftRow]:
    """The rows that were sent. Raises Refused with a fault for each that cannot be read."""
    rows, faults = readable(given, field)
    if faults:
        raise Refused(*faults)
    return rows


def readable(given: Sequence[Any], field: str = "rows") -> tuple[list[DraftRow], list[Fault]]:
    """The rows, and what is wrong with those that cannot be read: they have no price here. Raises Unreadable."""
    rows: list[DraftRow] = []
    faults: list[Fault] = []
    for index, each in enumerate(given):
        place = f"{field}.{index}"
        row = ROW.read(each, place)
        match = _match(row["match"], place)
        try:
            rows.append(DraftRow(match, price_from_json(row, place)))
        except Unreadable as error:
            rows.append(DraftRow(match, Price()))
            faults += error.faults
    return rows, faults


def _match(given: Any, field: str) -> dict[str, str]:
    """The exact values of a row. Raises Unreadable."""
    if not isinstance(given, Mapping):
        raise Unreadable([Fault("row_invalid", "The values of a row are an object.", field)])
    match = {name: value for name, value in given.items() if value != ANY}
    if not all(isinstance(text, str) and storable(text) for item in match.items() for text in item):
        message = "A value is a text, without a zero character or half of a character, which cannot be stored."
        raise Unreadable([Fault("value_invalid", message, f"{field}.match")])
    return match


def row_from_json(given: Mapping[str, Any], price: Price) -> DraftRow:
    """The row that a price is for; for everything, when it does not say. Raises Unreadable."""
    return DraftRow(_match(given["match"], "row"), price)


def price_from_json(given: Mapping[str, Any], field: str) -> Price:
    """The price of a `ROW`, or of `PREVIEW`: it has a “price”, or a “model” and a “text”. Raises Unreadable."""
    if given["text"] is not None:
        said = {name: given[name] for name in WRITTEN.fields if given[name] is not None}
        return written_price(WRITTEN.read(said, field), f"{field}.price")
    if not isinstance(given["price"], Mapping):
        raise Unreadable([Fault("price_missing", "The price is missing: write one.", f"{field}.unit_price")])
    price = from_json(given["price"], field)
    if faults := list(_unpriced_tiers(price, given["price"], field)):
        raise Unreadable(faults)
    return price


def written_price(written: Mapping[str, Any], field: str) -> Price:
    """What a `WRITTEN` says. Raises Unreadable."""
    text = with_points(written["text"], written["comma"], field)
    return from_text(Model(written["model"]), text, field, written["scale"])


def prices_to_json(texts: Iterable[Any]) -> list[dict[str, Any]]:
    """Each text as {"price"}, or as {"wrong"}: why it is none. Raises Unreadable for what is no `WRITTEN`."""
    read = [WRITTEN.read(each, f"texts.{index}") for index, each in enumerate(texts)]
    found: list[dict[str, Any]] = []
    for written in read:
        try:
            found.append({"price": to_json(written_price(written, "price"))})
        except Unreadable as error:
            found.append({"wrong": " ".join(fault.message for fault in error.faults)})
    return found


def _unpriced_tiers(price: Price, given: Mapping[str, Any], field: str) -> Iterator[Fault]:
    """A price that is left empty is not 0 in the grid: it is asked for."""
    if price.model not in TIERED or not price.tiers:
        return
    name, what = ("flat_price", "amount") if price.model == Model.STAIRSTEP else ("unit_price", "price")
    for index, tier in enumerate(given["tiers"]):
        if tier.get(name) is None:
            message = f"The {what} of tier {index + 1} is missing: write 0 if it is free."
            yield Fault("price_missing", message, f"{field}.tiers.{index}.{name}")


def faults_to_json(
    faults: Iterable[Fault], known: Priceable, rows: Mapping[str, Sequence[DraftRow]], own: str
) -> list[dict[str, Any]]:
    """Faults with the place in the grid that each is about: {code, message, field, currency, row, column, names}.

    `column`: “match”, or what of the price; `names`: which dimensions, where it is not all of them.
    """
    return [
        {"code": fault.code, "message": fault.message, "field": fault.field, **_place(fault, known, rows, own)}
        for fault in faults
    ]


def _place(fault: Fault, known: Priceable, rows: Mapping[str, Sequence[DraftRow]], own: str) -> dict[str, Any]:
    parts, currency = fault.field.split("."), own
    if parts[0] == "lists" and len(parts) > 2:
        currency, parts = parts[1], parts[2:]
    if parts[0] != "rows" or len(parts) < 2 or not parts[1].isdecimal():
        return {"currency": currency, "row": None, "column": "", "names": []}
    row, column = int(parts[1]), ".".join(parts[2:])
    names: list[str] = []
    if column == "match" and row < len(rows.get(currency, ())):
        names = [name for name, each in match_faults(known, rows[currency][row].match, "") if each.code == fault.code]
    return {"currency": currency, "row": row, "column": column, "names": list(dict.fromkeys(names))}


def sheet_to_json(sheet: ReadSheet) -> dict[str, Any]:
    """What was read of a spreadsheet's text; the price is null where its cell was empty."""
    wrong = {int(each.field.split(".")[1]): each.message for each in reversed(sheet.marks)}
    return {
        "head": sheet.head,
        "columns": sheet.columns,
        "scale": sheet.scale,
        "trimmed": sheet.trimmed,
        "told": sheet.told,
        "commas": sheet.commas,
        "errors": [{"code": each.code, "message": each.message, "field": each.field} for each in sheet.faults],
        "marks": [{"row": int(each.field.split(".")[1]), "message": each.message} for each in sheet.marks],
        "rows": [_read_row_to_json(row, wrong.get(index, "")) for index, row in enumerate(sheet.rows)],
    }


def _read_row_to_json(row: ReadRow, wrong: str) -> dict[str, Any]:
    said: dict[str, Any] = {"values": row.values, "model": row.model, "price": row.price and to_json(row.price)}
    return {**said, "text": row.text, "wrong": wrong} if row.text else said


def linted_to_json(linted: Linted, unreadable: Sequence[Fault] = ()) -> dict[str, Any]:
    """`unreadable`: what was wrong with rows that were looked at without their price."""
    marked = {int(fault.field.split(".")[1]): fault for fault in unreadable}
    errors = [
        Finding(Severity.ERROR, fault.code, fault.message, "", row, "price") for row, fault in sorted(marked.items())
    ]
    told = [each for each in linted.findings if not (each.severity == Severity.ERROR and each.row in marked)]
    return {
        "month": linted.month.words,
        "used": bool(linted.month.usage),
        "problem": linted.month.problem,
        "findings": [
            {
                "severity": each.severity,
                "code": each.code,
                "message": each.message,
                "mend": each.mend,
                "row": each.row,
                "column": each.column,
                "names": each.names,
            }
            for each in [*errors, *told]
        ],
        "wanted": [
            {"match": each.usage.dimensions, "share": each.share, "by_default": each.by_default}
            for each in linted.wanted
        ],
    }
