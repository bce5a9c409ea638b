"""A flat fee for a whole period or for some of its days. Pure. Rules: `docs/rules.md`, "Time"."""

from decimal import Decimal

from billing_site.foundation.money import grouped
from catalog.pricing.book import Priced, Step
from catalog.pricing.proration import days_in_words, prorate


def price_fee(fee: Decimal, days_used: int, days_in_period: int) -> Priced:
    """`fee` × days used ÷ days in the full period, not rounded: see `catalog.pricing.proration.prorate`.

    Raises ValueError when the period has no days, or the days used are not among them.
    """
    amount = prorate(fee, days_used, days_in_period)
    if days_used == days_in_period:
        words = "the fee of the full period"
    else:
        words = f"{grouped(fee)} × {days_in_words(days_used)} ÷ {days_in_words(days_in_period)}"
    return Priced(amount, (Step(words, None, None, amount),), fee)
