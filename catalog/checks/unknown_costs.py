"""Usage that a price by cost takes, and of which nobody knows what it costs: invoices with it are held."""

from collections.abc import Iterator, Mapping, Sequence

from billing_site.foundation import clock
from catalog.charges.books import cost_dimensions
from catalog.charges.checks import COST_CURRENCY
from catalog.charges.priced_in import in_credits
from catalog.charges.row_checks import DraftRow
from catalog.checks.row_lint import Finding, Severity
from catalog.checks.usage_lint import Hits, percent_of
from catalog.costs import books as costs
from catalog.costs.unit_costs import unit_cost
from catalog.models import Charge
from catalog.pricing.book import CostDimensions
from catalog.pricing.combining import add_up
from catalog.pricing.price import Model

NAMED = 5


def unknown_costs(
    charge: Charge, currency: str, rows: Sequence[DraftRow], found: Hits, month: str
) -> Iterator[Finding]:
    """By the costs of now, whatever they were in the month. `month` in words.

    Two queries, however much was used; none where no usage is priced by cost.
    """
    dimensions = cost_dimensions(charge)
    by_cost = [
        each
        for index, row in enumerate(rows)
        if row.price.model == Model.COST_PLUS
        for each in found.by_row.get(index, ())
    ]
    if dimensions is None or not by_cost or currency != COST_CURRENCY or in_credits(charge):
        return
    now = clock.now()
    models = costs.load({each.dimensions.get(dimensions.model, "") for each in by_cost}, None).models
    unknown = [each for each in by_cost if unit_cost(models, dimensions, each.dimensions, now) is None]
    if unknown:
        share = percent_of(add_up(each.quantity for each in unknown), found.total)
        named = list(dict.fromkeys(_named(dimensions, each.dimensions, models) for each in unknown))
        more = f" and {len(named) - NAMED:,} more" if len(named) > NAMED else ""
        message = (
            f"{share} of the usage of {month} is of models whose cost nobody knows; invoices with it are held:"
            f" {', '.join(named[:NAMED])}{more}."
        )
        mend = "Record what they cost, or add rows for them with a price of their own."
        yield Finding(Severity.WARNING, "cost_unknown", message, mend, None, "price")


def _named(dimensions: CostDimensions, values: Mapping[str, str], models: Mapping[str, object]) -> str:
    """The model; where that is known and what it was used for is not, both."""
    model = values.get(dimensions.model, "")
    if not model:
        return f"usage without {dimensions.model}"
    token_type = values.get(dimensions.token_type, "")
    return f"{model} ({token_type})" if model in models and token_type else model
