"""Where the rows of a charge meet what models cost: at which values each of them prices usage. Reads only.

A row that names its model meets that one. A row for any model meets those that usage has had and that no other row
takes.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from billing_site.foundation.money import ZERO
from catalog.charges.books import cost_dimensions
from catalog.charges.priceable import Priceable, priceable
from catalog.charges.row_checks import DraftRow, words
from catalog.charges.seen_values import USED_AT_MOST, used_values
from catalog.costs.names import names
from catalog.costs.unit_costs import UNSAID_TYPE
from catalog.models import Charge
from catalog.pricing.book import CostDimensions, Row, Unmatched, UsageCharge
from catalog.pricing.matrix import Matrix
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.token_types import TOKEN_TYPES
from meters.explorer.scanning import TooMuch
from meters.models import Meter

Values = Mapping[str, str]
Used = Callable[[Meter, str], tuple[list[str], str]]


@dataclass(frozen=True)
class Place:
    """Values at which a row prices usage, and by which the cost of a unit is found. `at`: in words.

    Its requests have more input tokens than `above`, and `up_to` so many; None: without end.
    """

    row: int
    model: str
    token_type: str
    above: int
    up_to: int | None
    at: str


@dataclass(frozen=True)
class Places:
    """`found` in the order of rows. `unread`: why not all usage could be looked at; empty when it was."""

    rows: Sequence[DraftRow] = ()
    found: Sequence[Place] = ()
    unread: str = ""


def used_of(meter: Meter, name: str) -> tuple[list[str], str]:
    """What usage has had at a dimension, and why that is not all of it."""
    try:
        used = used_values(meter, name)
    except TooMuch:
        return [], f"there is more usage than can be looked through for its values of {name}"
    if len(used) > USED_AT_MOST:
        why = f"usage has had more than {USED_AT_MOST:,} values of {name}, of which the rarest were left out"
        return used[:USED_AT_MOST], why
    return used, ""


def places_of(charge: Charge, rows: Sequence[DraftRow], apart: Collection[str] = (), used: Used = used_of) -> Places:
    """None when the charge does not say which dimension holds the model. One query for each dimension, one of names.

    `apart`: names that are looked at for themselves though no row names them. `used`: who asks for many charges asks
    once for each meter.
    """
    dimensions = cost_dimensions(charge)
    if dimensions is None or charge.meter is None:
        return Places()
    known = priceable(charge.meter)
    values, unread = {}, []
    for name in (each for each in known.dimensions if each in _named(dimensions)):
        only = known.only(name)
        if only is None:
            seen, why = used(charge.meter, name)
            only = _alike(seen, name, dimensions, {row.match[name] for row in rows if name in row.match} | set(apart))
            unread += [why] if why else []
        values[name] = only
    matrix = _matrix(rows, known)
    mine = (
        _place(index, each, dimensions)
        for index, row in enumerate(rows)
        for each in _products(row.match, values)
        if _takes(matrix, each) == index
    )
    return Places(rows, tuple(mine), "; ".join(unread))


def _alike(used: Sequence[str], name: str, dimensions: CostDimensions, written: set[str]) -> tuple[str, ...]:
    """The values that rows name, and of all others one for each that costs the same: those meet the same rows."""
    book = names()
    meant: dict[str, Callable[[str], object]] = {
        dimensions.token_type: lambda value: value if value in TOKEN_TYPES else None,
        dimensions.model: book.resolve,
    }
    first: dict[object, str] = {}
    for value in sorted(used):
        first.setdefault(("", value) if value in written else meant.get(name, str)(value), value)
    return tuple(first.values())


def _place(row: int, values: Values, dimensions: CostDimensions) -> Place:
    at = words({key: value for key, value in values.items() if key in _named(dimensions)})
    above = dimensions.above.get(values.get(dimensions.context, ""), 0)
    bands = dimensions.above.values() if dimensions.context in values else ()
    up_to = min((each for each in bands if each > above), default=None)
    return Place(row, values[dimensions.model], values.get(dimensions.token_type, UNSAID_TYPE), above, up_to, at)


def _named(dimensions: CostDimensions) -> set[str]:
    return {dimensions.model, dimensions.token_type, dimensions.context} - {""}


def _products(match: Values, values: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for each in product(*([match[name]] if name in match else values[name] for name in values)):
        yield {**match, **dict(zip(values, each, strict=True))}


def _matrix(rows: Sequence[DraftRow], known: Priceable) -> Matrix:
    """Asked for rows alone: what they cost does not decide which of them it is."""
    nothing = PerUnit(ZERO)
    made = tuple(Row(index, index, row.match, nothing) for index, row in enumerate(rows))
    return Matrix(UsageCharge(0, 0, "", "", 0, 0, "", known.dimensions, made, Unmatched.HOLD))


def _takes(matrix: Matrix, values: Values) -> int | None:
    row = matrix.row_for(values)
    return None if row is None else row.id
