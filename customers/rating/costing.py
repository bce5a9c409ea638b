"""Prices by cost: which models were used, what they cost, and at which hours that changes. Reads only.

    usage of the charges that price by cost → names of models → costs → segments with costs, cut where these change

A cost change cuts the price and not the tiers: rows of the same charge that price otherwise see the whole segment.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from billing_site.foundation.periods import Period
from catalog.costs import books as costs
from catalog.costs.books import CostBook
from catalog.costs.unit_costs import token_type_of, unit_cost
from catalog.pricing.book import CostDimensions, UsageCharge
from catalog.pricing.cost_plus import CostPlus
from catalog.pricing.matrix import Matrix
from customers.rating.segments import WHEN, Segment, name_of
from customers.rating.terms import Terms
from meters.usage.reading import Usage

Measured = Mapping[int, Mapping[tuple[int, int], Sequence[Usage]]]
"""By request, then by charge and the number of its segment."""
Bound = dict[tuple[int, str, Period, tuple[Period, ...], tuple[int, ...]], Matrix]
"""By charge, currency, segment, its parts, and what was negotiated of it."""


@dataclass(frozen=True)
class CostsOf:
    """The cost of a unit at a combination of values, in the part of the segment that it names; None: not known."""

    book: CostBook
    dimensions: CostDimensions
    starts: Mapping[str, datetime]
    start: datetime

    def __call__(self, values: Mapping[str, str]) -> Decimal | None:
        at = self.starts.get(values.get(WHEN, ""), self.start)
        return unit_cost(self.book.models, self.dimensions, values, at)


def bind(terms: Sequence[Terms], measured: Measured) -> tuple[list[Terms], datetime | None]:
    """The terms with the costs of what was used, and the instant up to which these were known.

    No query when nothing is priced by cost, else a few, whatever there is. Segments in which a cost changes have parts,
    by which their usage is to be read anew.
    """
    asked = {
        name
        for each in terms
        for charge in charges_by_cost(each)
        for name in _names(charge, measured.get(each.key, {}))
    }
    if not asked:
        return list(terms), None
    known_at = costs.cut_off()
    periods = [each.arrears for each in terms if each.arrears is not None]
    whole = Period(min(period.start for period in periods), max(period.end for period in periods))
    book, bound = costs.load(asked, whole, known_at), Bound()
    return [_bound(each, measured.get(each.key, {}), book, bound) for each in terms], known_at


def prices_by_cost(charge: UsageCharge) -> bool:
    return charge.cost is not None and any(isinstance(row.price, CostPlus) for row in charge.rows)


def charges_by_cost(terms: Terms) -> list[UsageCharge]:
    """The charges that do so in any segment, be it by a price that was negotiated."""
    found: dict[int, UsageCharge] = {}
    for charge_id, segments in terms.segments.items():
        for segment in segments:
            if prices_by_cost(segment.matrix.charge):
                found[charge_id] = segment.matrix.charge
    return list(found.values())


def _names(charge: UsageCharge, measured: Mapping[tuple[int, int], Iterable[Usage]]) -> Iterator[str]:
    """The models of the charge's usage."""
    assert charge.cost is not None
    for (charge_id, _), usages in measured.items():
        if charge_id == charge.id:
            yield from (name for usage in usages if (name := usage.dimensions.get(charge.cost.model)))


def _bound(terms: Terms, measured: Mapping[tuple[int, int], Sequence[Usage]], book: CostBook, bound: Bound) -> Terms:
    segments = dict(terms.segments)
    for charge in charges_by_cost(terms):
        segments[charge.id] = [
            _with_costs(segment, measured.get((charge.id, number), ()), book, bound, terms.book.currency)
            if prices_by_cost(segment.matrix.charge)
            else segment
            for number, segment in enumerate(segments[charge.id])
        ]
    return replace(terms, segments=segments)


def _with_costs(segment: Segment, used: Sequence[Usage], book: CostBook, bound: Bound, currency: str) -> Segment:
    charge = segment.matrix.charge
    assert charge.cost is not None
    parts = _parts(segment.period, charge.cost, used, book)
    key = (charge.id, currency, segment.period, parts, tuple(each.id for each in segment.negotiated))
    if key not in bound:
        starts = {name_of(part): part.start for part in parts}
        known = CostsOf(book, charge.cost, starts, segment.period.start)
        rows = tuple(
            replace(row, price=replace(row.price, costs=known)) if isinstance(row.price, CostPlus) else row
            for row in charge.rows
        )
        dimensions = (*charge.dimensions, WHEN) if parts else charge.dimensions
        bound[key] = Matrix(replace(charge, rows=rows, dimensions=dimensions))
    return replace(segment, matrix=bound[key], parts=parts)


def _parts(period: Period, dimensions: CostDimensions, used: Iterable[Usage], book: CostBook) -> tuple[Period, ...]:
    """Where a cost of what was used changes; none when it never does."""
    wanted = {
        (name, token_type)
        for usage in used
        if (name := usage.dimensions.get(dimensions.model)) is not None
        and name in book
        and (token_type := token_type_of(dimensions, usage.dimensions)) is not None
    }
    cuts = {cut for name, token_type in wanted for cut in book[name].cuts(period.start, period.end, token_type)}
    if not cuts:
        return ()
    return tuple(Period(start, end) for start, end in pairwise([period.start, *sorted(cuts), period.end]))
