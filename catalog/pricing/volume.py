"""Volume: all of the quantity at the price of the tier that holds it, plus that tier's flat fee. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

from billing_site.foundation.money import EXACT
from catalog.pricing.book import Priced, Steps
from catalog.pricing.ladder import Ladder
from catalog.pricing.tiers import Tier


class Volume:
    """`flat_at_zero`: the first tier's flat fee is due without usage, too; for charges without dimensions alone.

    Below nothing, usage that was taken back is priced as the first tier's.
    """

    def __init__(self, tiers: Sequence[Tier], flat_at_zero: bool) -> None:  # noqa: FBT001 - a column of the charge
        self.tiers, self.flat_at_zero = tuple(tiers), flat_at_zero
        self._ladder = Ladder(tiers)

    def price(self, quantity: Decimal, unit: str, events: int) -> Priced:
        """One unit price holds where the tier has neither a flat fee nor packages."""
        index = self._ladder.index(quantity)
        tier = self.tiers[index]
        flat = tier.flat_price and (quantity > 0 or self.flat_at_zero)
        amount = EXACT.add(tier.cost(quantity), tier.flat_price) if flat else tier.cost(quantity)
        one_price = tier.unit_price if not flat and tier.package is None else None
        return Priced(amount, partial(self._steps, quantity, unit, index, flat=bool(flat)), one_price)

    def _steps(self, quantity: Decimal, unit: str, index: int, *, flat: bool) -> Steps:
        step = self._ladder.step(index, quantity, unit)
        return (step, self._ladder.flat_step(index, unit)) if flat else (step,)
