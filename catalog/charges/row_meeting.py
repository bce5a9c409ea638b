"""Which rows can match the same usage, and which wins: found by their values, not by looking at every pair. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from catalog.pricing.book import Row, Unmatched, UsageCharge
from catalog.pricing.matrix import Matrix
from catalog.pricing.per_unit import PerUnit

Match = Mapping[str, str]
Names = tuple[str, ...]
Values = tuple[str, ...]


class Work:
    """How many rows and pairs may be looked at: a matrix can be made of which no page should wait for all."""

    def __init__(self, most: int = 500_000) -> None:
        self.left = most

    def take(self, count: int = 1) -> bool:
        """Whether there was still that much to spend."""
        self.left -= count
        return self.left >= 0


def by_names(matches: Sequence[Match]) -> dict[Names, list[int]]:
    """Rows, by number, under the dimensions that they name."""
    found: dict[Names, list[int]] = defaultdict(list)
    for index, match in enumerate(matches):
        found[tuple(sorted(match))].append(index)
    return found


def values_of(match: Match, names: Names) -> Values:
    return tuple(match[name] for name in names)


def shared(one: Names, other: Names) -> Names:
    """The dimensions that rows of two kinds both name: they meet where they ask for the same values of these."""
    return tuple(sorted({*one} & {*other}))


def meeting(ones: Sequence[Match], others: Sequence[Match], work: Work) -> Iterator[tuple[int, int]]:
    """Pairs of a row of the one and a row of the other that can match the same usage, until the work is spent."""
    kinds = by_names(others)
    indexes: dict[tuple[Names, Names], dict[Values, list[int]]] = {}
    for names, these in by_names(ones).items():
        for other_names, those in kinds.items():
            both = shared(names, other_names)
            if not work.take(len(these)):
                return
            if (other_names, both) not in indexes:
                indexes[other_names, both] = _by_values(others, those, both)
                work.take(len(those))
            index = indexes[other_names, both]
            for one in these:
                for other in index.get(values_of(ones[one], both), ()):
                    if not work.take():
                        return
                    yield one, other


def _by_values(matches: Sequence[Match], rows: Sequence[int], names: Names) -> dict[Values, list[int]]:
    found: dict[Values, list[int]] = defaultdict(list)
    for index in rows:
        found[values_of(matches[index], names)].append(index)
    return found


def matrix_of(matches: Sequence[Match], dimensions: Names = ()) -> Matrix:
    """What says which row prices some values, by its number: that does not depend on what the row costs."""
    price = PerUnit(Decimal(0))
    rows = tuple(Row(index, index, match, price) for index, match in enumerate(matches))
    return Matrix(UsageCharge(*(0, 0, "", "", 0, 0, ""), dimensions, rows, Unmatched.HOLD))
