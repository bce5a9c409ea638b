"""A charge whose prices change within a period: each part by its own rows, with tiers that go on. Pure.

    usage of each part → its rows → less what is included in the whole period → price(total after) − price(total before)

A row goes on from part to part by its exact values. Rules: `docs/rules.md`, "Negotiated terms". For quantities that add
up alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import reduce

from billing_site.foundation.money import EXACT, ZERO
from catalog.pricing.allowance import places_of, spread_twice
from catalog.pricing.book import Row
from catalog.pricing.combining import Combination, Measured, Used, add_up
from catalog.pricing.going_on import Before
from catalog.pricing.matrix import Matrix, PricedUsage, Sorted

RowKey = tuple[tuple[str, str], ...]
Values = tuple[tuple[str, str], ...]
Place = tuple[int, int]
"""A part, and the rank of a row in it."""


def key_of(row: Row) -> RowKey:
    """What a row is known by in all parts of a period, whoever set its price."""
    return tuple(sorted(row.match.items()))


def price_parts(parts: Sequence[tuple[Matrix, Iterable[Measured]]], included: Decimal = ZERO) -> list[PricedUsage]:
    """Each part's usage by its own matrix. `included`: how many units of all parts together cost nothing."""
    found = [matrix.sort(usage) for matrix, usage in parts]
    matrices = [matrix for matrix, _ in parts]
    free = _free(matrices, found, included) if included else {}
    before: dict[RowKey, Before] = {}
    priced = []
    for part, (matrix, taken) in enumerate(zip(matrices, found, strict=True)):
        keys = {rank: key_of(matrix.row_at(rank)) for rank in taken.by_rank}
        mine = {rank: free.get((part, rank), ()) for rank in taken.by_rank}
        earlier = {rank: before[key] for rank, key in keys.items() if key in before}
        priced.append(matrix.priced(taken, mine, earlier))
        for rank, key in keys.items():
            before[key] = _after(before.get(key, Before()), taken.by_rank[rank], mine[rank])
    return priced


def _after(before: Before, used: Sequence[Used], free: Sequence[Decimal]) -> Before:
    paid = EXACT.subtract(add_up(quantity for _, quantity, _ in used), add_up(free))
    return Before(EXACT.add(before.quantity, paid), before.events + sum(events for *_, events in used))


def _free(matrices: Sequence[Matrix], found: Sequence[Sorted], included: Decimal) -> Mapping[Place, list[Decimal]]:
    """What is included of each combination of each part: over the rows by the whole period, as without any parts."""
    rows: dict[RowKey, list[Place]] = defaultdict(list)
    for part, (matrix, taken) in enumerate(zip(matrices, found, strict=True)):
        for rank in taken.by_rank:
            rows[key_of(matrix.row_at(rank))].append((part, rank))
    ordered = sorted(rows.values(), key=lambda places: (places[0][1], places[0][0]))
    of_rows = [[found[part].by_rank[rank] for part, rank in places] for places in ordered]
    whole = [_together(used for each in row for used in each) for row in of_rows]
    unmatched = _together(each for taken in found for each in taken.unmatched)
    quantities = [[quantity for each in row for _, quantity, _ in each] for row in of_rows]
    # What adds up is not rounded by its meter, so the quantities themselves say at which decimals they are counted.
    coarse = places_of([included, *(quantity for row in (*whole, unmatched) for quantity in row)])
    finest = max(coarse, places_of(quantity for row in quantities for quantity in row))
    shares = spread_twice(included, [*quantities, *([each] for each in unmatched)], coarse, finest)
    free: dict[Place, list[Decimal]] = {}
    for places, row, share in zip(ordered, of_rows, shares, strict=False):  # those of unmatched usage stand behind
        rest = iter(share)
        for place, used in zip(places, row, strict=True):
            free[place] = [next(rest) for _ in used] if share else []
    return free


def _together(used: Iterable[Used | Combination]) -> list[Decimal]:
    """The quantity of each combination of values in all parts."""
    found: dict[Values, list[Decimal]] = defaultdict(list)
    for dimensions, quantity, _ in used:
        found[tuple(dimensions.items())].append(quantity)
    return [reduce(EXACT.add, each) for each in found.values()]
