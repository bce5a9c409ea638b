"""Flat fees: what one costs for a part of a period. Pure."""

from decimal import Decimal

from billing_site.foundation.money import EXACT, plain, round_amount
from billing_site.foundation.periods import Period, Schedule, days
from catalog.pricing.book import FlatCharge, PriceBook
from customers.rated import RatedLine

ONE = Decimal(1)


def fee_line(book: PriceBook, charge: FlatCharge, schedule: Schedule, used: Period) -> RatedLine:
    """The fee of `used`, which lies in one period of `schedule`: fee × days used ÷ days in the full period, rounded once."""
    full = schedule.period_at(used.start)
    if used.end > full.end:
        raise ValueError(f"The fee “{charge.name}” was asked for {used}, which is more than one period.")
    used_days, full_days = days(used, schedule.timezone), days(full, schedule.timezone)
    description, steps, exact = (charge.name, [f"{plain(charge.amount)} for a full period"], charge.amount)
    if used_days < full_days:
        exact = EXACT.divide(EXACT.multiply(charge.amount, Decimal(used_days)), Decimal(full_days))
        description = f"{charge.name} ({used_days} of {full_days} days)"
        steps = [f"{plain(charge.amount)} × {used_days} ÷ {full_days} days = {_shown(exact)}"]
    amount = round_amount(exact, book.currency)
    if amount != exact:
        steps.append(f"rounded to {amount}")
    return RatedLine(
        charge=charge.id,
        product=charge.product,
        description=description,
        dimensions={},
        quantity=ONE,
        unit="",
        # As the invoice is read: quantity × unit price is the amount. The fee of a full period stands in the explanation.
        unit_price=amount,
        amount=amount,
        service=used,
        explanation={
            "version": book.label,
            "version_id": book.version,
            "charge": charge.code,
            "row": None,
            "steps": steps,
        },
    )


def _shown(exact: Decimal) -> str:
    """All digits when there are few, otherwise the first twelve decimals."""
    text = plain(exact)
    whole, _, decimals = text.partition(".")
    return text if len(decimals) <= 12 else f"{whole}.{decimals[:12]}…"
