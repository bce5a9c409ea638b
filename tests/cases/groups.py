"""The groups that can be run: to add one, write its module and name it here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.cases import aggregation, allowance, commitment, discount, matrix, pricing
from tests.cases.loading import Case


@dataclass(frozen=True)
class Group:
    """`figures`: what the product makes of `given`, by the names of `expect`. `set_aside`: why a case is not run.

    `database`: making them takes one.
    """

    figures: Callable[[Mapping[str, Any]], dict[str, Any]]
    set_aside: Callable[[Case], str | None]
    database: bool = False


GROUPS = {
    "pricing": Group(pricing.figures, pricing.set_aside),
    "matrix": Group(matrix.figures, matrix.set_aside),
    "allowance": Group(allowance.figures, allowance.set_aside),
    "commitment": Group(commitment.figures, commitment.set_aside),
    "discount": Group(discount.figures, discount.set_aside),
    "aggregation": Group(aggregation.figures, aggregation.set_aside, database=True),
}
