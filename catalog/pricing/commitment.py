"""What a minimum or a cap does to the usage charges of a period. Pure. Rules: `docs/rules.md`, "Price models".

Both look at what the usage lines come to: after the allowance, rounded, before any discount. A minimum or cap for a
part of a period is prorated by its days first: `prorate`, not rounded. Whoever writes the line rounds once; the usage
lines are rounded already, so they and the true-up come to the rounded minimum.
"""

from collections.abc import Iterator
from decimal import Decimal

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import EXACT, ZERO, plain
from catalog.pricing.book import Priced, Step, Steps, shown
from catalog.pricing.proration import prorate

__all__ = ["bound_faults", "cap_credit", "prorate", "true_up"]


def true_up(minimum: Decimal, charged: Decimal) -> Priced:
    """max(0, minimum − charged): what is missing to the minimum."""
    missing = max(EXACT.subtract(minimum, charged), ZERO)
    return Priced(missing, _steps("minimum", minimum, charged, missing, reached=not missing), None)


def cap_credit(cap: Decimal, charged: Decimal) -> Priced:
    """min(0, cap − charged): what is taken back of what goes beyond the cap, a negative amount."""
    beyond = min(EXACT.subtract(cap, charged), ZERO)
    return Priced(beyond, _steps("cap", cap, charged, beyond, reached=bool(beyond)), None)


def _steps(name: str, bound: Decimal, charged: Decimal, amount: Decimal, *, reached: bool) -> Steps:
    """One step: the bound less the usage that was charged, where that is what is due."""
    if amount:
        return (Step(f"{name} {shown(bound)} − usage {shown(charged)}", None, None, amount),)
    state = "reached" if reached else "not reached"
    return (Step(f"{name} {shown(bound)}, {state} by usage of {shown(charged)}", None, None, amount),)


def bound_faults(minimum: Decimal | None, cap: Decimal | None, field: str = "minimum") -> Iterator[Fault]:
    """A minimum above its cap contradicts it: no sum keeps both."""
    if minimum is not None and cap is not None and minimum > cap:
        message = (
            f"The minimum {plain(minimum)} is above the cap {plain(cap)}: write a minimum of {plain(cap)} or less, or a"
            " higher cap."
        )
        yield Fault("minimum_above_cap", message, field)
