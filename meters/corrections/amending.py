"""What an amendment asks for, read by the rules of events. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from meters.events.decoding import FIELDS, Form, Limits, Rejected, SentEvent, decode
from meters.events.values import Unfit

CHANGES = ("properties", "timestamp", "value")


@dataclass(frozen=True)
class Amendment:
    """`given`: which of an event's fields become those of `to`; the others stay."""

    reason: str
    given: frozenset[str]
    to: SentEvent


@dataclass
class _Reading:
    """The body's item as an event of the caller's fields, under a name that nobody sees."""

    changes: Sequence[str]
    item: dict[str, Any] = field(default_factory=dict)

    def translate(self, _: int, item: dict[str, Any]) -> dict[str, Any]:
        for name in item:
            if name not in (*self.changes, "reason"):
                raise Unfit("unknown_field", self._unknown(name), name)
        if not isinstance(item.get("reason"), str | None):
            raise Unfit("wrong_type", "reason is no text: say why, in quotes.", "reason")
        self.item = item
        given = {name: item[name] for name in self.changes if item.get(name) is not None}
        return {"reference": "amended", "type": "amended", "customer": "amended", **given}

    def _unknown(self, name: str) -> str:
        if self.changes and name in FIELDS:
            fields = ", ".join(self.changes)
            return f"{name} cannot be amended: void the event, and send another. What can be is {fields}."
        return f"“{name}” is no field here. The fields are {', '.join((*self.changes, 'reason'))}."


def read(body: bytes, now: datetime, limits: Limits, changes: Sequence[str] = CHANGES) -> Amendment | Rejected:
    """The one JSON object of a body: `reason`, and what of `changes` is to change. Null is the same as left out.

    Raises Malformed.
    """
    if body.lstrip().startswith(b"["):
        return Rejected(0, None, "not_an_object", "A correction is one JSON object, of one event.", "")
    reading = _Reading(changes)
    batch = decode(body, now, limits, Form(reading.translate))
    if batch.rejected:
        return batch.rejected[0]
    given = frozenset(name for name in changes if reading.item.get(name) is not None)
    if changes and not given:
        return Rejected(0, None, "nothing_to_amend", f"Say what is to change: {', '.join(changes)}.", "")
    return Amendment(reading.item.get("reason") or "", given, batch.events[0])


def amended(event: Any, amendment: Amendment) -> SentEvent:
    """`event`, a stored one, as it is to be."""
    kept: Mapping[str, Any] = {name: getattr(event, name) for name in (*FIELDS,)}
    return SentEvent(index=0, **{**kept, **{name: getattr(amendment.to, name) for name in amendment.given}})


def same(event: Any, to: SentEvent) -> bool:
    """Whether a stored event is so already."""
    return all(_alike(getattr(event, name), getattr(to, name)) for name in CHANGES)


def _alike(one: Any, other: Any) -> bool:
    """As meters tell values apart: 1.0 is 1, and true is not, wherever it stands."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)
