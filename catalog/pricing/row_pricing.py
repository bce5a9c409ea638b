"""What one row of a matrix comes to: its usage in all, priced once, or each combination by its own cost. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from billing_site.foundation.money import EXACT, ZERO
from catalog.pricing.book import Priced, PriceModel, PricesEach, Row, Step, Steps
from catalog.pricing.combining import Combination, Used, add_up
from catalog.pricing.included import LessIncluded


class Part(NamedTuple):
    """A combination under its row. `quantity` is what was measured; `included` of that costs nothing.

    `unit_price`: where one price holds for the whole quantity. `weight`: its own exact amount where the row's price
    says what that is, else the quantity to be paid. The row's rounded amount is shared in proportion to it.
    """

    dimensions: Mapping[str, str]
    quantity: Decimal
    events: int
    included: Decimal
    unit_price: Decimal | None
    weight: Decimal


class PricedRow(NamedTuple):
    """What one row comes to: its exact, unrounded amount for the quantity of all its parts, less `included`.

    The steps begin with what is included, if anything is.
    """

    row: Row
    quantity: Decimal
    included: Decimal
    priced: Priced
    parts: tuple[Part, ...]


def price_together(row: Row, model: PriceModel, used: Sequence[Used], free: Sequence[Decimal], unit: str) -> PricedRow:
    """All that a row takes, as one quantity. `free`: what is included of each combination; empty: nothing of any."""
    if len(used) == 1 and not free:
        dimensions, quantity, events = used[0]
        priced = model.price(quantity, unit, events)
        only = Part(dimensions, quantity, events, ZERO, priced.unit_price, priced.amount)
        return PricedRow(row, quantity, ZERO, priced, (only,))
    quantity, included = add_up(quantity for _, quantity, _ in used), add_up(free)
    shares = free or [ZERO] * len(used)
    paid = [EXACT.subtract(each, share) for (_, each, _), share in zip(used, shares, strict=True)]
    events = sum(events for _, _, events in used)
    priced = model.price(EXACT.subtract(quantity, included), unit, events)
    weights = _weights(paid, priced)
    if included:
        priced = Priced(priced.amount, LessIncluded(model, included), None, quantity, unit, events)
    parts = tuple(
        Part(*each, share, priced.unit_price, weight) for each, share, weight in zip(used, shares, weights, strict=True)
    )
    return PricedRow(row, quantity, included, priced, parts)


def _weights(paid: Sequence[Decimal], priced: Priced) -> list[Decimal]:
    """Exact amounts where one price holds. Otherwise quantities, but of those below nothing, which have no price of
    their own then: they only made the row's quantity smaller. (Or of those alone, when the row owes less than nothing.)
    """
    if priced.unit_price is not None:
        return [EXACT.multiply(quantity, priced.unit_price) for quantity in paid]
    wanted, others = [max(each, ZERO) for each in paid], [max(-each, ZERO) for each in paid]
    if priced.amount < 0:
        wanted, others = others, wanted
    # Only what goes on from earlier usage can come to more, or less, than nothing by quantities that do the other.
    return wanted if any(wanted) else others


def price_each(
    row: Row, prices: PricesEach, used: Sequence[Used], free: Sequence[Decimal], unit: str
) -> tuple[PricedRow | None, list[Combination]]:
    """Every combination for itself, and those that have no price because nobody knows what they cost."""
    parts: list[Part] = []
    pieces: list[tuple[Mapping[str, str], Priced]] = []
    unknown: list[Combination] = []
    for each, share in zip(used, free or [ZERO] * len(used), strict=True):
        dimensions, quantity, events = each
        model = prices.at(dimensions)
        if model is None:
            unknown.append(Combination(*each))
            continue
        priced = _less(model, share).price(quantity, unit, events)
        pieces.append((dimensions, priced))
        parts.append(Part(*each, share, priced.unit_price, priced.amount))
    if not parts:
        return None, unknown
    unit_prices = {part.unit_price for part in parts}
    one_price = unit_prices.pop() if len(unit_prices) == 1 else None
    together = Priced(add_up(part.weight for part in parts), _Pieces(pieces), one_price)
    quantity, included = add_up(part.quantity for part in parts), add_up(part.included for part in parts)
    return PricedRow(row, quantity, included, together, tuple(parts)), unknown


def _less(model: PriceModel, included: Decimal) -> PriceModel:
    return LessIncluded(model, included) if included else model


@dataclass(frozen=True)
class _Pieces:
    """The steps of several combinations, each named by its values."""

    pieces: Sequence[tuple[Mapping[str, str], Priced]]

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        return tuple(self._named())

    def _named(self) -> Iterator[Step]:
        for dimensions, priced in self.pieces:
            name = ", ".join(dimensions.values())
            for step in priced.steps:
                yield step._replace(words=f"{name}: {step.words}") if name else step
