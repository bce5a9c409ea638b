"""Who is billed by a charge, and who negotiated prices of it. Who keeps subscriptions says so here as the site starts.

This app stands above that one and does not know it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from catalog.models import Charge

Means = Callable[[str], bool]
"""Whether a name is one of the model that is asked for."""


@dataclass(frozen=True)
class Agreed:
    """Of a charge: running subscriptions of its version, and of how many customers.

    `by_cost` of them negotiated prices by the model's cost, with these `margins` in percent; `priced` other ones of it.
    """

    subscriptions: int = 0
    customers: int = 0
    by_cost: int = 0
    margins: tuple[Decimal, ...] = ()
    priced: int = 0


Reader = Callable[[Collection[Charge], Means], Mapping[int, Agreed]]
NOTHING = Agreed()
_readers: list[Reader] = []


def tell(reader: Reader) -> None:
    """From now on `reader` says it, by a charge's id."""
    _readers[:] = [reader]


def of(charges: Collection[Charge], means: Means) -> Mapping[int, Agreed]:
    """By a charge's id; what is left out has none."""
    return _readers[0](charges, means) if _readers else {}
