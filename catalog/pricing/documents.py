"""Prices as JSON: how the API, plan documents and the grid say them. Numbers are strings, exact. Pure.

{"unit_price": "0.00001"}
{"model": "package", "unit_price": "2", "size": "1000"}
{"model": "graduated", "tiers": [{"up_to": "1000", "unit_price": "0.02"}, {"unit_price": "0.01", "flat_price": "5"}]}
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from typing import Any

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import plain
from catalog.pricing.price import Model, Price
from catalog.pricing.tiers import Tier

_DEFAULTS = {field.name: field.default for field in fields(Price)}
FIELDS = tuple(_DEFAULTS)
TIER_FIELDS = ("up_to", "unit_price", "flat_price", "package")
# Longer texts are no price; reading them as numbers would take time for nothing.
MAX_DIGITS = 80


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


class Unreadable(Exception):
    """What was sent is no price; `faults` say why, each with the field under the one that was given."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


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


def number(given: Any, field: str) -> Decimal:
    """A decimal that was sent as text, or as a number without an exponent. Raises Unreadable."""
    text = str(given).strip() if isinstance(given, (str, int, Decimal)) and not isinstance(given, bool) else ""
    try:
        if text and len(text) <= MAX_DIGITS and "_" not in text:
            return Decimal(text)
    except InvalidOperation:
        pass
    message = f"“{str(given)[:60]}” is not a number: send one as text, for example “0.00001”."
    raise Unreadable([Fault("number_invalid", message, field)])


def _count(given: Any, field: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        message = f"“{str(given)[:60]}” is not a whole number: send one, for example 100."
        raise Unreadable([Fault("number_invalid", message, field)])
    return given


def _yes_or_no(given: Any, field: str) -> bool:
    if not isinstance(given, bool):
        raise Unreadable([Fault("boolean_invalid", f"“{str(given)[:60]}” is neither true nor false.", field)])
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
    "flat_at_zero": _yes_or_no,
}
