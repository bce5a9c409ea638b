"""The parts of a period in which nothing about a charge changes, and what of its terms belongs to each. Pure.

Rules: `docs/rules.md`, "What is priced together".
"""

from dataclasses import dataclass
from decimal import Decimal

from billing_site.foundation.money import ZERO
from billing_site.foundation.periods import Period
from catalog.pricing.allowance import places_of, prorated_allowance
from catalog.pricing.matrix import Matrix
from catalog.pricing.proration import prorate
from customers.rating.negotiated import Negotiated

# A dimension that no meter can have: the part of a segment in which usage came.
WHEN = "\0when"


def name_of(part: Period) -> str:
    """The value of WHEN, as explanations show it."""
    return f"from {part.start:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Segment:
    """A charge as it holds in `period`: `used_days` local days of the `full_days` of its billing period.

    `parts`: of the period, when costs change within it: usage then says in which of them it came, by `WHEN`.
    `negotiated`: what of it holds for this subscription alone; the matrix has it already.
    """

    period: Period
    matrix: Matrix
    used_days: int
    full_days: int
    parts: tuple[Period, ...] = ()
    negotiated: tuple[Negotiated, ...] = ()

    def included(self) -> Decimal:
        """The units that cost nothing, at the places of the meter, or else of what the charge says."""
        charge = self.matrix.charge
        if charge.included is None:
            return ZERO
        places = places_of([charge.included]) if charge.places is None else charge.places
        return prorated_allowance(charge.included, self.used_days, self.full_days, places)

    def prorated(self, amount: Decimal) -> Decimal:
        """Of a sum for a full period, what belongs to the segment; not rounded."""
        return prorate(amount, self.used_days, self.full_days)
