"""A flat fee for a whole period or for some of its days. Pure. Rules: `docs/rules.md`, "Time"."""

from decimal import Decimal

from billing_site.foundation.money import EXACT, grouped
from catalog.pricing.book import Priced

# What the arithmetic shows of a share that has no end, such as 10 ÷ 3.
SHOWN_PLACES = 12


def price_fee(fee: Decimal, days_used: int, days_in_period: int) -> Priced:
    """`fee` × days used ÷ days in the full period: never more than the fee, nothing for no days.

    The amount is not rounded to a currency: round it once, on the line. A share that has no finite decimals is carried
    to 100 digits, far beyond any minor unit, so that the one rounding decides as it would on the exact fraction.

    Raises ValueError when the period has no days, or the days used are not among them.
    """
    if not 0 <= days_used <= days_in_period or days_in_period == 0:
        raise ValueError(f"{days_used} of {days_in_period} days is not a part of a period.")
    if days_used == days_in_period:
        return Priced(fee, (f"the fee of the full period = {grouped(fee)}",), fee)
    amount = EXACT.divide(EXACT.multiply(fee, Decimal(days_used)), Decimal(days_in_period))
    step = f"{grouped(fee)} × {_days(days_used)} ÷ {_days(days_in_period)} = {_shown(amount)}"
    return Priced(amount, (step,), fee)


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def _shown(amount: Decimal) -> str:
    """Every digit of a short amount; a long one is cut off, not rounded, and "…" says so."""
    text = grouped(amount)
    whole, _, decimals = text.partition(".")
    return text if len(decimals) <= SHOWN_PLACES else f"{whole}.{decimals[:SHOWN_PLACES]}…"
