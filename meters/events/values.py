"""Numbers and texts on events: which are taken, and how they are written. Pure.

A quantity has at most 18 digits before the decimal point and 12 after it, so that 100 million of the largest still fit
into the `numeric(38,12)` of a bucket. Nothing is ever rounded on its way in.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from billing_site.foundation.money import EXACT, plain

MAX_TEXT = 255
MAX_WHOLE_DIGITS = 18
MAX_PLACES = 12

_NUMBER = re.compile(r"-?\d{1,38}(\.\d{1,38})?([eE][+-]?\d{1,2})?", re.ASCII)


class Unfit(Exception):
    """A value that cannot be taken as it is; `field` is the property or field that holds it."""

    def __init__(self, code: str, message: str, field: str) -> None:
        super().__init__(message)
        self.code, self.message, self.field = code, message, field


def lookup(properties: Mapping[str, Any], name: str) -> Any:
    """The property `name`: the key itself when the event has it, else “a.b” reads b inside a. None when missing."""
    if name in properties:
        return properties[name]
    if "." not in name:
        return None
    value: Any = properties
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def as_text(value: Any) -> str | None:
    """How a property is compared: numbers plain (1 = 1.0 = "1"), booleans true/false, objects and lists not at all."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return plain(value) if isinstance(value, Decimal) else None


def as_number(value: Any) -> Decimal | None:
    """The number that `value` is, or spells as text ("12.5"); None for anything else, booleans included."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, Decimal):
        return value
    return Decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def places(number: Decimal) -> int:
    """Digits after the decimal point, trailing zeros left out."""
    exponent = int(number.as_tuple().exponent)
    if -exponent > MAX_PLACES:
        exponent = int(number.normalize(EXACT).as_tuple().exponent)
    return max(0, -exponent)


def check_quantity(number: Decimal, field: str) -> None:
    """Raise Unfit when `number` is larger or finer than a quantity can be."""
    if number and number.adjusted() >= MAX_WHOLE_DIGITS:
        raise Unfit(
            "value_too_large",
            f"{field} is {_brief(number)}; at most {MAX_WHOLE_DIGITS} digits before the decimal point are taken: "
            "use a larger unit.",
            field,
        )
    if places(number) > MAX_PLACES:
        raise Unfit(
            "value_too_precise",
            f"{field} is {_brief(number)}; at most {MAX_PLACES} decimal places are taken, and nothing is rounded "
            f"for you: round it to {MAX_PLACES} places or fewer.",
            field,
        )


def _brief(number: Decimal) -> str:
    text = str(number)
    return text if len(text) <= 60 else f"{text[:60]}…"
