"""What one row of a price matrix says: which model, and the figures that it takes. Pure.

A `Price` is what people write, what is stored in a row, and what plan documents hold; `catalog.pricing.models` turns it
into what computes. Fields that a model does not use are left as they are by default.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import EXACT, plain
from catalog.pricing.tiers import Tier, tier_faults

ZERO = Decimal(0)
MAX_WHOLE_DIGITS = 15
MAX_PLACES = 15
# What a quantity can be: `meters.events.values`.
MAX_QUANTITY_WHOLE_DIGITS = 26
MAX_QUANTITY_PLACES = 12
MAX_EVENTS = 2**63 - 1


class Model(StrEnum):
    """How a quantity becomes an amount."""

    PER_UNIT = "per_unit"
    PACKAGE = "package"
    GRADUATED = "graduated"
    VOLUME = "volume"
    STAIRSTEP = "stairstep"
    PERCENTAGE = "percentage"
    FLAT = "flat"
    COST_PLUS = "cost_plus"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Model.PER_UNIT: "Per unit",
    Model.PACKAGE: "Per package, begun ones in full",
    Model.GRADUATED: "Graduated: each tier's units at its price",
    Model.VOLUME: "Volume: all units at the price of the tier reached",
    Model.STAIRSTEP: "Stairstep: one amount for each tier",
    Model.PERCENTAGE: "Percentage, and a fixed fee for each event",
    Model.FLAT: "Flat, once there is usage",
    Model.COST_PLUS: "Cost plus margin",
}
TIERED = frozenset({Model.GRADUATED, Model.VOLUME, Model.STAIRSTEP})


@dataclass(frozen=True)
class Price:
    """A price as it is written. Money in the currency of its list; `size` and `free` in units; `percent`: 2.5 = 2.5 %.

    `unit_price`: of one unit, of one package (of `size` units, after `free` ones), or the whole amount of a flat price.
    `percent`: of the quantity, or the margin on what a unit costs. `fixed`: for each event after `free_events`.
    """

    model: Model = Model.PER_UNIT
    unit_price: Decimal | None = None
    size: Decimal | None = None
    free: Decimal = ZERO
    percent: Decimal | None = None
    fixed: Decimal = ZERO
    free_events: int = 0
    tiers: tuple[Tier, ...] = ()
    flat_at_zero: bool = True

    def used(self) -> tuple[str, ...]:
        """The fields that count for its model, in the order in which they are written."""
        return USED[self.model]


USED: Mapping[Model, tuple[str, ...]] = {
    Model.PER_UNIT: ("unit_price",),
    Model.PACKAGE: ("unit_price", "size", "free"),
    Model.GRADUATED: ("tiers", "flat_at_zero"),
    Model.VOLUME: ("tiers", "flat_at_zero"),
    Model.STAIRSTEP: ("tiers", "flat_at_zero"),
    Model.PERCENTAGE: ("percent", "free", "fixed", "free_events"),
    Model.FLAT: ("unit_price",),
    Model.COST_PLUS: ("percent",),
}
_NEEDED = ("unit_price", "size", "percent", "tiers")
_NAMES = {
    "unit_price": "unit price",
    "size": "package size",
    "free": "free quantity",
    "percent": "percentage",
    "fixed": "fixed fee",
    "free_events": "number of free events",
}
_DEFAULTS = {field.name: field.default for field in fields(Price)}


def per_unit(unit_price: Decimal) -> Price:
    return Price(unit_price=unit_price)


def price_faults(price: Price, field: str) -> Iterator[Fault]:
    """Everything that is wrong with a price; a fault's field is `field` and the price's own, “rows.2.unit_price”."""
    used = price.used()
    for name, default in _DEFAULTS.items():
        if name in used or name == "model" or getattr(price, name) == default:
            continue
        message = f"A price of the model “{price.model}” has no {_NAMES.get(name, name)}: leave it out."
        yield Fault("price_field_unused", message, f"{field}.{name}")
    for name in used:
        value = getattr(price, name)
        if name in _NEEDED and (value is None or value == ()):
            yield _missing(price.model, name, field)
        elif isinstance(value, Decimal):
            yield from _number_faults(price.model, name, value, f"{field}.{name}")
    if "free_events" in used and not 0 <= price.free_events <= MAX_EVENTS:
        message = f"The number of free events, {price.free_events}, cannot be: write 0 or more."
        yield Fault("price_invalid", message, f"{field}.free_events")
    if "tiers" in used and price.tiers:
        yield from _tiers_faults(price, field)


def _missing(model: Model, name: str, field: str) -> Fault:
    if name == "tiers":
        message = f"A price of the model “{model}” has tiers: write one at least, the last one without an upper bound."
        return Fault("tiers_missing", message, f"{field}.tiers")
    message = f"The {_NAMES[name]} is missing: a price of the model “{model}” needs one."
    return Fault("price_missing", message, f"{field}.{name}")


def _tiers_faults(price: Price, field: str) -> Iterator[Fault]:
    unreadable = list(_tier_number_faults(price.tiers, field))
    yield from unreadable
    if not unreadable:
        yield from tier_faults(price.tiers, f"{field}.tiers", flat_only=price.model == Model.STAIRSTEP)


def _tier_number_faults(tiers: Sequence[Tier], field: str) -> Iterator[Fault]:
    for index, tier in enumerate(tiers):
        number, place = f"of tier {index + 1}", f"{field}.tiers.{index}"
        yield from number_faults(tier.unit_price, f"unit price {number}", f"{place}.unit_price", least=None)
        yield from number_faults(tier.flat_price, f"flat fee {number}", f"{place}.flat_price", least=None)
        if tier.up_to is not None:
            yield from quantity_faults(tier.up_to, f"upper bound {number}", f"{place}.up_to", least=None)
        if tier.package is not None:
            yield from quantity_faults(tier.package, f"package size {number}", f"{place}.package", least=None)


def _number_faults(model: Model, name: str, value: Decimal, field: str) -> Iterator[Fault]:
    if name in ("size", "free"):
        yield from quantity_faults(value, _NAMES[name], field)
        if name == "size" and value == 0:
            yield Fault("price_invalid", "The package size is 0: write how many units a package holds.", field)
    elif model == Model.COST_PLUS:
        yield from number_faults(value, "margin", field, least=Decimal(-100))
    else:
        yield from number_faults(value, _NAMES[name], field)


def quantity_faults(value: Decimal, what: str, field: str, *, least: Decimal | None = ZERO) -> Iterator[Fault]:
    """A quantity is kept exactly or refused, never rounded."""
    digits, places = MAX_QUANTITY_WHOLE_DIGITS, MAX_QUANTITY_PLACES
    yield from number_faults(value, what, field, least=least, whole_digits=digits, places=places)


def number_faults(
    value: Decimal,
    what: str,
    field: str,
    *,
    least: Decimal | None = ZERO,
    whole_digits: int = MAX_WHOLE_DIGITS,
    places: int = MAX_PLACES,
) -> Iterator[Fault]:
    """A number of a price is kept exactly or refused, never rounded. `what`: its name in the message."""
    if not value.is_finite():
        yield Fault("price_invalid", f"The {what} “{value}” is not a number: write one, for example 0.00001.", field)
    elif least is not None and value < least:
        rule = "is negative: write 0 or more" if least == 0 else f"is too small: write {plain(least)} or more"
        yield Fault("price_negative", f"The {what} {plain(value)} {rule}.", field)
    elif value and value.adjusted() >= whole_digits:
        message = f"The {what} has {value.adjusted() + 1} digits before the point: {whole_digits} are possible."
        yield Fault("price_too_large", message, field)
    elif value and (decimals := -int(value.normalize(EXACT).as_tuple().exponent)) > places:
        message = f"The {what} {plain(value)} has {decimals} decimals: write at most {places}."
        yield Fault("price_too_precise", message, field)
