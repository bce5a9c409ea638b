"""From the body of a request to events, one item at a time, so that a bad one does not spoil the others. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from meters.events import quick
from meters.events.bodies import split
from meters.events.sent import MAX_EVENT_BYTES, Limits, SentEvent
from meters.events.timestamps import MEND, parse
from meters.events.values import MAX_TEXT, Unfit, as_number, check_quantity
from meters.events.wellformed import check, check_names

__all__ = ["MAX_EVENT_BYTES", "Limits", "SentEvent"]

FIELDS = ("reference", "type", "customer", "timestamp", "properties", "value", "status", "subscription")
STATUSES = ("succeeded", "failed")
_KNOWN = frozenset(FIELDS)
_ITEM = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True)
class Rejected:
    """An item that was not taken, and how to mend it. `reference` is None when none can be read."""

    index: int
    reference: str | None
    code: str
    message: str
    field: str


def _as_it_is(_: int, item: dict[str, Any]) -> dict[str, Any]:
    return item


@dataclass(frozen=True)
class Form:
    """How the items of a body are events: `translate` makes our fields of the item at an index, or raises Unfit.

    `names`: what the sender calls our fields, for messages. `id`: what identifies an item that cannot be translated.
    """

    translate: Callable[[int, dict[str, Any]], dict[str, Any]] = _as_it_is
    names: Mapping[str, str] = field(default_factory=dict)
    id: str = "reference"


PLAIN = Form()


@dataclass
class Batch:
    """The items of one body: `events` and `rejected` together are all of them."""

    events: list[SentEvent] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.events) + len(self.rejected)


class TooManyEvents(Exception):
    """The body holds more events than one request may."""


def decode(body: bytes, now: datetime, limits: Limits, form: Form = PLAIN) -> Batch:
    """Every item of `body`, which is one object or an array of them, as an event or as rejected.

    Raises Malformed and TooManyEvents; nothing of such a body is taken.
    """
    batch, reader = Batch(), quick.Reader(now, limits)
    if form is PLAIN and (events := reader.read(body)) is not None and len(events) <= limits.max_events:
        return Batch(events)
    items = split(body)
    if len(items) > limits.max_events:
        raise TooManyEvents(
            f"The body holds {len(items):,} events; at most {limits.max_events:,} are taken at once: send it in parts."
        )
    for index, raw in enumerate(items):
        if form is PLAIN and (one := reader.read(raw, index)):
            batch.events += one
            continue
        item: dict[str, Any] = {}
        names: Mapping[str, str] = {}
        try:
            item = _read(raw)
            check(raw, item)
            item = form.translate(index, item)
            names = form.names
            batch.events.append(_event(index, item, now, limits))
        except Unfit as fault:
            rejected = reject(index, item.get("reference") or item.get(form.id), fault)
            batch.rejected.append(_renamed(rejected, names))
    return batch


def in_the_words_of(form: Form, batch: Batch, rejected: Iterable[Rejected]) -> list[Rejected]:
    """What was rejected of `batch`, meters' rejections included, with the sender's names for fields."""
    told = {each.index for each in batch.rejected}
    return [each if each.index in told else _renamed(each, form.names) for each in rejected]


def _renamed(rejected: Rejected, names: Mapping[str, str]) -> Rejected:
    ours = rejected.field
    head, dot, rest = ours.partition(".")
    theirs = names.get(ours) or (f"{names[head]}{dot}{rest}" if head in names else ours)
    if theirs == ours:
        return rejected
    told = rejected.message.startswith(ours)
    message = f"{theirs}{rejected.message.removeprefix(ours)}" if told else rejected.message
    return replace(rejected, field=theirs, message=message)


def reject(index: int, reference: object, fault: Unfit) -> Rejected:
    return Rejected(index, reference if isinstance(reference, str) else None, fault.code, fault.message, fault.field)


def _read(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_EVENT_BYTES:
        raise Unfit(
            "event_too_large",
            f"The event has {len(raw):,} bytes; at most {MAX_EVENT_BYTES:,} are taken: "
            "leave out what is not billed by.",
            "",
        )
    if not raw.startswith(b"{"):
        raise Unfit("not_an_object", f"An event is a JSON object, not {raw[:40].decode(errors='replace')}.", "")
    try:
        item: dict[str, Any] = _ITEM.decode(raw)
    except UnicodeDecodeError:
        raise Unfit("invalid_utf8", "The event holds bytes that are not UTF-8: encode the body as UTF-8.", "") from None
    except (msgspec.ValidationError, InvalidOperation):
        raise Unfit(
            "number_out_of_range", "The event holds a number too large to be read: send it as text, in quotes.", ""
        ) from None
    except msgspec.DecodeError:
        raise Unfit(
            "lone_surrogate", "The event holds half of a surrogate pair (\\ud800 to \\udfff): leave it out.", ""
        ) from None
    return item


def _event(index: int, item: Mapping[str, Any], now: datetime, limits: Limits) -> SentEvent:
    if not item.keys() <= _KNOWN:
        name = next(name for name in item if name not in _KNOWN)
        raise Unfit(
            "unknown_field",
            f"“{name}” is no field of an event: put it into properties. The fields are {', '.join(FIELDS)}.",
            name,
        )
    return SentEvent(
        index,
        _required(item, "reference"),
        _required(item, "type"),
        _required(item, "customer"),
        _timestamp(item, now, limits),
        _value(item),
        _status(item),
        _text(item, "subscription"),
        _properties(item),
    )


def _required(item: Mapping[str, Any], name: str) -> str:
    if item.get(name) is None:
        raise Unfit("missing_field", f"{name} is missing: every event needs one.", name)
    text = _text(item, name)
    if not text.strip():
        raise Unfit("empty_field", f"{name} is empty: every event needs one.", name)
    return text


def _text(item: Mapping[str, Any], name: str) -> str:
    text = item.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise Unfit("wrong_type", f"{name} is {_shown(text)}: send a text, in quotes.", name)
    if len(text) > MAX_TEXT:
        raise Unfit("too_long", f"{name} has {len(text)} characters; at most {MAX_TEXT} are taken.", name)
    return text


def _timestamp(item: Mapping[str, Any], now: datetime, limits: Limits) -> datetime:
    if item.get("timestamp") is None:
        return now
    if not isinstance(item["timestamp"], str):
        message = f"timestamp is {_shown(item['timestamp'])}: {MEND}, in quotes."
        raise Unfit("wrong_type", message, "timestamp")
    instant = parse(_text(item, "timestamp"), "timestamp")
    if instant > now + limits.future:
        raise Unfit(
            "in_the_future",
            f"timestamp is {_shown_instant(instant)}, more than {limits.future} after now ({_shown_instant(now)}): "
            "set the sender's clock, and its timezone.",
            "timestamp",
        )
    if limits.past is not None and instant < now - limits.past:
        raise Unfit(
            "too_old",
            f"timestamp is {_shown_instant(instant)}, more than {limits.past.days} days before now: {limits.older}.",
            "timestamp",
        )
    return instant


def _value(item: Mapping[str, Any]) -> Decimal | None:
    value = item.get("value")
    if value is None:
        return None
    number = as_number(value)
    if number is None:
        raise Unfit("wrong_type", f"value is {_shown(value)}: send a number, for example 12.5.", "value")
    check_quantity(number, "value")
    return number


def _status(item: Mapping[str, Any]) -> str:
    status = item.get("status")
    if status is None:
        return "succeeded"
    if status not in STATUSES:
        raise Unfit("unknown_status", f"status is {_shown(status)}: send “succeeded” or “failed”.", "status")
    return str(status)


def _properties(item: Mapping[str, Any]) -> dict[str, Any]:
    properties = item.get("properties")
    if properties is None:
        return {}
    if not isinstance(properties, dict):
        raise Unfit("wrong_type", f"properties is {_shown(properties)}: send a JSON object.", "properties")
    check_names(properties)
    return properties


def _shown_instant(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _shown(value: object) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= 60 else f"{text[:60]}…"
