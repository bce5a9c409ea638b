"""What discounts take off which lines of an invoice. Pure. Rules: `docs/rules.md`, "Discounts".

    lines → the first discount takes a part of each → the next one works on what is left → …

Lines that come to less than nothing (a cap's credit, usage that was taken back) make what a discount works on smaller.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO, grouped, minor_unit, round_amount, split
from catalog.pricing.book import Priced, Step
from catalog.pricing.combining import add_up

HUNDRED = Decimal(100)


@dataclass(frozen=True)
class InvoiceLine:
    """A rounded line as a discount sees it; `key` is the caller's own, `charge` a code ("": of no single charge)."""

    key: int
    charge: str
    product: int
    amount: Decimal
    kind: str


@dataclass(frozen=True)
class Discount:
    """Either `percent` (10 is 10 %) or `amount` (money, at most so much in all) off lines of an invoice.

    `charges` (codes) and `products` (ids): it is for lines of any of them; both empty: for all lines. `lines`: of those
    only the ones with these keys; None: all of them. `since`: when it was given; the older goes first.
    """

    key: int
    name: str
    since: datetime
    percent: Decimal | None = None
    amount: Decimal | None = None
    charges: frozenset[str] = frozenset()
    products: frozenset[int] = frozenset()
    lines: frozenset[int] | None = None

    def __post_init__(self) -> None:
        if (self.percent is None) == (self.amount is None):
            raise ValueError(f"The discount “{self.name}” takes off either a percentage or an amount.")
        if not 0 <= (self.percent or ZERO) <= HUNDRED or (self.amount or ZERO) < 0:
            raise ValueError(f"The discount “{self.name}” takes off 0 to 100 %, or an amount of 0 or more.")

    @property
    def is_for_all(self) -> bool:
        return not self.charges and not self.products

    def is_for(self, line: InvoiceLine) -> bool:
        named = self.is_for_all or line.charge in self.charges or line.product in self.products
        return named and (self.lines is None or line.key in self.lines)


@dataclass(frozen=True)
class Taken:
    """What one discount takes off: `by_line` by the keys of lines, all at the minor unit, `amount` in all.

    `priced`: the amount before it was rounded, and how it came about. `left`: what remains of an amount for later.
    """

    discount: Discount
    amount: Decimal
    by_line: Mapping[int, Decimal]
    priced: Priced
    left: Decimal | None


def in_order(discounts: Iterable[Discount]) -> list[Discount]:
    """Those of some charges or products first, then the oldest."""
    return sorted(discounts, key=lambda each: (each.is_for_all, each.since, each.key))


def take(lines: Sequence[InvoiceLine], discounts: Iterable[Discount], currency: str) -> list[Taken]:
    """What each discount takes, in order: no line, no sum of its lines nor of all lines falls below zero by it.

    Each is rounded once and spread over its lines by what is left of them, largest remainder.
    """
    rest = {line.key: line.amount for line in lines}
    taken: list[Taken] = []
    for discount in in_order(discounts):
        mine = [line.key for line in lines if discount.is_for(line)]
        found = _take(discount, {key: rest[key] for key in mine}, add_up(rest.values()), currency)
        for key, amount in found.by_line.items():
            rest[key] = EXACT.subtract(rest[key], amount)
        taken.append(found)
    return taken


def _take(discount: Discount, rest: Mapping[int, Decimal], of_all: Decimal, currency: str) -> Taken:
    """`of_all`: what is left of all lines. The credit of a cap on all usage is of no charge, yet nobody pays it."""
    base = max(min(add_up(rest.values()), of_all), ZERO)
    priced = _off(discount, base)
    amount = round_amount(priced.amount, currency)
    by_line: dict[int, Decimal] = {}
    if amount:
        weights = [max(each, ZERO) for each in rest.values()]
        shares = split(amount, weights, minor_unit(currency))
        by_line = {key: share for key, share in zip(rest, shares, strict=True) if share}
    left = None if discount.amount is None else max(EXACT.subtract(discount.amount, amount), ZERO)
    return Taken(discount, amount, by_line, priced, left)


def _off(discount: Discount, base: Decimal) -> Priced:
    """What a discount takes off lines that come to `base`, before rounding."""
    if discount.percent is not None:
        amount = EXACT.divide(EXACT.multiply(base, discount.percent), HUNDRED)
        return _one_step(f"{grouped(discount.percent)} % of {grouped(base)}", amount)
    assert discount.amount is not None  # __post_init__ holds it
    if discount.amount <= base:
        return _one_step(f"{grouped(discount.amount)} off {grouped(base)}", discount.amount)
    left = EXACT.subtract(discount.amount, base)
    return _one_step(f"{grouped(discount.amount)} off {grouped(base)}, which leaves {grouped(left)} of it", base)


def _one_step(words: str, amount: Decimal) -> Priced:
    return Priced(amount, (Step(words, None, None, amount),), None)
