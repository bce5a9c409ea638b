"""What the rows of a charge earn over what their models cost. Reads only.

Prices in another currency than that of costs are not compared: who asks sees to that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from billing_site.foundation import clock
from billing_site.foundation.money import ZERO
from billing_site.foundation.periods import Period
from catalog.charges.cell_prices import price_of
from catalog.charges.checks import COST_CURRENCY
from catalog.charges.row_checks import DraftRow
from catalog.costs import books as costs
from catalog.costs.margin_places import Place, Places, places_of
from catalog.models import Charge
from catalog.pricing.margins import RowMargin, least_unit_price
from catalog.pricing.model_costs import ModelCosts
from catalog.pricing.token_types import TOKEN_TYPES

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Compared:
    """`margins`: of every row at every place whose cost is known, in the order of rows.

    What could not be compared, rows counted from 0: `unused` price nothing that usage has had; `unknown` nothing whose
    cost is known, and `partly` some of that, each with one such place in words. A row without a price of a unit is in
    none of them. `unread`: why not all usage could be looked at.
    """

    margins: list[RowMargin] = field(default_factory=list)
    unused: tuple[int, ...] = ()
    unknown: Mapping[int, str] = field(default_factory=dict)
    partly: Mapping[int, str] = field(default_factory=dict)
    unread: str = ""


def row_margins(charge: Charge, rows: Sequence[DraftRow]) -> list[RowMargin]:
    """The margin of every row at every model and token type whose cost is known now, in the order of rows.

    None when the charge does not say which dimension holds the model. One query for each dimension, and those of costs.
    """
    return compare(charge, rows).margins


def compare(charge: Charge, rows: Sequence[DraftRow]) -> Compared:
    """The margins of rows now, and what could not be compared. The queries of `row_margins`."""
    places, now = places_of(charge, rows), clock.now()
    book = costs.load({each.model for each in places.found}, Period(now, now + HOUR))
    return at_costs(places, lambda place: cost_at(place, book.models.get(place.model), now))


def cost_at(place: Place, model: ModelCosts | None, instant: datetime) -> Decimal | None:
    if model is None or place.token_type not in TOKEN_TYPES:
        return None
    cost = model.cost_at(instant, place.token_type, place.above)
    return None if cost is None else cost.amount


def at_costs(places: Places, cost_of: Callable[[Place], Decimal | None]) -> Compared:
    """What rows earn over costs, whichever those are."""
    rows, margins, unknown = places.rows, list[RowMargin](), dict[int, str]()
    for place in places.found:
        cost = cost_of(place)
        if cost is None:
            unknown.setdefault(place.row, place.at)
        elif (price := least_unit_price(rows[place.row].price, cost)) is not None:
            margins.append(RowMargin(place.row, place.model, place.token_type, place.at, price, cost))
    used, known = {place.row for place in places.found}, {each.row for each in margins}
    priced = [index for index, row in enumerate(rows) if least_unit_price(row.price, ZERO) is not None]
    return Compared(
        margins,
        unused=tuple(index for index in priced if index not in used),
        unknown={index: unknown[index] for index in priced if index in unknown and index not in known},
        partly={index: unknown[index] for index in priced if index in unknown and index in known},
        unread=places.unread,
    )


def rows_in_costs(charge: Charge) -> list[DraftRow]:
    """Its rows in the currency of costs. No query when rows and price lists are prefetched."""
    price_list = next((each.pk for each in charge.version.price_lists.all() if each.currency == COST_CURRENCY), None)
    if price_list is None and charge.version.currency != COST_CURRENCY:
        return []
    return [DraftRow(cell.match, price_of(cell)) for cell in charge.cells.all() if cell.price_list_id == price_list]
