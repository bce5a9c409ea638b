"""Flat fees: what one costs for a part of a period, as a line. Pure."""

from decimal import Decimal
from functools import lru_cache

from billing_site.foundation.money import round_amount
from billing_site.foundation.periods import Period, Schedule, days
from catalog.pricing.book import FlatCharge, PriceBook
from catalog.pricing.flat import price_fee
from customers.rated import RatedLine, explain

ONE = Decimal(1)


def fee_line(book: PriceBook, charge: FlatCharge, schedule: Schedule, used: Period) -> RatedLine:
    """The fee for `used`, prorated by the local days of the full period that it lies in, rounded once.

    Raises ValueError when `used` is more than one period.
    """
    used_days, full_days = _days(schedule, used)
    priced = price_fee(charge.amount, used_days, full_days)
    amount = round_amount(priced.amount, book.currency)
    part = "" if used_days == full_days else f" ({used_days} of {full_days} days)"
    return RatedLine(
        charge=charge.id,
        product=charge.product,
        description=charge.name + part,
        dimensions={},
        quantity=ONE,
        unit="",
        # On an invoice quantity × unit price is the amount; the fee of a full period stands in the explanation.
        unit_price=amount,
        amount=amount,
        service=used,
        explanation=explain(book, charge.code, None, priced, amount),
    )


@lru_cache(maxsize=1_000)
def _days(schedule: Schedule, used: Period) -> tuple[int, int]:
    """Days used, and days in the full period. Kept: a chunk asks it of the same few schedules for every fee."""
    full = schedule.period_at(used.start)
    if used.end > full.end:
        raise ValueError(f"A fee was asked for {used.start} to {used.end}, which is more than one period.")
    return days(used, schedule.timezone), days(full, schedule.timezone)
