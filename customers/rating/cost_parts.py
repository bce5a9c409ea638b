"""What of a priced row is rounded together, where costs change within a segment. Pure.

A row that prices by cost is rounded once for each part of the segment; any other row once, whatever the parts are.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from billing_site.foundation.periods import Period
from catalog.pricing.book import Priced, PricesEach
from catalog.pricing.combining import Combination, add_up
from catalog.pricing.matrix import Part, PricedRow
from customers.rating.segments import WHEN, Segment, name_of


def roundings(row: PricedRow, segment: Segment) -> Iterator[tuple[Period, Sequence[Part], Priced]]:
    """The period, the combinations and the exact amount of each rounding, with the steps that it came by."""
    if not segment.parts:
        yield segment.period, row.parts, row.priced
    elif isinstance(row.row.price, PricesEach):
        for period in segment.parts:
            name = name_of(period)
            mine = [part for part in row.parts if part.dimensions[WHEN] == name]
            if mine:
                steps = tuple(step for step in row.priced.steps if f"{name}: " in step.words)
                priced = Priced(add_up(part.weight for part in mine), steps, None)
                yield period, [part._replace(dimensions=_shown(part.dimensions)) for part in mine], priced
    else:
        yield segment.period, _together(row.parts), row.priced


def without_when(combinations: Iterable[Combination]) -> list[Combination]:
    """Combinations as people know them: those of several parts added up."""
    found: dict[tuple[tuple[str, str], ...], Combination] = {}
    for each in combinations:
        shown = _shown(each.dimensions)
        key = tuple(shown.items())
        quantity, events = (found[key].quantity, found[key].events) if key in found else (Decimal(0), 0)
        found[key] = Combination(shown, add_up([quantity, each.quantity]), events + each.events)
    return list(found.values())


def _together(parts: Sequence[Part]) -> list[Part]:
    found: dict[tuple[tuple[str, str], ...], Part] = {}
    for part in parts:
        shown = _shown(part.dimensions)
        key = tuple(shown.items())
        before = found.get(key)
        found[key] = part._replace(dimensions=shown) if before is None else _sum(before, part)
    return list(found.values())


def _sum(one: Part, other: Part) -> Part:
    return one._replace(
        quantity=add_up([one.quantity, other.quantity]),
        events=one.events + other.events,
        included=add_up([one.included, other.included]),
        weight=add_up([one.weight, other.weight]),
    )


def _shown(dimensions: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in dimensions.items() if name != WHEN}
