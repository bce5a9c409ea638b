"""Usage by the values of the dimensions that can be priced. Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import reduce
from typing import NamedTuple, Protocol

from billing_site.foundation.money import EXACT, ZERO

Key = tuple[str | None, ...]
"""The values of a charge's dimensions, in their order; None is a missing one."""


Used = tuple[Mapping[str, str], Decimal, int]
"""The values, quantity and events of a `Combination`, as they are handed on in here."""


class Measured(Protocol):
    """A quantity at one combination of dimension values, for example `meters.usage.reading.Usage`."""

    @property
    def dimensions(self) -> Mapping[str, str]: ...

    @property
    def quantity(self) -> Decimal: ...

    @property
    def events(self) -> int: ...


class Combination(NamedTuple):
    """Usage at one combination of the dimensions that can be priced; a value that the usage did not have is absent.

    `events`: how many events went into it.
    """

    dimensions: Mapping[str, str]
    quantity: Decimal
    events: int


def combine(usage: Iterable[Measured], dimensions: tuple[str, ...]) -> list[Combination]:
    """Usage by the values of `dimensions` alone, each combination once, ordered by those values, a missing one first.

    Usage may be recorded by more dimensions than can be priced (pending ones): those are added up. Usage whose
    quantities do not add up comes grouped already (`Matrix.group`), so that nothing is left to add.
    """
    return [
        Combination(present(dimensions, key), measured.quantity, measured.events)
        for key, measured in by_values(usage, dimensions)
    ]


def by_values(usage: Iterable[Measured], dimensions: tuple[str, ...]) -> list[tuple[Key, Measured]]:
    """What was measured at each combination, added up where it is several, in the order of `combine`."""
    found: dict[Key, Measured] = {}
    for measured in usage:
        values = measured.dimensions
        key: Key = tuple(values.values()) if tuple(values) == dimensions else tuple(map(values.get, dimensions))
        found[key] = _added(found[key], measured) if key in found else measured
    return [(key, found[key]) for key in _in_order(found)]


def _added(one: Measured, other: Measured) -> Combination:
    return Combination(one.dimensions, EXACT.add(one.quantity, other.quantity), one.events + other.events)


def _in_order(keys: Iterable[Key]) -> list[Key]:
    """By their values, a missing one first. Where none is missing, keys are compared as they are, which is quicker."""
    if any(None in key for key in keys):
        return sorted(keys, key=lambda key: [(value is not None, value or "") for value in key])
    return sorted(keys)


def present(dimensions: tuple[str, ...], values: Key) -> dict[str, str]:
    return {name: value for name, value in zip(dimensions, values, strict=True) if value is not None}


def add_up(numbers: Iterable[Decimal]) -> Decimal:
    """Their sum, exact whatever the caller's own precision is."""
    return reduce(EXACT.add, numbers, ZERO)
