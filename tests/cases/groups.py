"""The groups that can be run: to add one, write its module and name it here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.cases import matrix, pricing
from tests.cases.loading import Case


@dataclass(frozen=True)
class Group:
    """`figures`: what the product makes of `given`, by the names of `expect`. `set_aside`: why a case is not run."""

    figures: Callable[[Mapping[str, Any]], dict[str, Any]]
    set_aside: Callable[[Case], str | None]


GROUPS = {
    "pricing": Group(pricing.figures, pricing.set_aside),
    "matrix": Group(matrix.figures, matrix.set_aside),
}
