"""What the columns of a CSV mean, and the form in which its rows are events. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from billing_site.foundation.errors import Fault
from billing_site.foundation.periods import timezones
from meters.events.decoding import FIELDS, STATUSES, Form
from meters.events.values import MAX_TEXT, as_number
from meters.files.local_times import to_utc

PROPERTY = "properties."
CONSTANTS = ("type", "customer", "value", "status", "subscription")
NEEDED = ("type", "customer")
MAX_PROPERTY = 200
_TARGETS = frozenset(FIELDS) - {"properties"}


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`columns`: column → field of an event, or “properties.name”; `constants`: the same targets → text.

    Columns that are not named are left out. Times without an offset are of `timezone`.
    """

    columns: dict[str, str] = {}
    constants: dict[str, str] = {}
    timezone: str = "UTC"


def faults(mapping: Mapping, columns: Sequence[str]) -> list[Fault]:
    """All that is wrong with a mapping for a file with these columns; `field` is the column or the target."""
    return [
        *_column_faults(mapping, columns),
        *_constant_faults(mapping),
        *_repeated(mapping),
        *_missing(mapping),
        *_timezone(mapping),
    ]


def form_of(mapping: Mapping, reference: Callable[[int], str]) -> Form:
    """How rows become events. `reference(index)` is that of a row which has none."""
    zone = ZoneInfo(mapping.timezone)

    def translate(index: int, row: dict[str, Any]) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        event: dict[str, Any] = {"properties": properties}
        cells = [(target, row[column]) for column, target in mapping.columns.items() if column in row]
        for target, text in (*mapping.constants.items(), *cells):
            if target.startswith(PROPERTY):
                properties[target.removeprefix(PROPERTY)] = text
            else:
                event[target] = text
        if "timestamp" in event:
            event["timestamp"] = to_utc(event["timestamp"], zone, names["timestamp"])
        event.setdefault("reference", reference(index))
        return event

    names = {target: column for column, target in mapping.columns.items()}
    return Form(translate, names, id=names.get("reference", "reference"))


def form_of_json(reference: Callable[[int], str]) -> Form:
    """Items are events already. `reference(index)` is that of an item which has none."""

    def translate(index: int, item: dict[str, Any]) -> dict[str, Any]:
        return item if item.get("reference") is not None else {**item, "reference": reference(index)}

    return Form(translate)


def _column_faults(mapping: Mapping, columns: Sequence[str]) -> Iterator[Fault]:
    for column, target in mapping.columns.items():
        if column not in columns:
            yield Fault("unknown_column", f"The file has no column “{column[:60]}”.", column)
        yield from _target_faults(target, column)


def _target_faults(target: str, field: str) -> Iterator[Fault]:
    if not target.startswith(PROPERTY):
        if target not in _TARGETS:
            yield Fault("unknown_field", f"“{target[:60]}” is no field of an event.", field)
        return
    name = target.removeprefix(PROPERTY)
    if not name.strip():
        yield Fault("missing_name", "The property has no name: write one.", field)
    elif len(name) > MAX_PROPERTY or not name.isprintable():
        yield Fault(
            "invalid_name",
            f"“{name[:60]}” is no name of a property: at most {MAX_PROPERTY} printable characters.",
            field,
        )


def _constant_faults(mapping: Mapping) -> Iterator[Fault]:
    for target, text in mapping.constants.items():
        if target in _TARGETS and target not in CONSTANTS:
            yield Fault("no_constant", f"{target} cannot be the same for every row: take it from a column.", target)
        yield from _target_faults(target, target)
        if len(text) > MAX_TEXT or "\0" in text:
            yield Fault("too_long", f"{target} has {len(text)} characters; at most {MAX_TEXT} are taken.", target)
    status, value = mapping.constants.get("status"), mapping.constants.get("value")
    if status is not None and status not in STATUSES:
        yield Fault("unknown_status", f"status is “{status[:60]}”: write “succeeded” or “failed”.", "status")
    if value is not None and as_number(value) is None:
        yield Fault("wrong_type", f"value is “{value[:60]}”: write a number, for example 12.5.", "value")


def _repeated(mapping: Mapping) -> Iterator[Fault]:
    targets = Counter([*mapping.columns.values(), *mapping.constants])
    for target, times in targets.items():
        if times > 1:
            message = f"{target[:60]} is given {times} times, by columns or the same for every row: leave one."
            yield Fault("repeated", message, target)


def _missing(mapping: Mapping) -> Iterator[Fault]:
    given = {*mapping.columns.values(), *mapping.constants}
    for name in NEEDED:
        if name not in given:
            message = f"Every event needs a {name}: choose its column, or write what it is for every row."
            yield Fault("missing_field", message, name)


def _timezone(mapping: Mapping) -> Iterator[Fault]:
    if mapping.timezone not in timezones():
        yield Fault("unknown_timezone", f"“{mapping.timezone[:60]}” is no timezone, as Europe/Berlin is.", "timezone")
