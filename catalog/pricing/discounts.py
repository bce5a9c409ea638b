"""What discounts take off which lines of an invoice. Pure. Rules: `docs/rules.md`, "Discounts".

    lines → the first discount takes a part of each → the next one works on what is left → …

Lines that come to less than nothing (a cap's credit, usage that was taken back) make what a discount works on smaller.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction

from billing_site.foundation.money import EXACT, ZERO, as_decimal, grouped, minor_unit, round_amount, split
from catalog.pricing.book import Priced, Step, shown
from catalog.pricing.combining import add_up

HUNDRED = Decimal(100)
ONE = Fraction(1)


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
    only the ones with these keys, and of each only such a share; None: all of all. `since`: when it was given; the
    older goes first.
    """

    key: int
    name: str
    since: datetime
    percent: Decimal | None = None
    amount: Decimal | None = None
    charges: frozenset[str] = frozenset()
    products: frozenset[int] = frozenset()
    lines: Mapping[int, Fraction] | None = None

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

    def share_of(self, line: int) -> Fraction:
        return ONE if self.lines is None else self.lines[line]


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
    # Shares of lines add up exactly as fractions; as decimals without end they would not.
    mine = {key: Fraction(each) * discount.share_of(key) for key, each in rest.items()}
    base = max(min(as_decimal(sum(mine.values(), Fraction(0))), of_all), ZERO)
    in_part = any(discount.share_of(key) != ONE for key in rest)
    priced = _off(discount, base, f"{shown(base)}, so much of the lines as its days have" if in_part else shown(base))
    # Of a share of a line no more than whole minor units can be taken, lest it be more than the line.
    whole = base.quantize(Decimal(1).scaleb(-minor_unit(currency)), ROUND_DOWN, EXACT)
    amount = min(round_amount(priced.amount, currency), whole)
    by_line: dict[int, Decimal] = {}
    if amount:
        weights = [max(as_decimal(each), ZERO) for each in mine.values()]
        shares = split(amount, weights, minor_unit(currency))
        by_line = {key: share for key, share in zip(rest, shares, strict=True) if share}
    left = None if discount.amount is None else max(EXACT.subtract(discount.amount, amount), ZERO)
    return Taken(discount, amount, by_line, priced, left)


def _off(discount: Discount, base: Decimal, of: str) -> Priced:
    """What a discount takes off lines that come to `base`, `of` in words, before rounding."""
    if discount.percent is not None:
        amount = EXACT.divide(EXACT.multiply(base, discount.percent), HUNDRED)
        return _one_step(f"{grouped(discount.percent)} % of {of}", amount)
    assert discount.amount is not None  # __post_init__ holds it
    if discount.amount <= base:
        return _one_step(f"{shown(discount.amount)} off {of}", discount.amount)
    left = EXACT.subtract(discount.amount, base)
    return _one_step(f"{shown(discount.amount)} off {of}, which leaves {shown(left)} of it", base)


def _one_step(words: str, amount: Decimal) -> Priced:
    return Priced(amount, (Step(words, None, None, amount),), None)
