"""What minimums and caps add to the lines of usage, as lines of their own. Pure. Rules: `docs/rules.md`."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from billing_site.foundation.money import ZERO, minor_unit, round_amount, split
from billing_site.foundation.periods import Period
from catalog.pricing.book import PriceBook, Priced
from catalog.pricing.combining import add_up
from catalog.pricing.commitment import cap_credit, true_up
from catalog.pricing.proration import prorate
from customers.rating.negotiated import Negotiated, What, named
from customers.rating.rated import LineKind, RatedLine, explain
from customers.rating.segments import Segment

ONE = Decimal(1)


class Contradictory(Exception):
    """A minimum above the cap, as can come of a negotiated one and a plan's; the message says which."""


def of_charge(book: PriceBook, segment: Segment, lines: Sequence[RatedLine]) -> Iterator[RatedLine]:
    """The line that fills a charge's usage up to its minimum, or takes back what is above its cap; at most one.

    `lines`: the usage of the segment, rounded. Raises Contradictory.
    """
    charge, charged = segment.matrix.charge, add_up(line.amount for line in lines)
    _check(f"“{charge.name}” of {book.label}", charge.minimum, charge.cap)
    for kind, priced in _due(_part(charge.minimum, segment), _part(charge.cap, segment), charged):
        line = _line(book, kind, charge.id, charge.product, charge.name, charge.code, priced, segment.period)
        yield _resting(line, segment.negotiated)


@dataclass(frozen=True)
class Together:
    """All usage charges in `period`, in which the same holds of them together: a part of the billing period."""

    book: PriceBook
    period: Period
    used_days: int
    full_days: int
    negotiated: tuple[Negotiated, ...] = ()


def of_book(together: Together, lines: Sequence[RatedLine]) -> Iterator[RatedLine]:
    """The same for all usage charges together, after those of each charge. A credit is split by what is sold.

    `lines`: those of usage; what lies outside of the period does not count. Raises Contradictory.
    """
    book, period = together.book, together.period
    _check(f"all usage of {book.label}", book.minimum, book.cap)
    mine = [line for line in lines if period.start <= line.service.start and line.service.end <= period.end]
    days = together.used_days, together.full_days
    minimum = None if book.minimum is None else prorate(book.minimum, *days)
    cap = None if book.cap is None else prorate(book.cap, *days)
    for kind, priced in _due(minimum, cap, add_up(line.amount for line in mine)):
        for line in _lines_of_book(book, kind, mine, priced, period):
            yield _resting(line, together.negotiated)


def _lines_of_book(
    book: PriceBook, kind: LineKind, lines: Sequence[RatedLine], priced: Priced, period: Period
) -> Iterator[RatedLine]:
    if kind is LineKind.MINIMUM:
        assert book.commitment_product is not None  # the database holds it: plan_version_minimum_has_product
        yield _line(book, kind, None, book.commitment_product, "All usage", None, priced, period)
    else:
        yield from _credits(book, lines, priced, period)


def _check(what: str, minimum: Decimal | None, cap: Decimal | None) -> None:
    if minimum is not None and cap is not None and minimum > cap:
        message = (
            f"The minimum of {what}, {minimum:,f}, is above its cap, {cap:,f}: end the negotiated one of the two, or"
            " negotiate the other, too."
        )
        raise Contradictory(message)


def _resting(line: RatedLine, negotiated: Sequence[Negotiated]) -> RatedLine:
    """The line, which says so when its minimum or cap is a negotiated one."""
    rests = named(negotiated, What.MINIMUM if line.kind is LineKind.MINIMUM else What.CAP)
    return replace(line, explanation={**line.explanation, **rests}) if rests else line


def _part(amount: Decimal | None, segment: Segment) -> Decimal | None:
    return None if amount is None else segment.prorated(amount)


def _due(minimum: Decimal | None, cap: Decimal | None, charged: Decimal) -> Iterator[tuple[LineKind, Priced]]:
    """A minimum is never above its cap, so at most one of them asks for a line."""
    if minimum is not None and (missing := true_up(minimum, charged)).amount:
        yield LineKind.MINIMUM, missing
    if cap is not None and (beyond := cap_credit(cap, charged)).amount:
        yield LineKind.CAP, beyond


def _credits(book: PriceBook, lines: Sequence[RatedLine], priced: Priced, period: Period) -> Iterator[RatedLine]:
    by_product: dict[int, Decimal] = defaultdict(lambda: ZERO)
    for line in lines:
        by_product[line.product] += line.amount
    weights = [max(amount, ZERO) for amount in by_product.values()]
    parts = split(round_amount(priced.amount, book.currency), weights, minor_unit(book.currency))
    for product, amount in zip(by_product, parts, strict=True):
        if amount:
            yield _line(book, LineKind.CAP, None, product, "All usage", None, priced, period, amount)


_SUFFIX = {LineKind.MINIMUM: "minimum commitment", LineKind.CAP: "cap"}


def _line(
    book: PriceBook,
    kind: LineKind,
    charge: int | None,
    product: int,
    name: str,
    code: str | None,
    priced: Priced,
    period: Period,
    part: Decimal | None = None,
) -> RatedLine:
    rounded = round_amount(priced.amount, book.currency)
    explanation = explain(book, code, None, priced, rounded)
    if part is not None and part != rounded:
        explanation["share"] = f"{part:,f} of {rounded:,f}, by what each product's usage comes to"
    amount = rounded if part is None else part
    return RatedLine(
        kind=kind,
        charge=charge,
        product=product,
        description=f"{name} · {_SUFFIX[kind]}",
        dimensions={},
        quantity=ONE,
        unit="",
        unit_price=amount,
        amount=amount,
        service=period,
        explanation=explanation,
    )
