"""What one row of a matrix comes to: its usage in all, priced once, or each combination by its own cost. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from billing_site.foundation.money import EXACT, ZERO, grouped
from catalog.pricing.book import Priced, PriceModel, PricesEach, Row, Step, Steps
from catalog.pricing.combining import Combination, add_up


class Part(NamedTuple):
    """A combination under its row. `quantity` is what was measured; `included` of that costs nothing.

    `unit_price`: where one price holds for the whole quantity. `weight`: its own exact amount where the row's
    price says what that is, else its part of the row's amount by quantity. The row's rounded amount is shared by it.
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


def price_together(
    row: Row, model: PriceModel, used: Sequence[Combination], free: Sequence[Decimal], unit: str
) -> PricedRow:
    """All that a row takes, as one quantity. `free`: what is included of each combination; empty: nothing of any."""
    if len(used) == 1 and not free:
        (one,) = used
        priced = model.price(one.quantity, unit, one.events)
        return PricedRow(row, one.quantity, ZERO, priced, (Part(*one, ZERO, priced.unit_price, priced.amount),))
    quantity, included = add_up(each.quantity for each in used), add_up(free)
    paid = EXACT.subtract(quantity, included)
    priced = model.price(paid, unit, sum(each.events for each in used))
    one_price = rate = priced.unit_price
    if rate is None:
        rate = EXACT.divide(priced.amount, paid) if paid else ZERO
    parts = tuple(
        Part(*each, share, None if share else one_price, EXACT.multiply(EXACT.subtract(each.quantity, share), rate))
        for each, share in zip(used, free or [ZERO] * len(used), strict=True)
    )
    return PricedRow(row, quantity, included, _with_included(priced, quantity, included, unit), parts)


def price_each(
    row: Row, prices: PricesEach, used: Sequence[Combination], free: Sequence[Decimal], unit: str
) -> tuple[PricedRow | None, list[Combination]]:
    """Every combination for itself, and those that have no price because nobody knows what they cost."""
    parts: list[Part] = []
    pieces: list[tuple[Mapping[str, str], Priced]] = []
    unknown: list[Combination] = []
    for each, share in zip(used, free or [ZERO] * len(used), strict=True):
        model = prices.at(each.dimensions)
        if model is None:
            unknown.append(each)
            continue
        paid = model.price(EXACT.subtract(each.quantity, share), unit, each.events)
        priced = _with_included(paid, each.quantity, share, unit)
        pieces.append((each.dimensions, priced))
        parts.append(Part(*each, share, priced.unit_price, priced.amount))
    if not parts:
        return None, unknown
    prices_of_parts = {part.unit_price for part in parts}
    one_price = prices_of_parts.pop() if len(prices_of_parts) == 1 else None
    together = Priced(add_up(part.weight for part in parts), partial(_steps_of, pieces), one_price)
    quantity, included = add_up(part.quantity for part in parts), add_up(part.included for part in parts)
    return PricedRow(row, quantity, included, together, tuple(parts)), unknown


def _steps_of(pieces: Sequence[tuple[Mapping[str, str], Priced]]) -> Steps:
    return tuple(_named_steps(pieces))


def _named_steps(pieces: Sequence[tuple[Mapping[str, str], Priced]]) -> Iterator[Step]:
    for dimensions, priced in pieces:
        name = ", ".join(dimensions.values())
        for step in priced.steps:
            yield step._replace(words=f"{name}: {step.words}") if name else step


def _with_included(priced: Priced, quantity: Decimal, included: Decimal, unit: str) -> Priced:
    """The quantity is the whole one, so no unit price holds for it."""
    if not included:
        return priced
    return Priced(priced.amount, partial(_included_first, priced, quantity, included, unit), None)


def _included_first(priced: Priced, quantity: Decimal, included: Decimal, unit: str) -> Steps:
    words = f"included: {grouped(included)} of {grouped(quantity)} {unit}"
    return (Step(words, included, ZERO, ZERO), *priced.steps)
