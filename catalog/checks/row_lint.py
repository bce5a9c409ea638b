"""What is possible in the rows of a charge, and perhaps not meant: told from the rows alone. Pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import combinations, islice

from billing_site.foundation.money import EXACT, grouped, round_to
from catalog.charges.row_checks import DraftRow, costs_nothing, words
from catalog.charges.row_meeting import Values, Work, by_names, shared, values_of
from catalog.pricing.price import Model, Price, price_faults
from catalog.pricing.words import counted


class Severity(StrEnum):
    """An error cannot be published; a warning should be looked at before; a hint is for whoever has the time."""

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True)
class Finding:
    """`row` (from 0; None: all) and `column` (“match” or “price”) say where, `message` why, `mend` what to do.

    `names`: of which dimensions, where it is not all of them.
    """

    severity: Severity
    code: str
    message: str
    mend: str
    row: int | None = None
    column: str = "match"
    names: tuple[str, ...] = ()


FAR = Decimal(10)
# With fewer, one wrong price would make the others look wrong.
NEIGHBOURS_AT_LEAST = 3
PAIRS_AT_MOST = 5_000


def of_rows(rows: Sequence[DraftRow]) -> Iterator[Finding]:
    """Ambiguous rows, prices of nothing, and prices far from their neighbours'."""
    yield from _ambiguous(rows)
    yield from _free(rows)
    yield from _far(rows)


def _ambiguous(rows: Sequence[DraftRow]) -> Iterator[Finding]:
    """Rows that are equally exact and can match the same usage, by which dimensions they name: the first one wins."""
    kinds = by_names([row.match for row in rows])
    exact = {frozenset(row.match.items()) for row in rows}
    work = Work()
    for one, other in combinations(kinds, 2):
        if len(one) != len(other):
            continue
        pairs = list(islice(_pairs(rows, kinds[one], kinds[other], exact, work), PAIRS_AT_MOST))
        if not pairs:
            continue
        wins, loses = min(pairs)
        others = counted(len(pairs) - 1, "more pair")
        more = f" So it is with {others} of such rows." if len(pairs) > 1 else ""
        message = (
            f"Rows {wins + 1} ({words(rows[wins].match)}) and {loses + 1} ({words(rows[loses].match)}) are equally"
            f" exact and can match the same usage: row {wins + 1} stands first and wins.{more}"
        )
        both = words({**rows[loses].match, **rows[wins].match})
        mend = f"Move the row up that should win, or add one that names both: {both}."
        yield Finding(Severity.WARNING, "ambiguous", message, mend, loses)
    if work.left < 0:
        message = "There are too many kinds of rows to look at each pair: some may be ambiguous without being told."
        yield Finding(Severity.HINT, "ambiguous_unknown", message, "Name the same dimensions in more of the rows.")


def _pairs(
    rows: Sequence[DraftRow],
    these: Sequence[int],
    those: Sequence[int],
    exact: set[frozenset[tuple[str, str]]],
    work: Work,
) -> Iterator[tuple[int, int]]:
    """Rows of two kinds that meet, of different prices, and no row names the values of both; earlier first.

    Of the pairs that are looked at and are none, each is in `exact` as another row: there are no more than rows.
    """
    names = shared(tuple(rows[these[0]].match), tuple(rows[those[0]].match))
    by_values: dict[Values, dict[Price, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index in those if work.take(len(these) + len(those)) else ():
        by_values[values_of(rows[index].match, names)][rows[index].price].append(index)
    for one in these:
        for price, others in by_values.get(values_of(rows[one].match, names), {}).items():
            for other in others if price != rows[one].price else ():
                if not work.take():
                    return
                if frozenset({**rows[one].match, **rows[other].match}.items()) not in exact:
                    yield min(one, other), max(one, other)


def _free(rows: Sequence[DraftRow]) -> Iterator[Finding]:
    for index, row in enumerate(rows):
        if costs_nothing(row.price) and not any(price_faults(row.price, "")):
            message = f"Row {index + 1} ({words(row.match)}) costs nothing, whatever is used."
            mend = "Write its price, if it is not free."
            yield Finding(Severity.WARNING, "price_zero", message, mend, index, "price")
            continue
        # A tier that is free may be an allowance, and often is.
        free = [str(place) for place, tier in enumerate(row.price.tiers, 1) if not (tier.unit_price or tier.flat_price)]
        if free and not any(price_faults(row.price, "")):
            which = f"Tier {free[0]}" if len(free) == 1 else f"Tiers {', '.join(free[:-1])} and {free[-1]}"
            costs = "costs" if len(free) == 1 else "cost"
            message = f"{which} of row {index + 1} ({words(row.match)}) {costs} nothing."
            yield Finding(Severity.HINT, "tier_zero", message, "Write its price, if it is not free.", index, "price")


def _far(rows: Sequence[DraftRow]) -> Iterator[Finding]:
    """Prices of one unit at ten times, or a tenth, of the median of the rows that share all values but one.

    A row has such neighbours by each of its dimensions (other models, other token types); it is told when it lies far
    from those of every dimension that has enough of them: a cached token is cheap beside others, not beside its like.
    """
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[Decimal]] = defaultdict(list)
    priced = {
        index: row.price.unit_price
        for index, row in enumerate(rows)
        if row.price.model == Model.PER_UNIT and row.price.unit_price
    }
    for index, price in priced.items():
        for key in _groups(rows[index].match):
            groups[key].append(price)
    for prices in groups.values():
        prices.sort()
    for index, price in priced.items():
        medians = [
            _median_but(groups[key], price)
            for key in _groups(rows[index].match)
            if len(groups[key]) - 1 >= NEIGHBOURS_AT_LEAST
        ]
        if medians and all(price >= FAR * median or price * FAR <= median for median in medians):
            nearest = min(medians, key=lambda median: max(price / median, median / price))
            message = f"The price of row {index + 1} ({words(rows[index].match)}) is {_times(price, nearest)}."
            yield Finding(Severity.WARNING, "price_far", message, "Look whether a zero is missing.", index, "price")


def _groups(match: Mapping[str, str]) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
    """By each of its dimensions: that, and the values of the others."""
    for name in match:
        yield name, frozenset(item for item in match.items() if item[0] != name)


def _median_but(prices: Sequence[Decimal], one: Decimal) -> Decimal:
    """The median of sorted prices without one of them."""
    place = bisect_left(prices, one)
    count = len(prices) - 1

    def at(index: int) -> Decimal:
        return prices[index if index < place else index + 1]

    return at(count // 2) if count % 2 else (at(count // 2 - 1) + at(count // 2)) / 2


def _times(price: Decimal, median: Decimal) -> str:
    high = price >= median
    factor = round_to(EXACT.divide(price, median) if high else EXACT.divide(median, price), 0)
    of = "what its neighbours cost in the middle"
    return f"{grouped(factor)} times {of}" if high else f"{grouped(factor)} times less than {of}"
