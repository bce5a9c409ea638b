"""What the rows of a charge earn over what their models cost now. Reads only.

A row that names its model is compared with that one. A row for any model is compared with those that usage has had and
that no other row takes. Prices in another currency than that of costs are not compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import product

from billing_site.foundation import clock
from billing_site.foundation.money import ZERO
from billing_site.foundation.periods import Period
from catalog.charges.books import cost_dimensions
from catalog.charges.priceable import Priceable, priceable
from catalog.charges.row_checks import DraftRow, words
from catalog.charges.seen_values import seen_values
from catalog.costs import books
from catalog.models import Charge
from catalog.pricing.book import CostDimensions, Row, Unmatched, UsageCharge
from catalog.pricing.margins import RowMargin, least_unit_price
from catalog.pricing.matrix import Matrix
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.token_types import TOKEN_TYPES

HOUR = timedelta(hours=1)
# What a unit is when a charge does not say which dimension holds the token type.
UNSAID_TYPE = "input"
Values = Mapping[str, str]


def row_margins(charge: Charge, rows: Sequence[DraftRow]) -> list[RowMargin]:
    """The margin of every row at every model and token type whose cost is known, in the order of rows.

    None when the charge does not say which dimension holds the model. One query for each dimension, and those of costs.
    """
    dimensions = cost_dimensions(charge)
    if dimensions is None or charge.meter is None:
        return []
    known = priceable(charge.meter)
    seen = seen_values(charge.meter, known)
    places = [
        (index, values) for index, row in enumerate(rows) for values in _places(row.match, dimensions, known, seen)
    ]
    matrix = _matrix(rows, known)
    mine = [(index, values) for index, values in places if _takes(matrix, values) == index]
    now = clock.now()
    book = books.load({values[dimensions.model] for _, values in mine}, Period(now, now + HOUR))
    found = []
    for index, values in mine:
        name, token_type = values[dimensions.model], values.get(dimensions.token_type, UNSAID_TYPE)
        above = dimensions.above.get(values.get(dimensions.context, ""), 0)
        cost = book[name].cost_at(now, token_type, above) if name in book and token_type in TOKEN_TYPES else None
        price = least_unit_price(rows[index].price, cost.amount) if cost else None
        if cost and price is not None:
            at = words({key: value for key, value in values.items() if key in _named(dimensions)})
            found.append(RowMargin(index, name, token_type, at, price, cost.amount))
    return found


def _named(dimensions: CostDimensions) -> set[str]:
    return {dimensions.model, dimensions.token_type, dimensions.context} - {""}


def _places(
    match: Values, dimensions: CostDimensions, known: Priceable, seen: Mapping[str, list[str]]
) -> Iterator[dict[str, str]]:
    """The values at which a row can price usage, of the dimensions that tell its cost."""
    names = [name for name in known.dimensions if name in _named(dimensions)]
    for values in product(*([match[name]] if name in match else seen[name] for name in names)):
        yield {**match, **dict(zip(names, values, strict=True))}


def _matrix(rows: Sequence[DraftRow], known: Priceable) -> Matrix:
    """Asked for rows alone: what they cost does not decide which of them it is."""
    nothing = PerUnit(ZERO)
    made = tuple(Row(index, index, row.match, nothing) for index, row in enumerate(rows))
    return Matrix(UsageCharge(0, 0, "", "", 0, 0, "", known.dimensions, made, Unmatched.HOLD))


def _takes(matrix: Matrix, values: Values) -> int | None:
    row = matrix.row_for(values)
    return None if row is None else row.id
