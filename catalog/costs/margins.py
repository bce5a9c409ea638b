"""What the rows of a charge earn over what their models cost. Reads only.

Prices in another currency than that of costs are not compared: who asks sees to that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as with_default
from datetime import datetime
from decimal import Decimal
from functools import cache

from billing_site.foundation import clock
from billing_site.foundation.money import ZERO
from billing_site.foundation.periods import Period
from catalog.charges.cell_prices import price_of
from catalog.charges.checks import COST_CURRENCY
from catalog.charges.row_checks import DraftRow
from catalog.costs import books as costs
from catalog.costs.margin_places import Place, Places, places_of
from catalog.models import Charge
from catalog.pricing.dearest import Dearest, Met, always, dearest
from catalog.pricing.margins import RowMargin, is_endless, least_place, least_unit_price
from catalog.pricing.model_costs import HOUR, ModelCosts
from catalog.pricing.price import Model, Price
from catalog.pricing.token_types import TOKEN_TYPES


@dataclass(frozen=True)
class Compared:
    """`margins`: of every row at every place whose cost is known, in the order of rows.

    What could not be compared, rows counted from 0: `unused` price nothing that usage has had; `unknown` nothing whose
    cost is known, and `partly` some of that, each with one such place in words. `unbounded` have a fixed fee for each
    event, and no price of a unit. A row whose price is not written yet is in none of them. `unread`: why not all usage
    could be looked at.
    """

    margins: list[RowMargin] = with_default(default_factory=list)
    unused: tuple[int, ...] = ()
    unknown: Mapping[int, str] = with_default(default_factory=dict)
    partly: Mapping[int, str] = with_default(default_factory=dict)
    unbounded: tuple[int, ...] = ()
    unread: str = ""


def row_margins(charge: Charge, rows: Sequence[DraftRow]) -> list[RowMargin]:
    """What every row earns at every model and token type whose cost is known, in the order of rows; see `compare`.

    None when the charge does not say which dimension holds the model. One query for each dimension, and those of costs.
    """
    return compare(charge, rows).margins


def compare(charge: Charge, rows: Sequence[DraftRow]) -> Compared:
    """The least margins of rows from now on, and what could not be compared. The queries of `row_margins`.

    By the highest cost that the usage of a row can have: at any hour of the day, by all that is recorded to come, and
    in requests of any size that the charge prices alike.
    """
    places, now = places_of(charge, rows), clock.now()
    book = costs.load({each.model for each in places.found}, None)

    @cache
    def found(name: str, token_type: str, above: int, up_to: int | None) -> Dearest | None:
        model = book.models.get(name)
        return dearest(model, now, token_type, above, up_to) if model and token_type in TOKEN_TYPES else None

    return at_costs(places, lambda place: found(place.model, place.token_type, place.above, place.up_to))


def margins_now(charge: Charge, rows: Sequence[DraftRow]) -> list[RowMargin]:
    """What rows earn by the costs of this hour, which a price by cost is made of. The queries of `row_margins`."""
    places, now = places_of(charge, rows), clock.now()
    book = costs.load({each.model for each in places.found}, Period(now, now + HOUR))
    return at_costs(places, lambda place: at_once(cost_at(place, book.models.get(place.model), now))).margins


def cost_at(place: Place, model: ModelCosts | None, instant: datetime) -> Decimal | None:
    if model is None or place.token_type not in TOKEN_TYPES:
        return None
    cost = model.cost_at(instant, place.token_type, place.above)
    return None if cost is None else cost.amount


def at_once(cost: Decimal | None) -> Dearest | None:
    return None if cost is None else always(cost)


def at_costs(places: Places, cost_of: Callable[[Place], Dearest | None]) -> Compared:
    """What rows earn over costs, whichever those are."""
    rows, margins, unknown = places.rows, list[RowMargin](), dict[int, str]()
    for place in places.found:
        price, found = rows[place.row].price, cost_of(place)
        met = None if found is None else found.by_cost if price.model == Model.COST_PLUS else found.cost
        if met is None:
            unknown.setdefault(place.row, place.at)
        elif (margin := _margin(place, price, met)) is not None:
            margins.append(margin)
    used, known = {place.row for place in places.found}, {each.row for each in margins}
    priced = [index for index, row in enumerate(rows) if least_unit_price(row.price, ZERO) is not None]
    return Compared(
        margins,
        unused=tuple(index for index in priced if index not in used),
        unknown={index: unknown[index] for index in priced if index in unknown and index not in known},
        partly={index: unknown[index] for index in priced if index in unknown and index in known},
        unbounded=tuple(
            index for index, row in enumerate(rows) if row.price.model == Model.PERCENTAGE and row.price.fixed
        ),
        unread=places.unread,
    )


def _margin(place: Place, price: Price, met: Met) -> RowMargin | None:
    billed = met.cost if met.billed is None else met.billed
    least = least_unit_price(price, billed)
    if least is None:
        return None
    within, field = least_place(price)
    return RowMargin(
        place.row,
        place.model,
        place.token_type,
        place.at,
        least,
        met.cost,
        met.when,
        endless=is_endless(price),
        within=within,
        field=field,
    )


def rows_in_costs(charge: Charge) -> list[DraftRow]:
    """Its rows in the currency of costs. No query when rows and price lists are prefetched."""
    price_list = next((each.pk for each in charge.version.price_lists.all() if each.currency == COST_CURRENCY), None)
    if price_list is None and charge.version.currency != COST_CURRENCY:
        return []
    return [DraftRow(cell.match, price_of(cell)) for cell in charge.cells.all() if cell.price_list_id == price_list]
