"""Usage at the dimension values that are asked for, of usage at all values that are recorded."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, localcontext

from billing_site.foundation.money import EXACT, ZERO
from meters.usage import Usage

Key = tuple[tuple[str, str], ...]
"""(dimension, value) in the order in which the dimensions were asked for; a missing value is left out."""

Place = Callable[[Mapping[str, str]], Key | None]
"""Where usage at some dimension values is counted; None: nowhere."""


def place(group_by: Sequence[str] = (), filters: Mapping[str, frozenset[str]] | None = None) -> Place:
    """Apart by the dimensions `group_by`; only usage at one of the values that `filters` names for a dimension.

    An empty value among them stands for a missing one.
    """
    wanted = dict(filters or {})

    def placed(dimensions: Mapping[str, str]) -> Key | None:
        if any(dimensions.get(name, "") not in values for name, values in wanted.items()):
            return None
        return tuple((name, dimensions[name]) for name in group_by if name in dimensions)

    return placed


def regrouped(rows: Iterable[Usage], placed: Place) -> list[tuple[Key, Decimal, int]]:
    """(values, quantity, events) in the order of values. The only place where usage of several series is put together.

    Right for quantities that add up, as all do that a meter can make today.
    """
    sums: dict[Key, tuple[Decimal, int]] = {}
    with localcontext(EXACT):
        for row in rows:
            key = placed(row.dimensions)
            if key is not None:
                quantity, events = sums.get(key, (ZERO, 0))
                sums[key] = quantity + row.quantity, events + row.events
    return [(key, *sums[key]) for key in sorted(sums)]
