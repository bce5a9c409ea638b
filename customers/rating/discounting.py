"""What coupons and negotiated discounts take off the lines of an invoice, as lines of their own. Pure.

    lines after minimum and cap → each discount, by `catalog.pricing.discounts` → a line for each product

Rules: `docs/rules.md`, "Discounts".
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from billing_site.foundation.money import round_amount
from billing_site.foundation.periods import Period, Schedule
from catalog.pricing.book import PriceBook
from catalog.pricing.combining import add_up
from catalog.pricing.discounts import Discount, InvoiceLine, Taken, take
from catalog.pricing.proration import prorate
from customers.rating.fees import days_of
from customers.rating.negotiated import Negotiated, What
from customers.rating.rated import LineKind, RatedLine, explain
from customers.rating.segments import share_in

ONE = Decimal(1)
Shares = Mapping[int, Fraction]
"""How much of each line, by its key."""


@dataclass(frozen=True)
class Offer:
    """A discount, and what explanations say of where it comes from."""

    discount: Discount
    said: Mapping[str, object]


def discount_lines(
    book: PriceBook,
    schedule: Schedule,
    lines: Sequence[RatedLine],
    periods: Sequence[Period],
    negotiated: Iterable[Negotiated],
    coupons: Iterable[Offer],
) -> list[RatedLine]:
    """Lines below nothing: of each discount one for each product that it takes something off. Σ lines never below 0.

    `periods`: those that the lines are of, in arrears and in advance.
    """
    codes = {charge.id: charge.code for charge in book.charges}
    seen = [
        InvoiceLine(key, codes.get(line.charge or 0, ""), line.product, line.amount, line.kind)
        for key, line in enumerate(lines)
    ]
    offers = [*_negotiated(negotiated, schedule, lines, seen, periods), *coupons]
    # Two kinds of keys meet here; those of the values that are taken from are places in `offers`.
    discounts = [replace(offer.discount, key=place) for place, offer in enumerate(offers)]
    found: list[RatedLine] = []
    for taken in take(seen, discounts, book.currency) if offers else ():
        found += _lines(book, lines, taken, offers[taken.discount.key])
    return found


def _negotiated(
    terms: Iterable[Negotiated],
    schedule: Schedule,
    lines: Sequence[RatedLine],
    seen: Sequence[InvoiceLine],
    periods: Sequence[Period],
) -> Iterator[Offer]:
    """A percentage of the lines of the days on which it holds; an amount for as many days of each period."""
    for term in terms:
        if term.what != What.DISCOUNT or term.number is None:
            continue
        charges = frozenset({term.charge} - {""})
        shares = {each.key: share for each in seen if (share := _share(term, schedule, lines, each.key))}
        for keys, percent, amount in _parts(term, schedule, lines, shares, periods):
            discount = Discount(term.id, str(term.said["name"]), term.since, percent, amount, charges, lines=keys)
            yield Offer(discount, {"overrides": [term.said]})


def _parts(
    term: Negotiated, schedule: Schedule, lines: Sequence[RatedLine], shares: Shares, periods: Sequence[Period]
) -> Iterator[tuple[Shares, Decimal | None, Decimal | None]]:
    assert term.number is not None
    if term.percentage:
        yield shares, term.number, None
        return
    for period in periods:
        held = period.clip(term.starts_at, term.ends_at)
        if held.start < held.end:
            mine = {key: each for key, each in shares.items() if period.start <= lines[key].service.start < period.end}
            yield mine, None, prorate(term.number, *days_of(schedule, held))


def _share(term: Negotiated, schedule: Schedule, lines: Sequence[RatedLine], key: int) -> Fraction:
    """How much of a line falls in the days of the term. A cap's credit goes with the usage that it takes back."""
    line = lines[key]
    if line.kind is not LineKind.CAP:
        return _days(term, schedule, line)
    of = [each for each in lines if each.kind is LineKind.USAGE and _takes_back(line, each)]
    capped = sum((Fraction(each.amount) for each in of), Fraction(0))
    inside = sum((Fraction(each.amount) * _days(term, schedule, each) for each in of), Fraction(0))
    return min(max(inside / capped, Fraction(0)), Fraction(1)) if capped > 0 else _days(term, schedule, line)


def _takes_back(credit: RatedLine, usage: RatedLine) -> bool:
    """A credit of all usage has a line for each product."""
    return usage.product == credit.product and credit.charge in (None, usage.charge)


def _days(term: Negotiated, schedule: Schedule, line: RatedLine) -> Fraction:
    return share_in(line.service, [line.service.clip(term.starts_at, term.ends_at)], schedule.timezone)


def _lines(book: PriceBook, lines: Sequence[RatedLine], taken: Taken, offer: Offer) -> Iterator[RatedLine]:
    by_product: dict[int, list[int]] = defaultdict(list)
    for key in taken.by_line:
        by_product[lines[key].product].append(key)
    charges = taken.discount.charges
    code = next(iter(charges)) if len(charges) == 1 else None
    for product, keys in by_product.items():
        amount = round_amount(add_up(taken.by_line[key] for key in keys).copy_negate(), book.currency)
        explanation = explain(book, code, None, taken.priced, taken.amount)
        if amount != taken.amount.copy_negate():
            explanation["share"] = (
                f"{amount.copy_negate():,f} of {taken.amount:,f}, by what is left of each line, largest remainder"
            )
        touched = {lines[key].charge for key in keys}
        yield RatedLine(
            kind=LineKind.DISCOUNT,
            charge=touched.pop() if len(touched) == 1 else None,
            product=product,
            description=taken.discount.name,
            dimensions={},
            quantity=ONE,
            unit="",
            unit_price=amount,
            amount=amount,
            service=Period(min(lines[key].service.start for key in keys), max(lines[key].service.end for key in keys)),
            explanation={**explanation, **offer.said},
        )
