"""What a plan version or an override gives of a feature: read, combined, and said. Pure.

switch   True or False
number   a Decimal, or UNLIMITED
list     the texts that are included, or UNLIMITED: any
"""

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum, StrEnum
from typing import Final, Literal

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.money import EXACT, ZERO, grouped, plain
from billing_site.foundation.shapes import written as as_written
from meters.events.values import Unfit, as_number, check_quantity


class Kind(StrEnum):
    SWITCH = "switch"
    NUMBER = "number"
    LIST = "list"


class Window(StrEnum):
    """For how long use of a number is added up before it begins again."""

    BILLING_PERIOD = "billing_period"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Several(StrEnum):
    """What counts when several subscriptions of one customer give a number."""

    HIGHEST = "highest"
    SUM = "sum"


class Unlimited(Enum):
    """More than any number, and any value of a list."""

    UNLIMITED = "unlimited"


UNLIMITED: Final = Unlimited.UNLIMITED
Value = bool | Decimal | tuple[str, ...] | Literal[Unlimited.UNLIMITED]
Written = bool | str | list[str]

NOTHING: Final[dict[Kind, Value]] = {Kind.SWITCH: False, Kind.NUMBER: ZERO, Kind.LIST: ()}
"""What a customer has of a feature that nobody gives it."""

ALL_OF: Final = {Kind.NUMBER: "unlimited", Kind.LIST: "any"}
"""How UNLIMITED is written."""


def read(kind: Kind, given: object, allowed: Sequence[str] = ()) -> Value:
    """The value that somebody wrote, as `written` writes it; a number may also be a Decimal or an int.

    Texts of a list come in the order of `allowed`, each once. Raises Refused.
    """
    if kind in ALL_OF and (given is UNLIMITED or given == ALL_OF[kind]):
        return UNLIMITED
    if kind is Kind.SWITCH:
        if isinstance(given, bool):
            return given
        raise _refusal("value_invalid", f"{_shown(given)} is not a switch's value: use true or false.")
    return _number(given) if kind is Kind.NUMBER else _texts(given, allowed)


def _number(given: object) -> Decimal:
    number = as_number(given)
    if number is None or not number.is_finite():
        message = f"{_shown(given)} is not a number: use one such as 1000, or “unlimited”."
        raise _refusal("value_invalid", message)
    if number < 0:
        raise _refusal("value_negative", f"{plain(number)} is negative: use 0 or more, or “unlimited”.")
    try:
        check_quantity(number, "The number")
    except Unfit as unfit:
        raise _refusal(unfit.code, unfit.message) from None
    return EXACT.add(number, ZERO)


def _texts(given: object, allowed: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(given, list | tuple | set | frozenset) or not all(isinstance(each, str) for each in given):
        raise _refusal("value_invalid", f"{_shown(given)} is not a list of texts: use one such as [“small”], or “any”.")
    faults = [
        Fault("value_unknown", f"“{each[:100]}” is not a value of this list: {_choose(each, allowed)}.", "value")
        for each in given
        if each not in allowed
    ]
    if faults:
        raise Refused(*faults)
    return tuple(each for each in allowed if each in given)


def written(kind: Kind, value: Value) -> Written:
    """For programs: true or false; "1000" or "unlimited"; ["small"] or "any"."""
    if value is UNLIMITED:
        return ALL_OF[kind]
    if isinstance(value, bool):
        return value
    return plain(value) if isinstance(value, Decimal) else list(value)


def words(kind: Kind, value: Value, unit: str = "") -> str:
    """For people: “on”; “1,000 token”; “small, large”."""
    if value is UNLIMITED:
        return ALL_OF[kind]
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Decimal):
        return f"{grouped(value)} {unit}".strip()
    return ", ".join(value) or "none"


def combine(kind: Kind, values: Collection[Value], several: Several = Several.HIGHEST) -> Value:
    """What several grants come to: on when one is on; the highest number, or the sum; the union of lists."""
    if UNLIMITED in values:
        return UNLIMITED
    if kind is Kind.SWITCH:
        return any(values)
    if kind is Kind.NUMBER:
        numbers = [value for value in values if isinstance(value, Decimal)]
        return max(numbers, default=ZERO) if several is Several.HIGHEST else _sum(numbers)
    return tuple(dict.fromkeys(text for value in values if isinstance(value, tuple) for text in value))


def _sum(numbers: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for number in numbers:
        total = EXACT.add(total, number)
    return total


def _choose(given: str, known: Sequence[str]) -> str:
    close = get_close_matches(given, known, n=1)
    return f"did you mean “{close[0]}”" if close else "it has " + ", ".join(f"“{text}”" for text in known)


def _shown(given: object) -> str:
    return f"“{as_written(given)[:60]}”"


def _refusal(code: str, message: str) -> Refused:
    return Refused(Fault(code, message, "value"))
