"""A plan version as values: what rating and previews price by. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from billing_site.foundation.periods import Interval


@dataclass(frozen=True)
class Priced:
    """An exact, unrounded amount, how it came about (one sentence of arithmetic a step), and the unit price to show.

    The last step ends with the amount: “22,361,870 token × 0.00001 = 223.6187”.
    """

    amount: Decimal
    steps: tuple[str, ...]
    unit_price: Decimal


class PriceModel(Protocol):
    """One way to turn a quantity into an amount; one file each. `unit` is what one of the quantity is called."""

    def price(self, quantity: Decimal, unit: str) -> Priced: ...


@dataclass(frozen=True)
class Row:
    """A row of a matrix. A dimension that `match` does not name matches anything, a missing value included."""

    id: int
    position: int
    match: Mapping[str, str]
    price: PriceModel


class Timing(StrEnum):
    ADVANCE = "advance"
    ARREARS = "arrears"


class Unmatched(StrEnum):
    """What happens to usage that no row prices. (The default rate is a row that matches everything.)"""

    HOLD = "hold"
    ZERO = "zero"


@dataclass(frozen=True)
class FlatCharge:
    id: int
    position: int
    code: str
    name: str
    product: int
    timing: Timing
    amount: Decimal


@dataclass(frozen=True)
class UsageCharge:
    """`dimensions`: the names that can be priced, in the meter's order; `unit`: what one of the quantity is called.

    `adds_up`: the quantities of a row's combinations add up to the row's. Otherwise (a maximum, a rounded sum) a row's
    quantity is one, of all the usage that the row takes.
    """

    id: int
    position: int
    code: str
    name: str
    product: int
    meter: int
    unit: str
    dimensions: tuple[str, ...]
    rows: tuple[Row, ...]
    unmatched: Unmatched
    adds_up: bool = True


@dataclass(frozen=True)
class PriceBook:
    """Everything that a plan version charges. `label` is its name for people, for example “Chatbot v1”."""

    version: int
    label: str
    currency: str
    interval: Interval
    charges: tuple[FlatCharge | UsageCharge, ...]
