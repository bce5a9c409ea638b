"""Costs of a few models, stated as the package states them, and own ones."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from genai_prices.types import (
    ClauseEquals,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from catalog.costs import own_costs, package_prices
from catalog.costs import reading as cost_reading
from catalog.costs.own_costs import Entry
from catalog.costs.package_prices import Statement
from catalog.models import CostReading, ModelCost

ACME_BEGINS = ClauseStartsWith(starts_with="acme-")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def price(**prices: Any) -> ModelPrice:
    """By price key, dollars as text; a list is a base and its steps: ["1", (200_000, "2")]."""
    return ModelPrice(**{key: _value(value) for key, value in prices.items()})


def from_day(day: date, **prices: Any) -> ConditionalPrice:
    return ConditionalPrice(StartDateConstraint(day), prices=price(**prices))


def daily(start: time, end: time, **prices: Any) -> ConditionalPrice:
    return ConditionalPrice(TimeOfDateConstraint(start, end), prices=price(**prices))


def usually(**prices: Any) -> ConditionalPrice:
    return ConditionalPrice(prices=price(**prices))


def stated(origin: str = "edition 1", **models: Any) -> Statement:
    """The provider acme and its models, by name (`_` for `-`): one price, or a list of conditional ones."""
    made = [
        ModelInfo(id=name.replace("_", "-"), match=ClauseEquals(equals=name.replace("_", "-")), prices=prices)
        for name, prices in models.items()
    ]
    provider = Provider(id="acme", name="Acme", api_pattern="", model_match=ACME_BEGINS, models=made)
    return package_prices.stated(origin, [provider])


def read(origin: str = "edition 1", **models: Any) -> CostReading:
    return cost_reading.read_in(stated(origin, **models))


def own(cost: str | None, code: str = "input", name: str = "acme/acme-1", **more: Any) -> ModelCost:
    provider, _, model = name.partition("/")
    return own_costs.record_cost(Entry(provider, model, code, None if cost is None else Decimal(cost), **more), "dana")


def rows(source: str | None = None) -> Sequence[tuple[Any, ...]]:
    """What was recorded, in order: type, above, hours, cost, from when."""
    found = ModelCost.objects.order_by("id")
    return [
        (row.token_type, row.above, str(row.hours or ""), row.cost, row.effective_from)
        for row in (each.row for each in found)
        if source in (None, row.source)
    ]


def _value(value: Any) -> Any:
    if isinstance(value, list):
        base, *steps = value
        return TieredPrices(base=Decimal(base), tiers=[Tier(start=size, price=Decimal(step)) for size, step in steps])
    return Decimal(value)
