"""What the grid says to the server and hears from it: rows, faults and findings as JSON. Reads what is sent with care.

A row is {"match": {dimension: value}, "price": {…}}, the price as `pricing.documents` has it; one whose price nobody
could read yet is {"match": …, "model": "graduated", "text": "as it was typed"}.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from billing_site.foundation.errors import Fault, Refused
from catalog.charges.priceable import Priceable
from catalog.charges.row_checks import DraftRow, match_faults
from catalog.checks.linting import Linted
from catalog.checks.row_lint import Finding, Severity
from catalog.grid.sheet_reading import ReadRow, ReadSheet
from catalog.grid.sheets import ANY
from catalog.pricing.compact_reading import from_text
from catalog.pricing.documents import Unreadable, from_json, to_json
from catalog.pricing.price import Model, Price
from catalog.versions.matrices import ListRows

ROWS_AT_MOST = 20_000


def rows_to_json(rows: Iterable[DraftRow]) -> list[dict[str, Any]]:
    return [{"match": row.match, "price": to_json(row.price)} for row in rows]


def lists_to_json(lists: Iterable[ListRows]) -> list[dict[str, Any]]:
    return [{"currency": each.currency, "stamp": each.stamp, "rows": rows_to_json(each.rows)} for each in lists]


def lists_from_json(given: Any, own: str) -> list[ListRows]:
    """The lists to be saved. Raises Refused with the faults of all, named as `matrices.set_matrix` names them."""
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise Refused(Fault("lists_invalid", "The price lists are a list of objects.", "lists"))
    lists: list[ListRows] = []
    faults: list[Fault] = []
    for each in given:
        currency, stamp = str(each.get("currency")), str(each.get("stamp"))
        place = "" if currency == own else f"lists.{currency}."
        try:
            lists.append(ListRows(currency, rows_from_json(each.get("rows"), f"{place}rows"), stamp))
        except Refused as refused:
            faults += refused.faults
    if faults:
        raise Refused(*faults)
    return lists


def rows_from_json(given: Any, field: str = "rows") -> list[DraftRow]:
    """The rows that were sent. Raises Refused with a fault for each that cannot be read."""
    rows, faults = readable(given, field)
    if faults:
        raise Refused(*faults)
    return rows


def readable(given: Any, field: str = "rows") -> tuple[list[DraftRow], list[Fault]]:
    """The rows, and what is wrong with those that cannot be read: they stand there without a price. Raises Refused."""
    if not isinstance(given, list) or len(given) > ROWS_AT_MOST:
        raise Refused(Fault("rows_invalid", f"The rows are a list of {ROWS_AT_MOST:,} at most.", field))
    rows: list[DraftRow] = []
    faults: list[Fault] = []
    for index, each in enumerate(given):
        place = f"{field}.{index}"
        match = _match(each, place)
        try:
            rows.append(DraftRow(match, price_from_json(each, place)))
        except Unreadable as error:
            rows.append(DraftRow(match, Price()))
            faults += error.faults
    return rows, faults


def _match(row: Any, field: str) -> dict[str, str]:
    """The exact values of a row. Raises Refused for what the grid never sends."""
    if not isinstance(row, Mapping) or not isinstance(row.get("match"), Mapping):
        raise Refused(Fault("row_invalid", "A row is an object with a match and a price.", field))
    match = {name: value for name, value in row["match"].items() if value != ANY}
    if not all(isinstance(value, str) and "\0" not in value for value in match.values()):
        raise Refused(Fault("value_invalid", "A value is a text.", f"{field}.match"))
    return match


def row_from_json(given: Mapping[str, Any], price: Price) -> DraftRow:
    """The row that a price is for; for everything, when it does not say. Raises Refused."""
    return DraftRow(_match({"match": given.get("match", {})}, "row"), price)


def price_from_json(given: Mapping[str, Any], field: str) -> Price:
    """The price of a row, or of whatever else has a “price”, or a “model” and a “text”. Raises Unreadable."""
    if "text" in given:
        try:
            model = Model(str(given.get("model")))
        except ValueError:
            raise Unreadable([Fault("model_unknown", "There is no such price model.", f"{field}.model")]) from None
        return from_text(model, str(given["text"]), f"{field}.price")
    if not isinstance(given.get("price"), Mapping):
        raise Unreadable([Fault("price_missing", "The price is missing: write one.", f"{field}.unit_price")])
    return from_json(given["price"], field)


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
    return {
        "head": sheet.head,
        "columns": sheet.columns,
        "commas": sheet.commas,
        "errors": [{"code": each.code, "message": each.message, "field": each.field} for each in sheet.faults],
        "marks": [{"row": int(each.field.split(".")[1]), "message": each.message} for each in sheet.marks],
        "rows": [_read_row_to_json(row) for row in sheet.rows],
    }


def _read_row_to_json(row: ReadRow) -> dict[str, Any]:
    said: dict[str, Any] = {"values": row.values, "model": row.model, "price": row.price and to_json(row.price)}
    return {**said, "text": row.text} if row.text else said


def linted_to_json(linted: Linted, unreadable: Sequence[Fault] = ()) -> dict[str, Any]:
    """`unreadable`: what was wrong with rows that were looked at without their price."""
    marked = {int(fault.field.split(".")[1]): fault for fault in unreadable}
    errors = [
        Finding(Severity.ERROR, fault.code, fault.message, "", row, "price") for row, fault in sorted(marked.items())
    ]
    told = [each for each in linted.findings if not (each.severity == Severity.ERROR and each.row in marked)]
    return {
        "month": linted.month.words,
        "problem": linted.month.problem,
        "findings": [
            {
                "severity": each.severity,
                "code": each.code,
                "message": each.message,
                "mend": each.mend,
                "row": each.row,
                "column": each.column,
            }
            for each in [*errors, *told]
        ],
        "wanted": [
            {"match": each.usage.dimensions, "share": each.share, "by_default": each.by_default}
            for each in linted.wanted
        ],
    }
