"""Units of a charge that cost nothing: how many of them each row and each combination gets. Pure.

Rules: `docs/rules.md`, "Price models". Not for quantities of which a charge has no total (greatest, different, latest).
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext

from billing_site.foundation.money import EXACT, ZERO, round_to, split
from catalog.pricing.proration import prorate


def prorated_allowance(included: Decimal, used_days: int, full_days: int, places: int) -> Decimal:
    """What of the units that a full period includes belongs to some of its days, rounded once to `places` decimals.

    Raises ValueError when the days are not a part of the period.
    """
    if used_days == full_days:
        return prorate(included, used_days, full_days)
    return round_to(prorate(included, used_days, full_days), places)


def places_of(quantities: Iterable[Decimal]) -> int:
    """The most decimals that any of the quantities needs."""
    return max(-int(each.normalize(EXACT).as_tuple().exponent) for each in (*quantities, ZERO))


def spread(included: Decimal, quantities: Sequence[Decimal], places: int) -> list[Decimal]:
    """How many of the `included` units each of the quantities gets: in proportion, by largest remainder, exactly.

    Never more in all than the quantities come to, nor more than any of them. What was taken back (a quantity below
    nothing) gets none, but makes the total smaller: 100 and −40 are 60 units, of which at most 60 are included, all
    taken from the 100.

    `places`: the decimals at which units are counted, and at which none of the numbers is finer.
    """
    with localcontext(EXACT):
        free = min(included, sum(quantities, ZERO))
        if free <= 0:
            return [ZERO] * len(quantities)
        return split(free, [max(each, ZERO) for each in quantities], max(places, 0))


def spread_twice(included: Decimal, rows: Sequence[Sequence[Decimal]], places: int, finest: int) -> list[list[Decimal]]:
    """Over rows first, by what each comes to in all, at `places`; then within each row, at `finest` decimals.

    Of a row that gets nothing the shares are left out: an empty list.
    """
    with localcontext(EXACT):
        shares = spread(included, [sum(row, ZERO) for row in rows], places)
    return [spread(share, row, finest) if share else [] for share, row in zip(shares, rows, strict=True)]
