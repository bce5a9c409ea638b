"""What minimums and caps add to the lines of usage, as lines of their own. Pure. Rules: `docs/rules.md`."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from billing_site.foundation.money import ZERO, as_decimal, minor_unit, round_amount, split
from billing_site.foundation.periods import Period
from catalog.pricing.book import PriceBook, Priced, UsageCharge
from catalog.pricing.combining import add_up
from catalog.pricing.commitment import cap_credit, true_up
from customers.rating.negotiated import Negotiated, What, named
from customers.rating.rated import LineKind, RatedLine, explain
from customers.rating.segments import Held, prorated, share_in

ONE = Decimal(1)


class Contradictory(Exception):
    """A minimum above the cap, as can come of a negotiated one and a plan's; the message says which."""


@dataclass(frozen=True)
class Part:
    """Days of a billing period on which the same minimum and cap of a full period hold; None: there is none."""

    period: Period
    days: int
    minimum: Decimal | None
    cap: Decimal | None


@dataclass(frozen=True)
class Commitment:
    """Minimum and cap of one usage charge, or of all of them together (`charge` None), through a billing period.

    What is due is the sum over the parts of what each says, by its days. `negotiated`: the terms that parts rest on.
    """

    book: PriceBook
    charge: UsageCharge | None
    parts: Sequence[Part]
    full_days: int
    timezone: str
    negotiated: tuple[Negotiated, ...] = ()


def commitment_lines(it: Commitment, lines: Sequence[RatedLine]) -> list[RatedLine]:
    """What takes back usage above the cap, by what is sold, and the line that fills it up to the minimum.

    `lines`: those of usage, rounded, of the whole period. A cap looks at the days on which there is one, a minimum at
    all of the period, after the cap. Raises Contradictory.
    """
    for part in it.parts:
        _check(it, part)
    found = list(_credits(it, lines))
    return [*found, *_filled(it, add_up(line.amount for line in (*lines, *found)))]


def _check(it: Commitment, part: Part) -> None:
    if part.minimum is not None and part.cap is not None and part.minimum > part.cap:
        name = "all usage" if it.charge is None else f"“{it.charge.name}”"
        message = (
            f"The minimum of {name} of {it.book.label}, {part.minimum:,f}, is above its cap, {part.cap:,f}: end the"
            " negotiated one of the two, or negotiate the other, too."
        )
        raise Contradictory(message)


def _filled(it: Commitment, charged: Decimal) -> Iterator[RatedLine]:
    """The line that fills the usage up to the minimum, if it is below."""
    parts = [part for part in it.parts if part.minimum is not None]
    if parts:
        priced = true_up(prorated([Held(each.minimum, each.days) for each in parts], it.full_days), charged)
        if priced.amount:
            yield _line(it, LineKind.MINIMUM, _product(it), priced, _span(parts))


def _product(it: Commitment) -> int:
    """Where neither the charge nor the version says it, as with a negotiated minimum, the first usage charge's."""
    if it.charge is not None:
        return it.charge.product
    if it.book.commitment_product is not None:
        return it.book.commitment_product
    usage_first = sorted(it.book.charges, key=lambda charge: not isinstance(charge, UsageCharge))
    return usage_first[0].product


def _credits(it: Commitment, lines: Sequence[RatedLine]) -> Iterator[RatedLine]:
    """What is above the cap, a line for each product."""
    parts = [part for part in it.parts if part.cap is not None]
    if not parts:
        return
    spans, always = [part.period for part in parts], len(parts) == len(it.parts)
    by_product: dict[int, Fraction] = defaultdict(Fraction)
    for line in lines:
        share = Fraction(1) if always else share_in(line.service, spans, it.timezone)
        by_product[line.product] += Fraction(line.amount) * share
    charged = as_decimal(sum(by_product.values(), Fraction(0)))
    priced = cap_credit(prorated([Held(each.cap, each.days) for each in parts], it.full_days), charged)
    if not priced.amount:
        return
    weights = [max(as_decimal(amount), ZERO) for amount in by_product.values()]
    amounts = split(round_amount(priced.amount, it.book.currency), weights, minor_unit(it.book.currency))
    for product, amount in zip(by_product, amounts, strict=True):
        if amount:
            yield _line(it, LineKind.CAP, product, priced, _span(parts), amount)


def _span(parts: Sequence[Part]) -> Period:
    return Period(parts[0].period.start, parts[-1].period.end)


_SUFFIX = {LineKind.MINIMUM: "minimum commitment", LineKind.CAP: "cap"}
_WHAT = {LineKind.MINIMUM: What.MINIMUM, LineKind.CAP: What.CAP}


def _line(
    it: Commitment, kind: LineKind, product: int, priced: Priced, period: Period, part: Decimal | None = None
) -> RatedLine:
    """It says so when it rests on what was negotiated. `part`: of an amount over several products."""
    charge = it.charge
    rounded = round_amount(priced.amount, it.book.currency)
    explanation = explain(it.book, None if charge is None else charge.code, None, priced, rounded)
    if part is not None and part != rounded:
        explanation["share"] = f"{part:,f} of {rounded:,f}, by what each product's usage comes to"
    amount = rounded if part is None else part
    line = RatedLine(
        kind=kind,
        charge=None if charge is None else charge.id,
        product=product,
        description=f"{'All usage' if charge is None else charge.name} · {_SUFFIX[kind]}",
        dimensions={},
        quantity=ONE,
        unit="",
        unit_price=amount,
        amount=amount,
        service=period,
        explanation=explanation,
    )
    rests = named(it.negotiated, _WHAT[kind])
    return replace(line, explanation={**explanation, **rests}) if rests else line
