"""The parts of a period in which nothing about the price of a charge changes, and what is due of its terms. Pure.

Rules: `docs/rules.md`, "Negotiated terms".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from billing_site.foundation.money import EXACT, ZERO, round_to
from billing_site.foundation.periods import Period, days
from catalog.pricing.allowance import places_of
from catalog.pricing.combining import add_up
from catalog.pricing.matrix import Matrix
from customers.rating.negotiated import Negotiated

# A dimension that no meter can have: the part of a segment in which usage came.
WHEN = "\0when"


def name_of(part: Period) -> str:
    """The value of WHEN, as explanations show it."""
    return f"from {part.start:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Segment:
    """A charge as it is priced in `period`, a part of a billing period.

    `included`: the units that cost nothing. Where quantities add up, those of all segments of a charge are for the
    whole period together. `parts`: of the segment, when costs change within it: usage then says in which of them it
    came, by `WHEN`. `negotiated`: what holds in it for this subscription alone; matrix and units have it already.
    """

    period: Period
    matrix: Matrix
    included: Decimal = ZERO
    parts: tuple[Period, ...] = ()
    negotiated: tuple[Negotiated, ...] = ()


class Held(NamedTuple):
    """A quantity or amount of a full period that holds on so many of its days; None: none does."""

    number: Decimal | None
    days: int


def prorated(held: Iterable[Held], full_days: int) -> Decimal:
    """Σ number × days ÷ days of the full period, divided once, not rounded: never more than the greatest of them."""
    whole = add_up(EXACT.multiply(each.number, Decimal(each.days)) for each in held if each.number is not None)
    return EXACT.divide(whole, Decimal(full_days))


def allowances(segments: Sequence[Sequence[Held]], full_days: int, places: int | None) -> list[Decimal]:
    """The units that each segment includes, rounded as they add up.

    `places`: the decimals of the meter; None: those of the units that are included. A full period includes what is
    written, however fine that is.
    """
    every = [each for segment in segments for each in segment]
    written = {each.number or ZERO for each in every}
    if written == {ZERO}:
        return [ZERO] * len(segments)
    whole = sum(each.days for each in every) == full_days and len(written) == 1
    digits = places_of(written) if places is None else places
    found, passed, before = [], list[Held](), ZERO
    for number, segment in enumerate(segments, 1):
        passed += segment
        due = prorated(passed, full_days)
        if not (whole and number == len(segments)):
            due = round_to(due, digits)
        found.append(EXACT.subtract(due, before))
        before = due
    return found


def share_in(service: Period, spans: Iterable[Period], timezone: str) -> Fraction:
    """How much of a line falls in some parts of time: all or nothing where it lies in or out, else by local days."""
    met = [met for span in spans if (met := service.clip(span.start, span.end)).start < met.end]
    if not met:
        return Fraction(0)
    if met == [service]:
        return Fraction(1)
    return Fraction(sum(days(each, timezone) for each in met), days(service, timezone))
