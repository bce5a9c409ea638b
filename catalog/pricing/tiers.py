"""Tiers: half-open (lower, upper] spans of a quantity, the last one open; and what is wrong with some. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import EXACT, ZERO, plain
from catalog.pricing.package import started


@dataclass(frozen=True)
class Tier:
    """Above the tier before, up to and including `up_to`; None: without end.

    `package`: `unit_price` is that of each started package of so many units, and not of one unit.
    """

    up_to: Decimal | None
    unit_price: Decimal = ZERO
    flat_price: Decimal = ZERO
    package: Decimal | None = None

    def cost(self, quantity: Decimal) -> Decimal:
        """What so many units cost here, without the flat fee."""
        count = quantity if self.package is None else started(quantity, self.package)
        return EXACT.multiply(count, self.unit_price)


def tier_faults(tiers: Sequence[Tier], field: str = "tiers", *, flat_only: bool = False) -> Iterator[Fault]:
    """Everything that is wrong with the tiers of one price, for “tiers.0.up_to” and the like (counted from 0).

    `flat_only`: the tiers of a stairstep, which have no unit prices.
    """
    if not tiers:
        yield Fault("tiers_missing", "There are no tiers: write at least one, with no upper bound.", field)
        return
    yield from _bound_faults(tiers, field)
    for index, tier in enumerate(tiers):
        yield from _price_faults(index, tier, f"{field}.{index}", flat_only=flat_only)


def _bound_faults(tiers: Sequence[Tier], field: str) -> Iterator[Fault]:
    if tiers[-1].up_to is not None:
        message = f"Tier {len(tiers)}, the last one, ends at {plain(tiers[-1].up_to)}: leave its upper bound empty."
        yield Fault("tier_not_open", message, f"{field}.{len(tiers) - 1}.up_to")
    for index, tier in enumerate(tiers[:-1]):
        if tier.up_to is None:
            message = f"Tier {index + 1} has no upper bound, so nothing reaches tier {index + 2}: write one."
            yield Fault("tier_open", message, f"{field}.{index}.up_to")
    bounds = [(index, tier.up_to) for index, tier in enumerate(tiers) if tier.up_to is not None]
    for (before, lower), (index, upper) in pairwise([(-1, ZERO), *bounds]):
        if upper <= lower:
            above = f"the {plain(lower)} at which tier {before + 1} ends" if before >= 0 else "0"
            message = f"Tier {index + 1} ends at {plain(upper)}: write an upper bound above {above}."
            yield Fault("tier_order", message, f"{field}.{index}.up_to")


def _price_faults(index: int, tier: Tier, field: str, *, flat_only: bool) -> Iterator[Fault]:
    number = f"tier {index + 1}"
    if tier.unit_price < 0:
        message = f"The unit price of {number}, {plain(tier.unit_price)}, is negative: write 0 or more."
        yield Fault("tier_price_negative", message, f"{field}.unit_price")
    if tier.flat_price < 0:
        message = f"The flat fee of {number}, {plain(tier.flat_price)}, is negative: write 0 or more."
        yield Fault("tier_price_negative", message, f"{field}.flat_price")
    if tier.package is not None and tier.package <= 0:
        message = f"The package of {number} holds {plain(tier.package)}: write a size above 0, or none."
        yield Fault("tier_package_size", message, f"{field}.package")
    if flat_only and (tier.unit_price or tier.package is not None):
        message = f"A stairstep has flat fees alone: empty the unit price of {number}, or choose volume."
        yield Fault("tier_unit_price", message, f"{field}.unit_price")
