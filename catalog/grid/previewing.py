"""What some quantities would cost by a price that somebody is writing: by the code that bills. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import EXACT, grouped, round_amount, show
from catalog.pricing.book import PriceModel, PricesEach, shown
from catalog.pricing.cost_plus import CostPlus
from catalog.pricing.documents import Unreadable, number
from catalog.pricing.models import computing
from catalog.pricing.price import MAX_EVENTS, TIERED, Model, Price, quantity_faults

LINES_AT_MOST = 20
USUAL = (Decimal(1), Decimal(1_000), Decimal(1_000_000))


@dataclass(frozen=True)
class Preview:
    """A quantity, what it comes to on an invoice, and how: sentences. `amount` is empty when it cannot be known."""

    quantity: str
    amount: str
    steps: tuple[str, ...]


def quantities(price: Price) -> list[Decimal]:
    """Those that show most of a price: each tier's end and what is just above it, or some usual ones."""
    if price.model == Model.PACKAGE and price.size:
        edge = EXACT.add(price.free, price.size)
        return [Decimal(1), edge, EXACT.add(edge, Decimal(1))]
    if price.model in TIERED:
        bounds = [tier.up_to for tier in price.tiers if tier.up_to is not None][: LINES_AT_MOST // 2]
        return sorted({each for bound in bounds for each in (bound, EXACT.add(bound, Decimal(1)))}) or list(USUAL)
    return list(USUAL)


def asked(given: Sequence[object], field: str = "quantities") -> list[Decimal]:
    """The quantities that somebody typed. Raises Unreadable."""
    found, faults = [], []
    for each in given[:LINES_AT_MOST]:
        try:
            quantity = number(each, field)
        except Unreadable as error:
            faults += error.faults
            continue
        faults += quantity_faults(quantity, "quantity", field)
        found.append(quantity)
    if faults:
        raise Unreadable(faults)
    return found


def events(given: object, field: str = "events") -> int:
    """How many events somebody typed; one when nothing. Raises Unreadable."""
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= MAX_EVENTS:
        return given
    raise Unreadable([Fault("number_invalid", "The number of events is a whole one, from 0.", field)])


@dataclass(frozen=True)
class How:
    """`currency` empty: in credits. `dimensions`: whether the charge has some. `cost`: of one unit, if it is known."""

    currency: str
    unit: str
    dimensions: bool = False
    cost: Decimal | None = None


def preview(price: Price, of: Sequence[Decimal], events: int, how: How) -> list[Preview]:
    """What each quantity comes to by a price without faults."""
    model = computing(price, dimensions=how.dimensions)
    if isinstance(model, CostPlus):
        model = replace(model, costs=lambda _: how.cost)
    priced = model.at({}) if isinstance(model, PricesEach) else model
    return [_line(priced, each, events, how) for each in of]


def _line(model: PriceModel | None, quantity: Decimal, events: int, how: How) -> Preview:
    if model is None:
        return Preview(grouped(quantity), "", ("By what each model costs at the time of use.",))
    found = model.price(quantity, how.unit, events)
    money = how.currency and show(round_amount(found.amount, how.currency), how.currency)
    amount = money or f"{shown(found.amount)} credits"
    return Preview(grouped(quantity), amount, tuple(str(step) for step in found.steps))
