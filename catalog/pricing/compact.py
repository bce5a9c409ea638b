"""A price as one line of text that people write in a cell, each of every model. Pure.

    per_unit, flat          0.00001
    package                 2 per 1000, 500 free
    graduated, volume       1000: 0.02; 5000: 3 per 100 + 5; : 0.01        an empty bound: the last tier, which is open
    stairstep               1000: 0; : 20                                  one amount for each tier
    percentage              2.9% + 0.30, 100 free, 10 events free
    cost_plus               20%

`scale`: prices of one unit are written for 10^scale units (3: per 1,000). Prices of packages, fees and amounts are not.
`compact_reading` reads it as it was written.
"""

from collections.abc import Mapping
from decimal import Decimal

from billing_site.foundation.money import EXACT, plain
from catalog.pricing.price import Model, Price
from catalog.pricing.tiers import Tier

NOTHING_AT_ZERO = "nothing at zero"
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
