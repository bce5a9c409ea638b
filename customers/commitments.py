"""What minimums and caps add to the lines of usage, as lines of their own. Pure. Rules: `docs/rules.md`."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal

from billing_site.foundation.money import ZERO, minor_unit, round_amount, split
from billing_site.foundation.periods import Period
from catalog.pricing.book import PriceBook, Priced
from catalog.pricing.combining import add_up
from catalog.pricing.commitment import cap_credit, true_up
from catalog.pricing.proration import prorate
from customers.rated import LineKind, RatedLine, explain
from customers.segments import Segment

ONE = Decimal(1)


def of_charge(book: PriceBook, segment: Segment, lines: Sequence[RatedLine]) -> Iterator[RatedLine]:
    """The line that fills a charge's usage up to its minimum, or takes back what is above its cap; at most one.

    `lines`: the usage of the segment, rounded.
    """
    charge, charged = segment.matrix.charge, add_up(line.amount for line in lines)
    for kind, priced in _due(_part(charge.minimum, segment), _part(charge.cap, segment), charged):
        yield _line(book, kind, charge.id, charge.product, charge.name, charge.code, priced, segment.period)


def of_book(
    book: PriceBook, lines: Sequence[RatedLine], period: Period, used_days: int, full_days: int
) -> Iterator[RatedLine]:
    """The same for all usage charges together, after those of each charge. A credit is split by what is sold."""
    minimum = None if book.minimum is None else prorate(book.minimum, used_days, full_days)
    cap = None if book.cap is None else prorate(book.cap, used_days, full_days)
    for kind, priced in _due(minimum, cap, add_up(line.amount for line in lines)):
        if kind is LineKind.MINIMUM:
            assert book.commitment_product is not None  # the database holds it: plan_version_minimum_has_product
            yield _line(book, kind, None, book.commitment_product, "All usage", None, priced, period)
        else:
            yield from _credits(book, lines, priced, period)


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
