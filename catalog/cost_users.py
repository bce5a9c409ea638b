"""Which charges a change of a model's cost may touch: those that say which dimension holds the model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from catalog.cost_names import names
from catalog.models import Cell, Charge
from catalog.pricing.model_names import ModelName, NameBook
from catalog.pricing.price import Model


@dataclass(frozen=True)
class Use:
    """A charge with rows for the model. `margins`: in percent, of rows by cost; `priced`: rows of other prices."""

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
