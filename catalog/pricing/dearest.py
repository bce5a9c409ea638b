"""The dearest that a unit of a model becomes from an instant on, at any hour and in requests of any size. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

from billing_site.foundation.money import EXACT, grouped
from catalog.pricing.model_costs import DAY, HOUR, Cost, ModelCosts
from catalog.pricing.token_types import chain


@dataclass(frozen=True)
class Met:
    """What a unit costs, and what a price by cost takes it for, which is the cost of smaller requests.

    `billed`: None where nobody knows that one. `when`: of which requests, hours, and from when on, in words; empty: of
    all of them, already.
    """

    cost: Decimal
    billed: Decimal | None
    when: str = ""


@dataclass(frozen=True)
class Dearest:
    """`cost`: the highest. `by_cost`: where a price by cost earns least; None: it can price nothing."""

    cost: Met
    by_cost: Met | None


def always(cost: Decimal) -> Dearest:
    """A cost that is the same at any time."""
    return Dearest(Met(cost, cost), Met(cost, cost))


def dearest(costs: ModelCosts, since: datetime, token_type: str, above: int, up_to: int | None) -> Dearest | None:
    """Of requests with more than `above` input tokens, `up_to` so many (None: without end), that are priced together.

    None: nobody knows what a unit costs at any time from `since` on.
    """
    found = list(_met(costs, since, token_type, above, up_to))
    if not found:
        return None
    by_cost = [each for each in found if each.billed is not None]
    return Dearest(max(found, key=lambda each: each.cost), max(by_cost, key=_times_billed, default=None))


def _times_billed(met: Met) -> Decimal:
    """How much of what is billed for a cost of 1 it is; a cost that is billed as nothing is more than any."""
    if not met.billed:
        return Decimal("Infinity") if met.cost else Decimal(1)
    return EXACT.divide(met.cost, met.billed)


def _met(costs: ModelCosts, since: datetime, token_type: str, above: int, up_to: int | None) -> Iterator[Met]:
    steps = {row.above for row in costs.rows if row.token_type in chain(token_type)}
    sizes = sorted({above, *(each for each in steps if above < each and (up_to is None or each < up_to))})
    for instant, begins in _instants(costs, since, token_type):
        billed = costs.cost_at(instant, token_type, above)
        for size in sizes:
            if (cost := costs.cost_at(instant, token_type, size)) is not None:
                from_when = begins if begins > since else None
                yield Met(cost.amount, billed.amount if billed else None, _words(cost, above, from_when))


def _instants(costs: ModelCosts, since: datetime, token_type: str) -> Iterator[tuple[datetime, datetime]]:
    """Instants of which one at least has each cost that holds from `since` on, and from when on it does.

    What is recorded changes at few of them; between two, every day is like the other.
    """
    rows = [row for row in costs.rows if row.token_type in chain(token_type)]
    changes = sorted({since, *(row.effective_from for row in rows if row.effective_from > since)})
    bounds = {hour for row in rows if row.hours for hour in (row.hours.start, row.hours.end)}
    for start, end in pairwise([*changes, changes[-1] + DAY]):
        yield start, start
        full = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        for later in range(1, 24):
            instant = full + later * HOUR
            if instant.hour in bounds and instant < end:
                yield instant, start


def _words(cost: Cost, above: int, begins: datetime | None) -> str:
    said = [
        f"above {grouped(Decimal(cost.row.above))} input tokens" if cost.row.above > above else "",
        f"at {cost.row.hours}" if cost.row.hours else "",
        f"from {begins:%Y-%m-%d %H:%M} UTC on" if begins else "",
    ]
    return ", ".join(filter(None, said))
