"""Flat fees: what one costs for a part of a period, as a line. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

from billing_site.foundation.money import EXACT, ZERO, round_amount
from billing_site.foundation.periods import Period, Schedule, days
from catalog.pricing.book import FlatCharge, PriceBook, Priced, Step
from catalog.pricing.flat import price_fee
from customers.rating.negotiated import Negotiated, What, named
from customers.rating.rated import LineKind, RatedLine, explain

ONE = Decimal(1)


def fee_line(
    book: PriceBook,
    charge: FlatCharge,
    schedule: Schedule,
    used: Period,
    agreed: Sequence[Negotiated] = (),
    before: Decimal = ZERO,
) -> RatedLine:
    """The fee for `used`, prorated by the local days of the full period that it lies in, rounded once.

    `agreed`: the negotiated terms that the charge has already, of which the explanation tells. `before`: what the same
    fee comes to for earlier parts of the period, exactly: together they are rounded as one, and never more than it.
    Raises ValueError when `used` is more than one period.
    """
    used_days, full_days = days_of(schedule, used)
    priced = price_fee(charge.amount, used_days, full_days)
    part = "" if used_days == full_days else f" ({used_days} of {full_days} days)"
    return _line(book, charge, priced, used, part, agreed, before)


def once_line(book: PriceBook, charge: FlatCharge, begins: Period, agreed: Sequence[Negotiated] = ()) -> RatedLine:
    """A fee that is due once, whole, with the period in which the subscription begins."""
    step = Step("the fee, once", None, None, charge.amount)
    return _line(book, charge, Priced(charge.amount, (step,), charge.amount), begins, "", agreed)


def _line(
    book: PriceBook,
    charge: FlatCharge,
    priced: Priced,
    service: Period,
    suffix: str,
    agreed: Sequence[Negotiated],
    before: Decimal = ZERO,
) -> RatedLine:
    together = round_amount(EXACT.add(before, priced.amount), book.currency)
    amount = EXACT.subtract(together, round_amount(before, book.currency))
    return RatedLine(
        kind=LineKind.FEE,
        charge=charge.id,
        product=charge.product,
        description=charge.name + suffix,
        dimensions={},
        quantity=ONE,
        unit="",
        # On an invoice quantity × unit price is the amount; the fee of a full period stands in the explanation.
        unit_price=amount,
        amount=amount,
        service=service,
        explanation={**explain(book, charge.code, None, priced, amount), **named(agreed, What.FEE)},
    )


@lru_cache(maxsize=1_000)
def days_of(schedule: Schedule, used: Period) -> tuple[int, int]:
    """Local days of `used`, and of the full period in which it lies. Kept: a chunk asks it of the same few schedules.

    Raises ValueError when `used` is more than one period.
    """
    full = schedule.period_at(used.start)
    if used.end > full.end:
        raise ValueError(f"{used.start} to {used.end} is more than one period.")
    return days(used, schedule.timezone), days(full, schedule.timezone)
