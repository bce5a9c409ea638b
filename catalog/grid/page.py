"""What the grid of a charge has to know before it asks for rows: columns, currencies, models of price, addresses."""

import re
from typing import Any

from django.urls import reverse

from catalog.charges.priceable import priceable
from catalog.models import Charge, Plan
from catalog.pricing.compact import EXAMPLES
from catalog.pricing.price import Model

PAGES = ("rows", "save", "read", "prices", "check", "preview", "file")


def grid_config(charge: Charge, *, may_change: bool) -> dict[str, Any]:
    """For the script of the page, as JSON. Reads the meter's dimensions and the version's price lists."""
    assert charge.meter is not None
    known = priceable(charge.meter)
    in_credits = charge.version.plan.consumption == Plan.Consumption.CREDITS
    return {
        "mayChange": may_change,
        "code": charge.code,
        "unit": charge.meter.unit,
        "currencies": charge.version.currencies()[: 1 if in_credits else None],
        "inCredits": in_credits,
        "dimensions": [{"name": name, "only": known.only(name)} for name in known.dimensions],
        "models": [
            {"value": each.value, "label": each.label, "short": short(each), "example": EXAMPLES[each]}
            for each in Model
        ],
        "urls": {page: reverse(f"admin:catalog_charge_grid_{page}", args=[charge.pk]) for page in PAGES},
    }


def short(model: Model) -> str:
    """The first words of what a model is called: “Graduated”."""
    return re.split(r"[:,]", model.label, maxsplit=1)[0]
