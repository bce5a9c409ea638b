"""Which tier holds a quantity, and what a tier is called. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal

from billing_site.foundation.money import ZERO, grouped
from catalog.pricing.book import Step
from catalog.pricing.package import in_packages
from catalog.pricing.tiers import Tier


class Ladder:
    """Tiers that hold together (`tier_faults` finds nothing), made ready to be asked."""

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self.tiers = tuple(tiers)
        self.bounds = [tier.up_to for tier in tiers if tier.up_to is not None]
        self.lower = [ZERO, *self.bounds]
        if len(self.bounds) != len(tiers) - 1 or tiers[-1].up_to is not None:
            raise ValueError("All tiers but the last have an upper bound, and the last one has none.")

    def index(self, quantity: Decimal) -> int:
        """Of the tier that holds a quantity. The first one holds nothing and what is below it, too."""
        return bisect_left(self.bounds, quantity)

    def step(self, index: int, quantity: Decimal, unit: str) -> Step:
        """So many units at the price of one tier."""
        tier = self.tiers[index]
        counted = f"{grouped(quantity)} {unit}"
        if tier.package is not None:
            counted = f"{counted}, {in_packages(quantity, tier.package, unit)}"
        words = f"{self.name(index, unit)}: {counted} × {grouped(tier.unit_price)}"
        price = tier.unit_price if tier.package is None else None
        return Step(words, quantity, price, tier.cost(quantity))

    def flat_step(self, index: int, unit: str) -> Step:
        return Step(f"{self.name(index, unit)}: flat fee", None, None, self.tiers[index].flat_price)

    def name(self, index: int, unit: str) -> str:
        """“tier 2, above 1,000 to 5,000 token”."""
        upper, number = self.tiers[index].up_to, f"tier {index + 1}"
        if len(self.tiers) == 1:
            return f"{number}, any quantity"
        if upper is None:
            return f"{number}, above {grouped(self.lower[index])} {unit}"
        if index == 0:
            return f"{number}, up to {grouped(upper)} {unit}"
        return f"{number}, above {grouped(self.lower[index])} to {grouped(upper)} {unit}"
