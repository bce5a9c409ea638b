"""Prices as JSON: how the API, plan documents and the grid say them. Numbers are strings, exact. Pure.

{"unit_price": "0.00001"}
{"model": "package", "unit_price": "2", "size": "1000"}
{"model": "graduated", "tiers": [{"up_to": "1000", "unit_price": "0.02"}, {"unit_price": "0.01", "flat_price": "5"}]}
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import plain
from billing_site.foundation.shape_kinds import NUMBER, YES_OR_NO, number, yes_or_no
from billing_site.foundation.shapes import Unreadable
from catalog.pricing.price import MAX_EVENTS, Model, Price
from catalog.pricing.tiers import Tier

__all__ = ["FIELDS", "PROPERTIES", "Unreadable", "from_json", "number", "to_json"]

_DEFAULTS = {field.name: field.default for field in fields(Price)}
FIELDS = tuple(_DEFAULTS)
TIER_FIELDS = ("up_to", "unit_price", "flat_price", "package")


def to_json(price: Price) -> dict[str, Any]:
    """The fields that count for the price's model; those that are as they are by default are left out."""
    said: dict[str, Any] = {"model": price.model.value}
    for name in price.used():
        value = getattr(price, name)
        if name == "tiers":
            said["tiers"] = [_tier_to_json(tier) for tier in price.tiers]
        elif value is not None and (value != _DEFAULTS[name] or _DEFAULTS[name] is None):
            said[name] = plain(value) if isinstance(value, Decimal) else value
    return said


def _tier_to_json(tier: Tier) -> dict[str, str]:
    said = {"unit_price": plain(tier.unit_price), "flat_price": plain(tier.flat_price)}
    if tier.up_to is not None:
        said = {"up_to": plain(tier.up_to), **said}
    return said if tier.package is None else {**said, "package": plain(tier.package)}


def from_json(given: Mapping[str, Any], field: str) -> Price:
    """The price that was said. Raises Unreadable; whether its figures make sense is for `price.price_faults`."""
    faults: list[Fault] = [
        Fault("field_unknown", f"A price has no “{name}”: it has {', '.join(FIELDS)}.", f"{field}.{name}")
        for name in given
        if name not in FIELDS
    ]
    read: dict[str, Any] = {}
    for name in FIELDS:
        if given.get(name) is not None:
            try:
                read[name] = _READERS[name](given[name], f"{field}.{name}")
            except Unreadable as error:
                faults += error.faults
    if faults:
        raise Unreadable(faults)
    return Price(**read)


def _model(given: Any, field: str) -> Model:
    try:
        return Model(given)
    except ValueError:
        known = ", ".join(each.value for each in Model)
        raise Unreadable([Fault("model_unknown", f"“{given}” is no price model: {known}.", field)]) from None


def _count(given: Any, field: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        message = f"“{str(given)[:60]}” is not a whole number: send one, for example 100."
        raise Unreadable([Fault("number_invalid", message, field)])
    return given


def _tiers(given: Any, field: str) -> tuple[Tier, ...]:
    if not isinstance(given, list):
        raise Unreadable([Fault("tiers_invalid", "Tiers are a list of objects.", field)])
    found, faults = [], []
    for index, each in enumerate(given):
        try:
            found.append(_tier(each, f"{field}.{index}"))
        except Unreadable as error:
            faults += error.faults
    if faults:
        raise Unreadable(faults)
    return tuple(found)


def _tier(given: Any, field: str) -> Tier:
    if not isinstance(given, Mapping):
        raise Unreadable(
            [Fault("tier_invalid", "A tier is an object with up_to, unit_price, flat_price, package.", field)]
        )
    faults = list(_unknown_in_tier(given, field))
    read: dict[str, Decimal] = {}
    for name in TIER_FIELDS:
        if given.get(name) is not None:
            try:
                read[name] = number(given[name], f"{field}.{name}")
            except Unreadable as error:
                faults += error.faults
    if faults:
        raise Unreadable(faults)
    return Tier(read.pop("up_to", None), **read)


def _unknown_in_tier(given: Mapping[str, Any], field: str) -> Iterator[Fault]:
    for name in given:
        if name not in TIER_FIELDS:
            message = f"A tier has no “{name}”: it has {', '.join(TIER_FIELDS)}."
            yield Fault("field_unknown", message, f"{field}.{name}")


_READERS = {
    "model": _model,
    "unit_price": number,
    "size": number,
    "free": number,
    "percent": number,
    "fixed": number,
    "free_events": _count,
    "tiers": _tiers,
    "flat_at_zero": yes_or_no,
}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """A field of a price that is null is one that is left out."""
    if "oneOf" in schema:
        first, *others = schema["oneOf"]
        return {**schema, "oneOf": [{**first, "nullable": True}, *others]}
    return {**schema, "nullable": True}


_NUMBER = _nullable(NUMBER.schema())
_TIER = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "up_to": {**_NUMBER, "description": "The tier ends here, included; the last one has none."},
        "unit_price": {**_NUMBER, "description": "Of one unit, or of one package; 0 when left out."},
        "flat_price": {**_NUMBER, "description": "Once the tier is entered (graduated), or reached; 0 when left out."},
        "package": {**_NUMBER, "description": "Units of a package; begun ones count in full."},
    },
}
PROPERTIES: Mapping[str, Mapping[str, Any]] = {
    "model": {
        "type": "string",
        "enum": [*(each.value for each in Model), None],
        "nullable": True,
        "description": "How a quantity becomes an amount; per_unit when left out.",
    },
    "unit_price": {**_NUMBER, "description": "Of one unit, of one package, or the flat amount."},
    "size": {**_NUMBER, "description": "Units of a package."},
    "free": {**_NUMBER, "description": "Units that cost nothing."},
    "percent": {**_NUMBER, "description": "2.5 is 2.5 %: of the quantity, or the margin on cost."},
    "fixed": {**_NUMBER, "description": "For each event."},
    "free_events": {
        "type": "integer",
        "nullable": True,
        "minimum": 0,
        "maximum": MAX_EVENTS,
        "description": "Events that have no fixed fee.",
    },
    "tiers": {"type": "array", "nullable": True, "items": _TIER},
    "flat_at_zero": {
        **_nullable(YES_OR_NO.schema()),
        "description": "Whether the first tier's flat price is due without usage; true when left out.",
    },
}
"""What a price is in a schema of OpenAPI 3.0."""
