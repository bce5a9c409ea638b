"""Whether a customer may, now, by what it has of a feature and what it used. Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from billing_site.foundation.money import EXACT, ZERO, grouped
from catalog.features.values import UNLIMITED, Unlimited, Value


class Reason(StrEnum):
    """Why, or why not: for programs."""

    INCLUDED = "included"
    UNLIMITED = "unlimited"
    WITHIN_LIMIT = "within_limit"
    LIMIT_EXCEEDED = "limit_exceeded"
    NOT_INCLUDED = "not_included"
    VALUE_NOT_INCLUDED = "value_not_included"
    USAGE_STILL_COUNTING = "usage_still_counting"


@dataclass(frozen=True)
class Decision:
    """`message`: for people."""

    allowed: bool
    reason: Reason
    message: str


def remaining(value: Decimal | Unlimited, used: Decimal) -> Decimal | None:
    """How much more fits, never less than nothing; None: there is no limit."""
    return None if value is UNLIMITED else max(ZERO, EXACT.subtract(value, used))


def switch(name: str, value: Value) -> Decision:
    if value is True:
        return Decision(True, Reason.INCLUDED, f"“{name}” is on.")
    return Decision(False, Reason.NOT_INCLUDED, f"“{name}” is off: neither a plan nor an override turns it on.")


def listed(name: str, value: Value, asked: str) -> Decision:
    """Whether a value is among those of a list."""
    if value is UNLIMITED:
        return Decision(True, Reason.UNLIMITED, f"“{name}” includes every value.")
    if not value or not isinstance(value, tuple):
        return Decision(False, Reason.NOT_INCLUDED, f"“{name}” includes nothing: neither a plan nor an override does.")
    if asked in value:
        return Decision(True, Reason.INCLUDED, f"“{name}” includes “{asked}”.")
    known = ", ".join(f"“{text}”" for text in value[:20]) + (" and others" if len(value) > 20 else "")
    return Decision(False, Reason.VALUE_NOT_INCLUDED, f"“{name}” does not include “{asked[:100]}”, but {known}.")


def number(name: str, value: Value, quantity: Decimal, used: Decimal | None, resets_at: datetime | None) -> Decision:
    """Whether so much more still fits. `used` None: what was used is not known; `resets_at` None: nothing is counted.

    What is not known stops nobody: it is allowed as far as the number alone allows it.
    """
    if value is UNLIMITED:
        return Decision(True, Reason.UNLIMITED, f"“{name}” has no limit.")
    if not value or not isinstance(value, Decimal):
        return Decision(False, Reason.NOT_INCLUDED, f"“{name}” is 0: neither a plan nor an override gives more.")
    asked, limit = grouped(quantity), grouped(value)
    if resets_at is None:
        fits = quantity <= value
        message = f"{asked} is {'within' if fits else 'more than'} the {limit} of “{name}”."
        return Decision(fits, Reason.WITHIN_LIMIT if fits else Reason.LIMIT_EXCEEDED, message)
    if used is None:
        return _unknown(name, value, quantity)
    left = remaining(value, used) or ZERO
    about = f"{grouped(used)} of {limit} “{name}” are used, {grouped(left)} are left until {resets_at:%Y-%m-%d %H:%M}"
    if EXACT.add(used, quantity) <= value:
        return Decision(True, Reason.WITHIN_LIMIT, f"{about}: {asked} more fit.")
    return Decision(False, Reason.LIMIT_EXCEEDED, f"{about}: {asked} more do not fit.")


def _unknown(name: str, value: Decimal, quantity: Decimal) -> Decision:
    about = f"How much of “{name}” is used is not known yet, as stored events are still being counted"
    if quantity > value:
        message = f"{about}; {grouped(quantity)} do not fit into {grouped(value)} in any case."
        return Decision(False, Reason.LIMIT_EXCEEDED, message)
    return Decision(True, Reason.USAGE_STILL_COUNTING, f"{about}: nobody is stopped meanwhile.")
