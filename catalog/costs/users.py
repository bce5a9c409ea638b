"""Which charges a change of a model's cost may touch: those that say which dimension holds the model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from billing_site.foundation.money import EXACT
from catalog.charges.cell_prices import price_of
from catalog.charges.row_checks import DraftRow
from catalog.costs.margins import row_margins
from catalog.costs.names import names
from catalog.models import Cell, Charge
from catalog.pricing.model_names import ModelName, NameBook
from catalog.pricing.price import Model
from catalog.pricing.token_types import chain

HIGHEST = Decimal("Infinity")


@dataclass(frozen=True)
class Becomes:
    """The least margin, in percent, of a charge's prices of its own: now, and once a cost has changed. None: free."""

    now: Decimal | None
    then: Decimal | None


@dataclass(frozen=True)
class Use:
    """A charge with rows for the model. `margins`: in percent, of rows by cost; `priced`: how many with others."""

    charge: Charge
    margins: tuple[Decimal, ...]
    priced: int


def uses_of(model: ModelName) -> list[Use]:
    """Charges whose rows match the model under one of its names, those of published versions first. Two queries more
    than names take.
    """
    charges = Charge.objects.exclude(cost_model="").select_related("version__plan").prefetch_related("cells")
    found = list(_uses(charges.order_by("version__plan__code", "-version__number", "position", "id"), model, names()))
    return sorted(found, key=lambda use: use.charge.version.status != "published")


def _uses(charges: Iterable[Charge], model: ModelName, book: NameBook) -> Iterator[Use]:
    for charge in charges:
        rows = [cell for cell in charge.cells.all() if _matches(cell, charge.cost_model, model, book)]
        margins = {cell.percent for cell in rows if cell.model == Model.COST_PLUS and cell.percent is not None}
        if rows:
            priced = sum(cell.model != Model.COST_PLUS for cell in rows)
            yield Use(charge, tuple(sorted(margins)), priced)


def _matches(cell: Cell, dimension: str, model: ModelName, book: NameBook) -> bool:
    """A row that leaves the dimension out is for every model."""
    value = cell.match.get(dimension)
    return cell.price_list_id is None and (value is None or book.resolve(value) == model)


def margin_becomes(charge: Charge, model: ModelName, token_type: str, cost: Decimal | None) -> Becomes | None:
    """What a cost of a token type makes of the charge's margins; None when no price of its own is for that.

    A token type that falls back to this one, having no cost of its own, follows it.
    """
    book = names()
    rows = [DraftRow(cell.match, price_of(cell)) for cell in charge.cells.all() if cell.price_list_id is None]
    mine = [
        each
        for each in row_margins(charge, rows)
        if book.resolve(each.model) == model and token_type in chain(each.token_type)
        if rows[each.row].price.model != Model.COST_PLUS
    ]
    if not mine:
        return None
    least = min(mine, key=lambda each: EXACT.divide(each.unit_price, each.cost) if each.cost else HIGHEST)
    return Becomes(least.percent, None if cost is None else replace(least, cost=cost).percent)
