"""What a case says of a price and a quantity, as the product has it: a meter that may round, a charge, its usage."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from billing_site.foundation.money import EXACT, ZERO
from catalog.pricing.allowance import places_of
from catalog.pricing.book import PriceModel, PricesEach, Row, Unmatched, UsageCharge
from catalog.pricing.cost_plus import CostPlus
from catalog.pricing.graduated import Graduated
from catalog.pricing.matrix import Combination, PricedUsage, price_usage
from catalog.pricing.package import Package
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.percentage import Percentage
from catalog.pricing.tiers import Tier
from catalog.pricing.volume import Volume
from meters.measuring.aggregation import Rounding, RoundingMode

Given = Mapping[str, Any]

ONE, HUNDRED = Decimal(1), Decimal(100)
PRICE_PLACES = 15
MODES = {
    "none": RoundingMode.NONE,
    "ceiling": RoundingMode.CEIL,
    "floor": RoundingMode.FLOOR,
    "half_up": RoundingMode.HALF_UP,
}
EXACTLY = Rounding(RoundingMode.NONE, 0)
GRADUATED = {"graduated", "graduated_percentage", "graduated_block"}
TIERED = GRADUATED | {"volume", "volume_block"}


class NotOffered(Exception):
    """The product has no way to charge so; the message says what the case does, and what is so here."""


@dataclass(frozen=True)
class Metered:
    """A price, the rounding of the meter that it is for, how many units are included, and a cap of the charge."""

    price: PriceModel | PricesEach
    rounding: Rounding = EXACTLY
    included: Decimal = ZERO
    cap: Decimal | None = None

    def of(self, quantities: list[Decimal], events: int = 1) -> PricedUsage:
        """One quantity; or several that are priced apart, as the values of a dimension with a row for each."""
        apart = len(quantities) != 1
        matches = [{"group": str(number)} if apart else {} for number in range(len(quantities))]
        rows = tuple(Row(number, number, match, self.price) for number, match in enumerate(matches))
        charge = UsageCharge(1, 0, "usage", "Usage", 1, 1, "unit", ("group",) if apart else (), rows, Unmatched.HOLD)
        usage = [
            Combination(match, self.rounding.apply(quantity), events)
            for match, quantity in zip(matches, quantities, strict=True)
        ]
        places = None if self.rounding == EXACTLY else self.rounding.places
        return price_usage(replace(charge, places=places), usage, self.included)


def metered(given: Given) -> Metered:
    """Raises `NotOffered`, with the reason, when the product has no way to charge so."""
    price = given.get("price", {})
    if "convert" in price:
        made = _converted(price)
    elif price.get("package_rounding", "up") != "up":
        size = Decimal(price["package_size"])
        mode = {"down": "floor"}.get(price["package_rounding"], price["package_rounding"])
        made = _in_units_of(size, Decimal(price["package_price"]), mode, 0)
    else:
        made = Metered(_model(given["model"], price, flat_at_zero=given.get("zero_usage") != "none"))
    included = EXACT.add(made.included, Decimal(given.get("included_quantity", 0)))
    return replace(made, included=included, cap=_cap(price))


def _converted(price: Given) -> Metered:
    """Another unit of the price, and units that are rounded: a meter that rounds, and a price of what it counts."""
    convert = price["convert"]
    factor = Decimal(convert["factor"])
    size = factor if convert["op"] == "divide" else EXACT.divide(ONE, factor)
    mode, places = convert.get("rounding", "none"), int(convert.get("precision") or 0)
    made = _in_units_of(size, Decimal(price["unit_price"]), mode, places)
    return replace(made, included=EXACT.multiply(size, Decimal(price.get("usage_discount", 0))))


def _in_units_of(size: Decimal, price: Decimal, mode: str, places: int) -> Metered:
    """A price for each `size` units, of which so many places count: `mode` says how the rest is rounded."""
    if mode == "ceiling" and places == 0 and not _power_of_ten(size):
        return Metered(Package(size, price))
    unit_price = EXACT.divide(price, size)
    if places_of([unit_price]) > PRICE_PLACES:
        raise NotOffered("converts units by a factor that leaves no exact price of one unit")
    if mode == "none":
        return Metered(PerUnit(unit_price))
    if not _power_of_ten(size):
        raise NotOffered("rounds units that are no power of ten; here a meter rounds to decimal places")
    return Metered(PerUnit(unit_price), Rounding(MODES[mode], places - size.adjusted()))


def _power_of_ten(number: Decimal) -> bool:
    return number == ONE.scaleb(number.adjusted())


def _cap(price: Given) -> Decimal | None:
    """Of the charge; a cap of its only tier is the same where that one has no flat fee."""
    caps = [Decimal(tier["cap"]) for tier in price.get("tiers", []) if tier.get("cap") is not None]
    if not caps:
        return Decimal(price["cap_amount"]) if price.get("cap_amount") is not None else None
    (tier, *others) = price["tiers"]
    if others or Decimal(tier.get("flat_price") or 0):
        raise NotOffered("caps single tiers; here the whole charge is capped")
    return caps[0]


def _model(name: str, price: Given, *, flat_at_zero: bool) -> PriceModel | PricesEach:
    if name == "per_unit":
        return PerUnit(Decimal(price["unit_price"]))
    if name == "package":
        return Package(Decimal(price["package_size"]), Decimal(price["package_price"]))
    if name == "percentage":
        # Rules: base × rate + fixed × count, on totals. What is free by transaction asks in which order they came.
        if price.get("min_per_transaction") or price.get("max_per_transaction"):
            raise NotOffered("bounds single transactions; here a percentage is of the total")
        if price.get("free_transactions") or (price.get("free_total") and Decimal(price.get("fixed_amount") or 0)):
            raise NotOffered("frees single transactions of both fees; here units are free of the rate, on the total")
        rate = EXACT.divide(Decimal(price["rate"]), HUNDRED)
        return Percentage(rate, Decimal(price.get("fixed_amount") or 0), Decimal(price.get("free_total") or 0))
    if name == "dynamic":  # the quantity is what it cost
        return CostPlus(Decimal(price["multiplier"]) - 1, lambda _: ONE)
    make = Graduated if name in GRADUATED else Volume
    return make(list(_tiers(price["tiers"])), flat_at_zero)


def _tiers(listed: list[Given]) -> Iterator[Tier]:
    """The last one is open, whatever it says."""
    bound = ZERO
    for index, tier in enumerate(listed):
        upper = _upper(bound, tier)
        flat = Decimal(tier.get("flat_price", 0))
        is_open = index == len(listed) - 1
        if "block_size" in tier:
            unit_price, package = Decimal(tier["block_price"]), Decimal(tier["block_size"])
        elif "package_size" in tier:
            unit_price, package = Decimal(tier["unit_price"]), Decimal(tier["package_size"])
        elif "rate" in tier:
            unit_price, package = EXACT.divide(Decimal(tier["rate"]), HUNDRED), None
        else:
            unit_price, package = Decimal(tier["unit_price"]), None
        yield Tier(None if is_open else upper, unit_price, flat, package)
        bound = bound if upper is None else upper


def _upper(lower: Decimal, tier: Given) -> Decimal | None:
    """Where a tier ends: as it says, or after so many blocks."""
    if "block_size" not in tier:
        return None if tier["up_to"] is None else Decimal(tier["up_to"])
    if tier["max_blocks"] is None:
        return None
    return EXACT.add(lower, EXACT.multiply(Decimal(tier["block_size"]), Decimal(tier["max_blocks"])))


def last_bound(listed: list[Given]) -> Decimal | None:
    """Where the last tier ends by what the case says."""
    bound: Decimal | None = ZERO
    for tier in listed:
        bound = _upper(bound or ZERO, tier)
    return bound
