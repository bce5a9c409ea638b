"""A price as one line of text that people write in a cell, and back: each has one, and is read as it was. Pure.

    per_unit, flat          0.00001
    package                 2 per 1000, 500 free
    graduated, volume       1000: 0.02; 5000: 3 per 100 + 5; : 0.01        an empty bound: the last tier, which is open
    stairstep               1000: 0; : 20                                  one amount for each tier
    percentage              2.9% + 0.30, 100 free, 10 events free
    cost_plus               20%

`scale`: prices of one unit are written for 10^scale units (3: per 1,000). Prices of packages, fees and amounts are not.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import EXACT, ZERO, plain
from billing_site.foundation.shapes import MAX_DIGITS, Unreadable, number
from catalog.pricing.price import TIERED, Model, Price
from catalog.pricing.tiers import Tier

NOTHING_AT_ZERO = "nothing at zero"
_PER = re.compile(r"\s+per\s+|\s*/\s*", re.IGNORECASE)
_FREE_EVENTS = re.compile(r"^(\S+)\s+events?\s+free$", re.IGNORECASE)
_FREE = re.compile(r"^(\S+)\s+free$", re.IGNORECASE)
_EXPONENT = re.compile(r"^[+-]?[\d.]+[eE][+-]?\d{1,2}$")
EXAMPLES: Mapping[Model, str] = {
    Model.PER_UNIT: "0.00001",
    Model.PACKAGE: "2 per 1000, 500 free",
    Model.GRADUATED: "1000: 0.02; : 0.01 + 5",
    Model.VOLUME: "1000: 0.02; : 0.01 + 5",
    Model.STAIRSTEP: "1000: 0; : 20",
    Model.PERCENTAGE: "2.9% + 0.30, 100 free, 10 events free",
    Model.FLAT: "20",
    Model.COST_PLUS: "20%",
}


class _Written(NamedTuple):
    """What somebody wrote, by which model, and the field that is at fault when it cannot be read."""

    text: str
    model: Model
    field: str
    scale: int

    def unreadable(self, text: str, why: str, place: str = "") -> Unreadable:
        message = f"“{text[:60]}” {why}. For example: {EXAMPLES[self.model]}"
        return Unreadable([Fault("price_unreadable", message, f"{self.field}{place}")])

    def number(self, text: str, what: str, place: str = "") -> Decimal:
        """Raises Unreadable, and says so when a comma is what makes it no number."""
        text = text.strip()
        if "," in text:
            raise self.unreadable(text, "has a comma: write a point for decimals, and nothing between thousands", place)
        if text and (text.lstrip("+-").replace(".", "", 1).isdecimal() or _EXPONENT.match(text)) and text.isascii():
            return number(text, f"{self.field}{place}")
        raise self.unreadable(text, f"is no {what}", place)


def to_text(price: Price, scale: int = 0) -> str:
    """The one text of a price without faults."""
    match price.model:
        case Model.PER_UNIT:
            return _scaled(price.unit_price, scale)
        case Model.FLAT:
            return _number(price.unit_price)
        case Model.PACKAGE:
            text = f"{_number(price.unit_price)} per {_number(price.size)}"
            return f"{text}, {plain(price.free)} free" if price.free else text
        case Model.COST_PLUS:
            return f"{_number(price.percent)}%"
        case Model.PERCENTAGE:
            return _percentage(price)
        case _:
            tiers = [f"{_bound(tier)}: {_tier(tier, price.model, scale)}" for tier in price.tiers]
            return "; ".join(tiers if price.flat_at_zero else [*tiers, NOTHING_AT_ZERO])


def _percentage(price: Price) -> str:
    text = f"{_number(price.percent)}%"
    text += f" + {plain(price.fixed)}" if price.fixed else ""
    text += f", {plain(price.free)} free" if price.free else ""
    return f"{text}, {price.free_events} events free" if price.free_events else text


def _bound(tier: Tier) -> str:
    return "" if tier.up_to is None else plain(tier.up_to)


def _tier(tier: Tier, model: Model, scale: int) -> str:
    if model == Model.STAIRSTEP:
        return plain(tier.flat_price)
    each = _scaled(tier.unit_price, scale) if tier.package is None else plain(tier.unit_price)
    package = "" if tier.package is None else f" per {plain(tier.package)}"
    return f"{each}{package} + {plain(tier.flat_price)}" if tier.flat_price else f"{each}{package}"


def _number(value: Decimal | None) -> str:
    return "" if value is None else plain(value)


def _scaled(value: Decimal | None, scale: int) -> str:
    return "" if value is None else plain(EXACT.scaleb(value, Decimal(scale)))


def from_text(model: Model, text: str, field: str, scale: int = 0) -> Price:
    """The price that a text says. Raises Unreadable; whether its figures make sense is for `price.price_faults`."""
    written = _Written(text.strip(), model, field, scale)
    if not written.text:
        raise Unreadable([Fault("price_missing", f"The price is missing. For example: {EXAMPLES[model]}", field)])
    return _READERS[model](written)


def _read_per_unit(written: _Written) -> Price:
    return Price(unit_price=_unit_price(written, written.text))


def _read_flat(written: _Written) -> Price:
    return Price(Model.FLAT, unit_price=written.number(written.text, "amount"))


def _read_package(written: _Written) -> Price:
    first, *rest = _parts(written)
    price, *size = _PER.split(first)
    if len(size) != 1:
        raise written.unreadable(written.text, "does not say what a package costs and how many units it holds")
    found = {"unit_price": written.number(price, "price of a package"), "size": written.number(size[0], "package size")}
    for part in rest:
        free = _FREE.match(part)
        if free is None or "free" in found:
            raise written.unreadable(part, "is not how many units are free", ".free")
        found["free"] = written.number(free[1], "number of free units", ".free")
    return Price(Model.PACKAGE, **found)  # type: ignore[arg-type]


def _read_percentage(written: _Written) -> Price:
    first, *rest = _parts(written)
    percent, *fixed = first.split("+")
    found: dict[str, Decimal] = {"percent": _percent(written, percent)}
    if fixed:
        found["fixed"] = written.number("+".join(fixed), "fee for each event", ".fixed")
    free_events = 0
    for part in rest:
        if events := _FREE_EVENTS.match(part):
            free_events = _count(written, events[1])
        elif (free := _FREE.match(part)) and "free" not in found:
            found["free"] = written.number(free[1], "free quantity", ".free")
        else:
            raise written.unreadable(part, "is neither “100 free” nor “10 events free”", ".free")
    return Price(Model.PERCENTAGE, **found, free_events=free_events)  # type: ignore[arg-type]


def _read_cost_plus(written: _Written) -> Price:
    return Price(Model.COST_PLUS, percent=_percent(written, written.text))


def _read_tiers(written: _Written) -> Price:
    pieces = [piece.strip() for piece in re.split(r"[;\n]", written.text)]
    pieces = [piece for piece in pieces if piece]
    at_zero = bool(pieces) and pieces[-1].lower() == NOTHING_AT_ZERO
    faults: list[Fault] = []
    tiers: list[Tier] = []
    for index, piece in enumerate(pieces[:-1] if at_zero else pieces):
        try:
            tiers.append(_read_tier(written, piece, f".tiers.{index}"))
        except Unreadable as error:
            faults += error.faults
    if faults:
        raise Unreadable(faults)
    return Price(written.model, tiers=tuple(tiers), flat_at_zero=not at_zero)


def _read_tier(written: _Written, piece: str, place: str) -> Tier:
    bound, colon, rest = piece.partition(":")
    if not colon:
        raise written.unreadable(piece, "is no tier: write its upper bound, a colon and its price", place)
    up_to = written.number(bound, "upper bound", f"{place}.up_to") if bound.strip() else None
    if written.model == Model.STAIRSTEP:
        return Tier(up_to, flat_price=written.number(rest, "amount", f"{place}.flat_price"))
    each, plus, flat = rest.partition("+")
    price, *size = _PER.split(each.strip())
    if len(size) > 1:
        raise written.unreadable(each, "has two package sizes", f"{place}.package")
    unit_price = (
        written.number(price, "price", f"{place}.unit_price")
        if size
        else _unit_price(written, price, f"{place}.unit_price")
    )
    flat_price = written.number(flat, "fee of a tier", f"{place}.flat_price") if plus else ZERO
    package = written.number(size[0], "package size", f"{place}.package") if size else None
    return Tier(up_to, unit_price, flat_price, package)


def _parts(written: _Written) -> list[str]:
    """What stands between commas that are followed by a space: one within a number is no separator."""
    return [part.strip() for part in re.split(r",\s+", written.text)]


def _unit_price(written: _Written, text: str, place: str = "") -> Decimal:
    return EXACT.scaleb(written.number(text, "price", place), Decimal(-written.scale))


def _percent(written: _Written, text: str) -> Decimal:
    return written.number(text.strip().removesuffix("%"), "percentage", ".percent")


def _count(written: _Written, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise written.unreadable(text, "is no whole number of events", ".free_events")
    return int(text)


_READERS: Mapping[Model, Callable[[_Written], Price]] = {
    Model.PER_UNIT: _read_per_unit,
    Model.FLAT: _read_flat,
    Model.PACKAGE: _read_package,
    Model.PERCENTAGE: _read_percentage,
    Model.COST_PLUS: _read_cost_plus,
    **dict.fromkeys(TIERED, _read_tiers),
}
