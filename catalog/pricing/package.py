"""Packages: every started package costs its price. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO, grouped
from catalog.pricing.book import Priced, Step, Steps

ONE = Decimal(1)


@dataclass(frozen=True)
class Package:
    """ceil(max(quantity − free, 0) ÷ size) × price of a package. What was taken back below nothing costs nothing."""

    size: Decimal
    package_price: Decimal
    free: Decimal = ZERO

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        return Priced(self._amount(quantity), self, None, quantity, unit, events)

    def steps(self, quantity: Decimal, unit: str, events: int) -> Steps:
        free = f" − {grouped(self.free)} free" if self.free else ""
        packages = in_packages(EXACT.subtract(quantity, self.free), self.size, unit)
        words = f"{grouped(quantity)} {unit}{free}, {packages} × {grouped(self.package_price)}"
        return (Step(words, quantity, None, self._amount(quantity)),)

    def _amount(self, quantity: Decimal) -> Decimal:
        return EXACT.multiply(started(EXACT.subtract(quantity, self.free), self.size), self.package_price)


def started(quantity: Decimal, size: Decimal) -> Decimal:
    """How many packages of `size` a quantity starts; none when it is not above nothing."""
    if quantity <= 0:
        return ZERO
    # Whole division: a quotient without end would have to be rounded before it could be rounded up.
    whole, rest = EXACT.divmod(quantity, size)
    return EXACT.add(whole, ONE) if rest else whole


def in_packages(quantity: Decimal, size: Decimal, unit: str) -> str:
    """“3 packages of 1,000 token”."""
    count = started(quantity, size)
    return f"{grouped(count)} {'package' if count == 1 else 'packages'} of {grouped(size)} {unit}"
