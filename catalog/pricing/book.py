"""A plan version as values: what rating and previews price by. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from billing_site.foundation.money import ZERO, grouped
from billing_site.foundation.periods import Interval

# What the arithmetic shows of a number that has no end, such as 10 ÷ 3: one with more decimals than a quantity of 12
# times a price of 15 and a few percentages can have.
SHOWN_PLACES, ENDLESS = 12, 60


class Step(NamedTuple):
    """One line of an explanation: the arithmetic in words, what went into it where that is one number, what came out.

    `words` is all but the result: “22,361,870 token × 0.00001”. The text of a step is the whole sentence.
    """

    words: str
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Decimal

    def __str__(self) -> str:
        return f"{self.words} = {shown(self.amount)}"


Steps = tuple[Step, ...]


class Explains(Protocol):
    """Whoever can say how the price of a quantity came about."""

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps: ...


class Priced:
    """An exact, unrounded amount, the unit price where one price holds for all of the quantity, and how it came about.

    The amounts of `steps` add up to `amount`, to the last digit. Many prices are never looked into: in place of the
    steps may be given who tells them when they are asked for, and of which quantity.
    """

    __slots__ = ("_events", "_quantity", "_steps", "_unit", "amount", "unit_price")

    def __init__(
        self,
        amount: Decimal,
        steps: Steps | Explains,
        unit_price: Decimal | None,
        quantity: Decimal = ZERO,
        unit: str = "",
        events: int = 0,
    ) -> None:
        self.amount = amount
        self.unit_price = unit_price
        self._steps, self._quantity, self._unit, self._events = steps, quantity, unit, events

    @property
    def steps(self) -> Steps:
        if not isinstance(self._steps, tuple):
            self._steps = self._steps.steps(self._quantity, self._unit, self._events)
        return self._steps

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Priced):
            return NotImplemented
        return (self.amount, self.unit_price, self.steps) == (other.amount, other.unit_price, other.steps)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Priced({self.amount!r}, {self.steps!r}, {self.unit_price!r})"


class PriceModel(Protocol):
    """One way to turn a quantity into an amount; one file each.

    `unit` is what one of the quantity is called; `events` how many events went into it.
    """

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced: ...

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        """How that price comes about: `Priced.steps`."""
        ...


@runtime_checkable
class PricesEach(Protocol):
    """A way that prices every combination of dimension values for itself, each by the model that it gives for it."""

    def at(self, dimensions: Mapping[str, str]) -> PriceModel | None:
        """None: it cannot be known what this combination costs."""
        ...


@dataclass(frozen=True)
class Row:
    """A row of a matrix. A dimension that `match` does not name matches anything, a missing value included."""

    id: int
    position: int
    match: Mapping[str, str]
    price: PriceModel | PricesEach

    def model_for(self, dimensions: Mapping[str, str]) -> PriceModel | None:
        """What prices usage at these values here; None: it cannot be known what they cost."""
        return self.price.at(dimensions) if isinstance(self.price, PricesEach) else self.price


class Timing(StrEnum):
    ADVANCE = "advance"
    ARREARS = "arrears"
    ONCE = "once"


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
class CostDimensions:
    """Which dimensions say what a unit of usage costs: the model, the token type ("": all is input), the context.

    `above`: by value of the context, a band, how many input tokens a request had more than.
    """

    model: str
    token_type: str = ""
    context: str = ""
    above: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class UsageCharge:
    """`dimensions`: the names that can be priced, in the meter's order; `unit`: what one of the quantity is called.

    `adds_up`: the quantities of a row's combinations add up to the row's. Otherwise (a maximum, a rounded sum) a row's
    quantity is one, of all the usage that the row takes.

    For a full period: `included`, the units that cost nothing; `minimum` and `cap`, in money, of this charge alone.
    `places`: the decimals to which the meter rounds its quantities; None when it does not round.
    `cost`: what tells the cost of a unit; None when nothing does.
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
    included: Decimal | None = None
    minimum: Decimal | None = None
    cap: Decimal | None = None
    places: int | None = None
    cost: CostDimensions | None = None


@dataclass(frozen=True)
class PriceBook:
    """Everything that a plan version charges. `label` is its name for people, for example “Chatbot v1”.

    For a full period: `minimum` and `cap`, in money, of all usage charges together; the lines that they make are of the
    product `commitment_product`.
    """

    version: int
    label: str
    currency: str
    interval: Interval
    charges: tuple[FlatCharge | UsageCharge, ...]
    minimum: Decimal | None = None
    cap: Decimal | None = None
    commitment_product: int | None = None


def shown(number: Decimal) -> str:
    """Every digit of a number; one without end is cut off, not rounded, and "…" says so."""
    text = grouped(number)
    whole, _, decimals = text.partition(".")
    return text if len(decimals) <= ENDLESS else f"{whole}.{decimals[:SHOWN_PLACES]}…"
