"""An amount for some days of a period. Pure. Rules: `docs/rules.md`, "Time"."""

from decimal import Decimal

from billing_site.foundation.money import EXACT


def prorate(amount: Decimal, used_days: int, full_days: int) -> Decimal:
    """`amount` × days used ÷ days in the full period: never more than it, nothing for no days.

    Not rounded: whoever asks rounds once. A share that has no finite decimals is carried to 100 digits, far beyond any
    minor unit, so that the one rounding decides as it would on the exact fraction.

    Raises ValueError when the period has no days, or the days used are not among them.
    """
    if not 0 <= used_days <= full_days or full_days == 0:
        raise ValueError(f"{used_days} of {full_days} days is not a part of a period.")
    if used_days == full_days:
        return amount
    return EXACT.divide(EXACT.multiply(amount, Decimal(used_days)), Decimal(full_days))


def days_in_words(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
