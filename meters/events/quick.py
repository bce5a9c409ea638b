"""Nearly every event has nothing wrong with it: those are read here, at a third of the cost. Pure.

What is in the least unusual is left to `decoding`, which takes what is right and says what is wrong with the rest. So
nothing may be taken here that `decoding` would refuse, or would read as something else.
"""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from meters.events.sent import MAX_EVENT_BYTES, Limits, SentEvent
from meters.events.timestamps import parse_plain
from meters.events.values import MAX_PLACES, MAX_TEXT, MAX_WHOLE_DIGITS, Unfit
from meters.events.wellformed import check_names, count_texts

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
_FIRST = datetime(1, 1, 1, tzinfo=UTC)


class _Item(msgspec.Struct, forbid_unknown_fields=True):
    reference: _Name
    type: _Name
    customer: _Name
    timestamp: str | UnsetType = UNSET
    properties: dict[str, Any] | UnsetType = UNSET
    value: Any = UNSET
    status: Literal["succeeded", "failed"] | UnsetType = UNSET
    subscription: Annotated[str, msgspec.Meta(max_length=MAX_TEXT)] | UnsetType = UNSET


_ITEM = msgspec.json.Decoder(_Item, float_hook=Decimal)
# The names of the fields that every event has, and the texts in them.
_TEXTS = 6


class Reader:
    """Reads the items of one body, which came at `now`."""

    def __init__(self, now: datetime, limits: Limits) -> None:
        self.now = now
        self.latest = now + limits.future
        self.earliest = _FIRST if limits.past is None else now - limits.past

    def read(self, index: int, raw: bytes) -> SentEvent | None:
        """The event, or None when it must be read with care."""
        if len(raw) > MAX_EVENT_BYTES or b"\\" in raw:
            return None
        try:
            item = _ITEM.decode(raw)
            texts, properties = _properties(item)
        except (msgspec.DecodeError, UnicodeDecodeError, InvalidOperation, Unfit):
            return None
        timestamp: datetime | None = self.now
        if item.timestamp is not UNSET:
            timestamp = parse_plain(item.timestamp)
            texts += 2
        value, unfit = None, False
        if item.value is not UNSET:
            value = _plain_number(item.value)
            texts += 1
            unfit = value is None
        status = "succeeded"
        if item.status is not UNSET:
            status = item.status
            texts += 2
        subscription = ""
        if item.subscription is not UNSET:
            subscription = item.subscription
            texts += 2
        if (
            unfit
            or raw.count(b'"') != 2 * texts
            or timestamp is None
            or not self.earliest <= timestamp <= self.latest
            or item.reference.isspace()
            or item.type.isspace()
            or item.customer.isspace()
        ):
            return None
        return SentEvent(
            index, item.reference, item.type, item.customer, timestamp, value, status, subscription, properties
        )


def _properties(item: _Item) -> tuple[int, dict[str, Any]]:
    """How many texts these and the fields that every event has are, names included; and these. Raises Unfit."""
    if item.properties is UNSET:
        return _TEXTS, {}
    check_names(item.properties)
    return _TEXTS + 1 + count_texts(item.properties, "properties"), item.properties


def _plain_number(value: Any) -> Decimal | None:
    """A number within the bounds of a quantity, digits counted as they were sent; None for anything else."""
    if type(value) is int:
        value = Decimal(value)
    if type(value) is not Decimal or value.adjusted() >= MAX_WHOLE_DIGITS:
        return None
    return value if -MAX_PLACES <= int(value.as_tuple().exponent) <= 0 else None
