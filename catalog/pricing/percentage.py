"""Percentage: a share of the amounts that were metered, and a fixed fee for each event. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from billing_site.foundation.money import EXACT, ZERO, grouped
from catalog.pricing.book import Priced, Step, Steps


@dataclass(frozen=True)
class Percentage:
    """max(quantity − free, 0) × rate + fixed × max(events − free events, 0).

    `rate` is a fraction: 0.029 is 2.9 %. `free` is of the quantity, which pays no rate; `free_events` pay no fixed fee.
    Each is counted on the totals, so neither asks in which order events came. Usage that was taken back, below nothing,
    gives a negative amount, whole.
    """

    rate: Decimal
    fixed: Decimal = ZERO
    free: Decimal = ZERO
    free_events: int = 0

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        """One unit price, the rate, holds where nothing is free or fixed."""
        base = quantity if quantity <= 0 else max(EXACT.subtract(quantity, self.free), ZERO)
        count = max(events - self.free_events, 0)
        amount = EXACT.multiply(base, self.rate)
        if self.fixed:
            amount = EXACT.add(amount, EXACT.multiply(self.fixed, Decimal(count)))
        one_price = None if self.fixed or self.free else self.rate
        return Priced(amount, partial(self._steps, quantity, unit, events, base, count), one_price)

    def _steps(self, quantity: Decimal, unit: str, events: int, base: Decimal, count: int) -> Steps:
        free = f" − {grouped(self.free)} free" if self.free and quantity > 0 else ""
        percent = grouped(EXACT.multiply(self.rate, Decimal(100)))
        share = Step(
            f"{grouped(quantity)} {unit}{free}: {grouped(base)} × {percent} %",
            base,
            self.rate,
            EXACT.multiply(base, self.rate),
        )
        if not self.fixed:
            return (share,)
        free = f" − {self.free_events:,} free" if self.free_events else ""
        words = f"{events:,} {'event' if events == 1 else 'events'}{free}: {count:,} × {grouped(self.fixed)}"
        fee = EXACT.multiply(self.fixed, Decimal(count))
        return (share, Step(words, Decimal(count), self.fixed, fee))
