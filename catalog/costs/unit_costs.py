"""What one unit of usage costs by the values that it has: as invoices ask, and whoever looks ahead of them. Pure."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from catalog.pricing.book import CostDimensions
from catalog.pricing.model_costs import ModelCosts
from catalog.pricing.token_types import TOKEN_TYPES

# What a unit is when a charge does not say which dimension holds the token type.
UNSAID_TYPE = "input"


def token_type_of(dimensions: CostDimensions, values: Mapping[str, str]) -> str | None:
    """None: it is missing, or one of which no costs are kept."""
    if not dimensions.token_type:
        return UNSAID_TYPE
    token_type = values.get(dimensions.token_type)
    return token_type if token_type in TOKEN_TYPES else None


def unit_cost(
    models: Mapping[str, ModelCosts], dimensions: CostDimensions, values: Mapping[str, str], at: datetime
) -> Decimal | None:
    """USD at an instant; None where nobody knows, and an invoice with such usage is held. `models`: by name."""
    costs, token_type = models.get(values.get(dimensions.model, "")), token_type_of(dimensions, values)
    if costs is None or token_type is None:
        return None
    above = _above(dimensions, values)
    if above is None:
        if costs.steps_at(at, token_type):
            return None
        above = 0
    found = costs.cost_at(at, token_type, above)
    return None if found is None else found.amount


def _above(dimensions: CostDimensions, values: Mapping[str, str]) -> int | None:
    """More input tokens than this a request had. None: the charge asks for a band, and the usage has none of it."""
    context = dimensions.context
    return dimensions.above.get(values.get(context, "")) if context else 0
