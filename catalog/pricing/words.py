"""Prices in words for people: every digit, nothing rounded. Pure."""

from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO, grouped
from catalog.pricing.price import Model, Price
from catalog.pricing.tiers import Tier


def in_words(price: Price, currency: str, unit: str) -> str:
    """For example “0.00001 USD per token”, or “graduated: up to 1,000 token 0.02 each, above 0.01 each USD”."""
    match price.model:
        case Model.PER_UNIT:
            return f"{_number(price.unit_price)} {currency} per {unit}"
        case Model.FLAT:
            return f"{_number(price.unit_price)} {currency} flat, once there is usage"
        case Model.PACKAGE:
            free = f", {grouped(price.free)} {unit} free" if price.free else ""
            return f"{_number(price.unit_price)} {currency} per package of {_number(price.size)} {unit}{free}"
        case Model.PERCENTAGE:
            return _percentage(price, currency, unit)
        case Model.COST_PLUS:
            return f"what a {unit} costs, plus {_number(price.percent)} %"
        case _:
            tiers = "; ".join(_tiers(price, unit))
            zero = "" if price.flat_at_zero or not any(each.flat_price for each in price.tiers) else "; nothing at zero"
            return f"{price.model.value}, in {currency}: {tiers}{zero}"


def per_many(price: Price, currency: str, unit: str) -> str:
    """A price per unit for as many units as make it easy to read: “10 USD per 1,000,000 token”; else its words."""
    if price.model != Model.PER_UNIT or price.unit_price is None:
        return in_words(price, currency, unit)
    size = 1_000 if price.unit_price * 1_000 >= 1 else 1_000_000
    return f"{grouped(EXACT.multiply(price.unit_price, Decimal(size)))} {currency} per {size:,} {unit}"


def _percentage(price: Price, currency: str, unit: str) -> str:
    parts = [f"{_number(price.percent)} % of the {unit}"]
    if price.fixed:
        parts.append(f"{grouped(price.fixed)} {currency} for each event")
    free = [f"{grouped(price.free)} {unit}"] if price.free else []
    free += [f"{price.free_events:,} events"] if price.free_events else []
    return " and ".join(parts) + (f", {' and '.join(free)} free" if free else "")


def _tiers(price: Price, unit: str) -> list[str]:
    words: list[str] = []
    below = ZERO
    for tier in price.tiers:
        reach = f"up to {grouped(tier.up_to)} {unit}" if tier.up_to is not None else f"above {grouped(below)} {unit}"
        if tier.up_to is None and not words:
            reach = f"any {unit}"
        words.append(f"{reach} {_tier(tier, price.model)}")
        below = tier.up_to or below
    return words


def _tier(tier: Tier, model: Model) -> str:
    if model == Model.STAIRSTEP:
        return grouped(tier.flat_price)
    flat = f" + {grouped(tier.flat_price)}" if tier.flat_price else ""
    each = "each" if tier.package is None else f"per {grouped(tier.package)}"
    return f"{grouped(tier.unit_price)} {each}{flat}"


def _number(number: Decimal | None) -> str:
    return "?" if number is None else grouped(number)
