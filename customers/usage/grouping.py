"""At which of the recorded dimension values usage is read. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Key = tuple[tuple[str, str], ...]
"""(dimension, value) in the order in which the dimensions were asked for; a missing value is left out."""


@dataclass(frozen=True)
class Place:
    """Where usage at some dimension values is counted: apart by `group_by`, whatever others are recorded.

    Only usage at one of the values that `filters` names for a dimension; an empty value among them stands for a missing
    one.
    """

    group_by: tuple[str, ...] = ()
    filters: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __call__(self, dimensions: Mapping[str, str]) -> Mapping[str, str] | None:
        """None: nowhere."""
        if any(dimensions.get(name, "") not in values for name, values in self.filters.items()):
            return None
        return dict(self.key(dimensions))

    def key(self, dimensions: Mapping[str, str]) -> Key:
        return tuple((name, dimensions[name]) for name in self.group_by if name in dimensions)


OTHERS: Mapping[str, str] = {"": ""}
"""The place of what is not told apart: no dimension is named by an empty text."""


@dataclass(frozen=True)
class Leading(Place):
    """Apart by one dimension, for the values `kept` alone (None: a missing one): all others together, at `OTHERS`."""

    kept: frozenset[str | None] = frozenset()

    def __call__(self, dimensions: Mapping[str, str]) -> Mapping[str, str] | None:
        placed = super().__call__(dimensions)
        return OTHERS if placed is not None and placed.get(self.group_by[0]) not in self.kept else placed

    def key(self, dimensions: Mapping[str, str]) -> Key:
        return tuple(OTHERS.items()) if dimensions == OTHERS else super().key(dimensions)
