"""Nearly every body has nothing wrong with it: its events are read here all at once, at a fifth of the cost. Pure.

What is in the least unusual is left to `decoding`, which takes what is right and says what is wrong with the rest. So
nothing may be taken here that `decoding` would refuse, or would read as something else.
"""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from meters.events.exact_json import to_json
from meters.events.sent import MAX_EVENT_BYTES, Limits, SentEvent
from meters.events.values import MAX_PLACES, MAX_TEXT, MAX_WHOLE_DIGITS, Unfit
from meters.events.wellformed import MAX_DIGITS, MAX_NAME, MAX_NAMES, check_decimal, inspect

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
_Properties = Annotated[
    dict[Annotated[str, msgspec.Meta(max_length=MAX_NAME)], Any], msgspec.Meta(max_length=MAX_NAMES)
]
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


class _Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    reference: _Name
    type: _Name
    customer: _Name
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | UnsetType = UNSET
    properties: _Properties | UnsetType = UNSET
    value: Any = UNSET
    status: Literal["succeeded", "failed"] | UnsetType = UNSET
    subscription: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] | UnsetType = UNSET


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    check_decimal(number, "")
    return number


_ONE = msgspec.json.Decoder(_Item, float_hook=_decimal)
_SEVERAL = msgspec.json.Decoder(list[_Item], float_hook=_decimal)
_RAW = msgspec.json.Decoder(list[msgspec.Raw])
_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_NO_MARKS = bytes(set(range(256)) - set(b'"{['))
_LONG_NUMBER = b"0" * (MAX_DIGITS + 1)
_FINE_TIME = b":00.0000000"  # beyond microseconds, which would be rounded


class Reader:
    """Reads the items of one body, which came at `now`."""

    def __init__(self, now: datetime, limits: Limits) -> None:
        self.now = now
        self.latest = now + limits.future
        self.earliest = _FIRST if limits.past is None else now - limits.past

    def read(self, body: bytes, first: int = 0) -> list[SentEvent] | None:
        """The events of an array, or of one object, the first of which has the index `first`.

        None when it cannot be said at once that all of them are right.
        """
        if b"\\" in body or _has_unusual_digits(body):
            return None
        try:
            items = [_ONE.decode(body)] if body.startswith(b"{") else _SEVERAL.decode(body)
            sound = _is_sound(body, items)
        except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation, RecursionError, Unfit):
            return None
        events = [self._event(index, item) for index, item in enumerate(items, first)] if sound else [None]
        return None if None in events else cast("list[SentEvent]", events)

    def _event(self, index: int, item: _Item) -> SentEvent | None:
        timestamp, value = self.now, None
        if item.timestamp is not UNSET:
            timestamp = item.timestamp if item.timestamp.tzinfo is UTC else _in_utc(item.timestamp)
        if item.value is not UNSET:
            value = _plain_number(item.value)
            if value is None:
                return None
        blank = item.reference.isspace() or item.type.isspace() or item.customer.isspace()
        if blank or not self.earliest <= timestamp <= self.latest:
            return None
        return SentEvent(
            index,
            item.reference,
            item.type,
            item.customer,
            timestamp,
            value,
            item.status or "succeeded",
            item.subscription or "",
            item.properties or {},
        )


def _is_sound(body: bytes, items: list[_Item]) -> bool:
    """Whether no item is too long, and no name was given twice. Raises Unfit where properties nest too deeply."""
    if len(body) > MAX_EVENT_BYTES and max(map(len, _RAW.decode(body)), default=0) > MAX_EVENT_BYTES:
        return False
    given = [item.properties for item in items if item.properties is not UNSET]
    marks = body.translate(None, _NO_MARKS)
    if marks.count(b"{") > len(items) + len(given) or marks.count(b"[") > 1:
        for properties in given:
            inspect(properties, "properties", 1)
    # A name that was given twice was read once: then the body has more quotation marks than what was read.
    return marks.count(b'"') == to_json(items).count(b'"')


def _has_unusual_digits(body: bytes) -> bool:
    """Whether there may be a number that is too long, or a time that is too fine."""
    digits = body.translate(_AS_ZERO)
    return _LONG_NUMBER in digits or _FINE_TIME in digits


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:  # before the first year, or after the last
        return _NEVER


def _plain_number(value: Any) -> Decimal | None:
    """A number within the bounds of a quantity, digits counted as they were sent; None for anything else."""
    if type(value) is int:
        value = Decimal(value)
    if type(value) is not Decimal or value.adjusted() >= MAX_WHOLE_DIGITS:
        return None
    return value if -MAX_PLACES <= int(value.as_tuple().exponent) <= 0 else None
