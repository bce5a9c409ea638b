"""Group “matrix”: usage at several combinations of dimension values, and a price per combination."""

from collections.abc import Iterator, Mapping
from decimal import Decimal, localcontext
from itertools import product
from typing import Any

from billing_site.foundation.money import EXACT, ZERO, round_amount
from catalog.pricing.book import Row, Unmatched, UsageCharge
from catalog.pricing.matrix import Combination, Matrix
from catalog.pricing.per_unit import PerUnit
from meters.events.values import as_text
from tests.cases.loading import Case

Figures = dict[str, Any]

KNOWN = {
    "given": {"model", "currency", "price", "usage"},
    "price": {"cells", "default_unit_price"},
    "cell": {"match", "unit_price"},
    "usage": {"dims", "quantity"},
}
Match = dict[str, list[str]]


def figures(given: Mapping[str, Any]) -> Figures:
    """What our own matrix makes of a case that is not set aside.

    `rows`: the exact amount of each usage entry, in the order in which they are given; `rounded`: the sum of the matrix
    rows, each rounded once.
    """
    usage, matrix = _usage(given), Matrix(_charge(given))
    priced = matrix.price(usage)
    with localcontext(EXACT):
        found = [matrix.row_for(entry.dimensions) for entry in usage]
        unpriced = sum((each.quantity for each in priced.unmatched), ZERO)
        return {
            "rows": [
                row.price.price(entry.quantity, "unit", 1).amount if row else ZERO
                for row, entry in zip(found, usage, strict=True)
            ],
            "amount": sum((row.priced.amount for row in priced.rows), ZERO),
            "rounded": sum((round_amount(row.priced.amount, given["currency"]) for row in priced.rows), ZERO),
            "quantity": sum((row.quantity for row in priced.rows), unpriced),
            "unpriced_quantity": unpriced,
        }


def _usage(given: Mapping[str, Any]) -> list[Combination]:
    return [Combination(_texts(entry["dims"]), Decimal(entry["quantity"]), 1) for entry in given["usage"]]


def _charge(given: Mapping[str, Any]) -> UsageCharge:
    rows = tuple(
        Row(index, cell, match, PerUnit(price)) for index, (cell, match, price) in enumerate(_rows(given["price"]))
    )
    used = (name for entry in _usage(given) for name in entry.dimensions)
    names = dict.fromkeys([*used, *(name for row in rows for name in row.match)])
    return UsageCharge(1, 0, "usage", "Usage", 1, 1, "unit", tuple(names), rows, Unmatched.ZERO)


def _rows(price: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, str], Decimal]]:
    """The cell's place, exact values and price of each row.

    A cell with lists of values is a row for each of them; a value that a narrower cell names is left to that one.
    """
    cells = enumerate((_lists(cell["match"]), Decimal(cell["unit_price"])) for cell in price["cells"])
    seen: list[dict[str, str]] = []
    for place, (match, unit_price) in sorted(cells, key=lambda cell: _breadth(cell[1][0])):
        for values in product(*match.values()):
            row = dict(zip(match, values, strict=True))
            if row not in seen:
                seen.append(row)
                yield place, row, unit_price
    if "default_unit_price" in price and {} not in seen:
        yield len(price["cells"]), {}, Decimal(price["default_unit_price"])


def _rounds_together(given: Mapping[str, Any]) -> bool:
    """Whether it matters that several values of one cell are rounded as one, and not row by row."""
    by_cell: dict[int, Decimal] = {}
    for row in Matrix(_charge(given)).price(_usage(given)).rows:
        by_cell[row.row.position] = by_cell.get(row.row.position, ZERO) + row.priced.amount
    together = sum(round_amount(amount, given["currency"]) for amount in by_cell.values())
    return bool(together != figures(given)["rounded"])


def _lists(match: Mapping[str, Any]) -> Match:
    """Exact values by name; `*` is a name left out."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in match.items()}
    return {name: [as_text(value) or "" for value in values] for name, values in lists.items() if "*" not in values}


def _texts(dims: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: as_text(value) for name, value in dims.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _breadth(match: Match) -> int:
    breadth = 1
    for values in match.values():
        breadth *= len(values)
    return breadth


def set_aside(case: Case) -> str | None:
    """Why a case is not run; None: it is."""
    given = case.given
    if given["model"] != "matrix":
        return f"the price model “{given['model']}” is not offered"
    for name in _unknown(given):
        return f"uses “{name}”, which is not offered"
    matches = [_lists(cell["match"]) for cell in given["price"]["cells"]]
    if any(match in matches[:index] for index, match in enumerate(matches)):
        return "has two cells of equal keys; here such rows cannot be saved"
    if _rounds_together(given):
        return "rounds several values of one cell together; here a row holds one value and is rounded by itself"
    return None


def _unknown(given: Mapping[str, Any]) -> Iterator[str]:
    yield from sorted(given.keys() - KNOWN["given"])
    yield from sorted(given["price"].keys() - KNOWN["price"])
    for cell in given["price"].get("cells", []):
        yield from sorted(cell.keys() - KNOWN["cell"])
    for entry in given.get("usage", []):
        yield from sorted(entry.keys() - KNOWN["usage"])
