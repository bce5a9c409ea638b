"""What failed calls cost, by what models cost at the hour of each: nobody pays for them, but their provider is paid.

Which dimensions of a meter say model and token type is known from the charges that name them. A type of events that
several such meters read is counted by the first of them, so that nothing is counted twice.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO
from billing_site.foundation.periods import Period
from catalog.charges.books import cost_dimensions
from catalog.costs import books as costs
from catalog.costs.unit_costs import token_type_of
from catalog.models import Charge
from catalog.pricing.book import CostDimensions
from meters.explorer.scanning import Scanned
from meters.measuring.extraction import Definition, quantities

HOUR = timedelta(hours=1)
Stream = tuple[str, str]
"""Customer reference, event type."""


@dataclass(frozen=True)
class Spent:
    """USD, and how many units of usage have no known cost."""

    amount: Decimal = ZERO
    unknown: Decimal = ZERO


@dataclass
class FailedCosts:
    """Told of failed events one by one; then asked what they cost."""

    dimensions: Mapping[int, CostDimensions]
    _chosen: dict[str, int] = field(default_factory=dict)
    _used: dict[tuple[Stream, str, str, int, datetime], Decimal] = field(default_factory=dict)
    _unknown: dict[Stream, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))

    def note(self, event: Scanned, definition: Definition) -> None:
        cost = self.dimensions.get(definition.id)
        if cost is None or self._chosen.setdefault(event.type, definition.id) != definition.id:
            return
        hour = event.timestamp.replace(minute=0, second=0, microsecond=0)
        for dimensions, quantity, _ in quantities(definition, event.value, event.properties, strict=False):
            values = dict(dimensions)
            model, token_type = values.get(cost.model), token_type_of(cost, values)
            stream = event.customer, event.type
            if model is None or token_type is None:
                self._unknown[stream] = EXACT.add(self._unknown[stream], quantity)
                continue
            key = stream, model, token_type, cost.above.get(values.get(cost.context, ""), 0), hour
            self._used[key] = EXACT.add(self._used.get(key, ZERO), quantity)

    def spent(self) -> dict[Stream, Spent]:
        """By customer and type. Two queries, a few more at first."""
        amounts: dict[Stream, Decimal] = defaultdict(lambda: ZERO)
        unknown = defaultdict(lambda: ZERO, self._unknown)
        hours = [hour for *_, hour in self._used]
        if hours:
            book = costs.load({model for _, model, *_ in self._used}, Period(min(hours), max(hours) + HOUR))
            for (stream, model, token_type, above, hour), quantity in self._used.items():
                found = book[model].cost_at(hour, token_type, above) if model in book else None
                if found is None:
                    unknown[stream] = EXACT.add(unknown[stream], quantity)
                else:
                    amounts[stream] = EXACT.add(amounts[stream], EXACT.multiply(quantity, found.amount))
        return {stream: Spent(amounts[stream], unknown[stream]) for stream in amounts.keys() | unknown.keys()}


def failed_costs() -> FailedCosts:
    """Ready to be told; it knows the dimensions that the newest charge of each meter names. Two queries."""
    return FailedCosts(dict(_dimensions()))


def _dimensions() -> Iterator[tuple[int, CostDimensions]]:
    charges = Charge.objects.exclude(cost_model="").select_related("meter").prefetch_related("meter__bands")
    for charge in charges.order_by("pk"):  # of several, the newest is the last
        named = cost_dimensions(charge)
        if named is not None and charge.meter_id is not None:
            yield charge.meter_id, named
