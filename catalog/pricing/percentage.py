"""Percentage: a share of the amounts that were metered, and a fixed fee for each event. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO, grouped
from catalog.pricing.book import Priced, Step, Steps

HUNDRED = Decimal(100)


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
        amount = EXACT.multiply(self._base(quantity), self.rate)
        if self.fixed:
            amount = EXACT.add(amount, EXACT.multiply(self.fixed, self._count(events)))
        one_price = None if self.fixed or self.free else self.rate
        return Priced(amount, self, one_price, quantity, unit, events)

    def _base(self, quantity: Decimal) -> Decimal:
        return quantity if quantity <= 0 else max(EXACT.subtract(quantity, self.free), ZERO)

    def _count(self, events: int) -> Decimal:
        return Decimal(max(events - self.free_events, 0))

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        base, percent = self._base(quantity), grouped(EXACT.multiply(self.rate, HUNDRED))
        words = f"{grouped(quantity)} {unit}"
        if base != quantity:
            words += f" − {grouped(self.free)} free: {grouped(base)}"
        share = Step(f"{words} × {percent} %", base, self.rate, EXACT.multiply(base, self.rate))
        if not self.fixed:
            return (share,)
        count = self._count(events)
        words = f"{events:,} {'event' if events == 1 else 'events'}"
        if count != events:
            words += f" − {self.free_events:,} free: {grouped(count)}"
        words += f" × {grouped(self.fixed)} each"
        return (share, Step(words, count, self.fixed, EXACT.multiply(self.fixed, count)))
