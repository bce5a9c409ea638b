"""The usage of one charge, as lines: a rounding per matrix row, a line per combination. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO, grouped, minor_unit, round_amount
from billing_site.foundation.periods import Period
from catalog.pricing.allowance import places_of
from catalog.pricing.book import PriceBook, Row, Unmatched, UsageCharge
from catalog.pricing.combining import add_up
from catalog.pricing.matrix import Combination, Measured, Part, PricedRow, PricedUsage
from catalog.pricing.parts import RowKey, key_of, price_parts
from catalog.pricing.sharing import share
from customers.rating.cost_parts import roundings, without_when
from customers.rating.negotiated import What, named
from customers.rating.rated import LineKind, RatedLine, explain
from customers.rating.segments import Segment

# What a line can show. A finer one, such as a cost and its margin, stands in the explanation, and is not rounded here.
UNIT_PRICE_PLACES = 15


Lines = tuple[list[RatedLine], list[str]]
Rounded = dict[RowKey, Decimal]
"""What each row comes to so far, exactly."""


def usage_lines(book: PriceBook, segments: Sequence[Segment], usage: Sequence[Iterable[Measured]]) -> Lines:
    """Lines in the order of segments, rows, then dimension values; and a problem for each combination that holds the
    invoice. `usage`: of each segment.

    Σ line quantities = usage (but for what is held), Σ line amounts of a row = the row's amount, rounded once: also
    over the segments where quantities add up, and over the parts in which costs differ. Otherwise each segment is
    priced for itself.
    """
    pairs = list(zip(segments, usage, strict=True))
    if len(pairs) > 1 and segments[0].matrix.charge.adds_up:
        included = add_up(segment.included for segment in segments)
        priced = price_parts([(segment.matrix, used) for segment, used in pairs], included)
        rounded: Rounded = defaultdict(Decimal)
        made = [_lines(book, *each, rounded) for each in zip(segments, priced, strict=True)]
    else:
        made = [
            _lines(book, segment, segment.matrix.price(used, segment.included), defaultdict(Decimal))
            for segment, used in pairs
        ]
    return [line for lines, _ in made for line in lines], [problem for _, problems in made for problem in problems]


def _lines(book: PriceBook, segment: Segment, priced: PricedUsage, rounded: Rounded) -> Lines:
    charge, service = segment.matrix.charge, segment.period
    lines = [line for row in priced.rows for line in _row_lines(book, segment, row, rounded)]
    costless = [each for each in without_when(priced.unknown_cost) if each.quantity]
    unmatched = [each for each in without_when(priced.unmatched) if each.quantity]
    problems = [_costless(book, charge, combination) for combination in costless]
    if charge.unmatched == Unmatched.HOLD:
        return lines, [*problems, *(_held(book, charge, combination) for combination in unmatched)]
    return [*lines, *(_free_line(book, charge, combination, service) for combination in unmatched)], problems


def _row_lines(book: PriceBook, segment: Segment, row: PricedRow, rounded: Rounded) -> Iterator[RatedLine]:
    """A line is the rounded amount up to its end less that up to its beginning, so that lines of a row add up to it."""
    charge, key = segment.matrix.charge, key_of(row.row)
    rests_on = named(segment.negotiated, What.PRICE, What.INCLUDED, row=row.row.id) if segment.negotiated else {}
    for service, parts, priced in roundings(row, segment):
        before = rounded[key]
        rounded[key] = EXACT.add(before, priced.amount)
        amount = EXACT.subtract(round_amount(rounded[key], book.currency), round_amount(before, book.currency))
        explanation = {**explain(book, charge.code, _row(row.row), priced, amount), **rests_on}
        # Without a quantity there is something to pay only for a fee of tiers, or for events of no value.
        used = [part for part in parts if part.quantity] or [*parts[: bool(priced.amount)]]
        yield from _shared_lines(book, charge, used, amount, service, explanation)


def _shared_lines(
    book: PriceBook,
    charge: UsageCharge,
    used: Sequence[Part],
    amount: Decimal,
    service: Period,
    explanation: dict[str, object],
) -> Iterator[RatedLine]:
    """A rounded amount over the combinations that it is for."""
    if len(used) == 1:
        yield _part_line(charge, used[0], amount, service, explanation)
        return
    amounts = share(amount, [part.weight for part in used], minor_unit(book.currency)) if used else []
    quantity = grouped(add_up(part.quantity for part in used))
    for part, part_amount in zip(used, amounts, strict=True):
        text = (
            f"{grouped(part.quantity)} of {quantity} {charge.unit} in this row:"
            f" {part_amount} of {amount}, by largest remainder"
        )
        yield _part_line(charge, part, part_amount, service, {**explanation, "share": text})


def _row(row: Row) -> dict[str, object]:
    """A negotiated row has no id in the plan."""
    return {"id": row.id if row.id > 0 else None, "match": dict(row.match)}


def _part_line(
    charge: UsageCharge, part: Part, amount: Decimal, service: Period, explanation: dict[str, object]
) -> RatedLine:
    return _line(charge, part, part.unit_price, amount, service, explanation, included=part.included)


def _free_line(book: PriceBook, charge: UsageCharge, combination: Combination, service: Period) -> RatedLine:
    nothing = round_amount(ZERO, book.currency)
    step = f"no row prices {_named(combination)}; the charge says to charge nothing for such usage"
    explanation = {**explain(book, charge.code, None, None, nothing), "steps": [step]}
    return _line(charge, combination, ZERO, nothing, service, explanation, suffix=" (not priced)")


def _line(
    charge: UsageCharge,
    combination: Combination | Part,
    unit_price: Decimal | None,
    amount: Decimal,
    service: Period,
    explanation: dict[str, object],
    suffix: str = "",
    included: Decimal = ZERO,
) -> RatedLine:
    return RatedLine(
        kind=LineKind.USAGE,
        charge=charge.id,
        product=charge.product,
        description=" · ".join((charge.name, *combination.dimensions.values())) + suffix,
        dimensions=combination.dimensions,
        quantity=combination.quantity,
        unit=charge.unit,
        unit_price=None if unit_price is None or places_of([unit_price]) > UNIT_PRICE_PLACES else unit_price,
        amount=amount,
        service=service,
        explanation=explanation,
        included=included,
    )


def _costless(book: PriceBook, charge: UsageCharge, combination: Combination) -> str:
    band = "" if charge.cost is None else charge.cost.context
    mend = "Record its cost"
    if band and band not in combination.dimensions:
        mend = f"It has no “{band}”, so it does not say which cost is its own: amend its events, or record a cost"
    return (
        f"“{charge.name}” of {book.label} is priced by cost, and nobody knows what {_named(combination)} costs:"
        f" {grouped(combination.quantity)} {charge.unit}. {mend}; the invoice goes on by itself."
    )


def _held(book: PriceBook, charge: UsageCharge, combination: Combination) -> str:
    return (
        f"“{charge.name}” of {book.label} has no price for {_named(combination)}:"
        f" {grouped(combination.quantity)} {charge.unit}. Publish a version of the plan with a row for it, or with a"
        " row of only *, and move the subscription to that version."
    )


def _named(combination: Combination) -> str:
    return (
        ", ".join(f"{name} = {value}" for name, value in combination.dimensions.items()) or "usage without dimensions"
    )
