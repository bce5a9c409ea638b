"""A price that somebody wrote as one line of text, as `compact` does: read, or refused with what it lacks. Pure."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import EXACT, ZERO
from billing_site.foundation.shape_kinds import MAX_DIGITS, number
from billing_site.foundation.shapes import Unreadable
from billing_site.foundation.typed_numbers import HAS_COMMA
from catalog.pricing.compact import EXAMPLES, NOTHING_AT_ZERO
from catalog.pricing.price import TIERED, Model, Price
from catalog.pricing.tiers import Tier

TEXT_AT_MOST = 4_000
_PER = re.compile(r"\s+per\s+|\s*/\s*", re.IGNORECASE)
_FREE_EVENTS = re.compile(r"^(\S+)\s+events?\s+free$", re.IGNORECASE)
_FREE = re.compile(r"^(\S+)\s+free$", re.IGNORECASE)
_EXPONENT = re.compile(r"^[+-]?[\d.]+[eE][+-]?\d{1,2}$")


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
            raise self.unreadable(text, HAS_COMMA, place)
        if text and (text.lstrip("+-").replace(".", "", 1).isdecimal() or _EXPONENT.match(text)) and text.isascii():
            return number(text, f"{self.field}{place}")
        raise self.unreadable(text, f"is no {what}", place)


def from_text(model: Model, text: str, field: str, scale: int = 0) -> Price:
    """The price that a text says. Raises Unreadable; whether its figures make sense is for `price.price_faults`."""
    written = _Written(text.strip(), model, field, scale)
    if len(written.text) > TEXT_AT_MOST:
        raise written.unreadable(text, f"and what follows is longer than {TEXT_AT_MOST:,} characters")
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
