"""Prices in words for people: every digit, nothing rounded. Pure."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from billing_site.foundation.money import EXACT, ZERO, grouped
from catalog.pricing.price import Model, Price
from catalog.pricing.tiers import Tier


def shown_per(prices: Iterable[Price]) -> int:
    """For how many units the prices of one charge are written, so that they compare: 1, 1,000 or 1,000,000.

    It goes by the least price of a unit that is not nothing: from 0.01 on it is told for one, from 0.001 on for 1,000.
    """
    least = min((each for price in prices for each in _of_units(price) if each), default=None)
    if least is None or least >= Decimal("0.01"):
        return 1
    return 1_000 if least >= Decimal("0.001") else 1_000_000


def _of_units(price: Price) -> Iterator[Decimal]:
    """What one unit costs, where the price says that by itself."""
    if price.model == Model.PER_UNIT and price.unit_price is not None:
        yield price.unit_price
    elif price.model in (Model.GRADUATED, Model.VOLUME):
        yield from (tier.unit_price for tier in price.tiers if tier.package is None)


def in_words(price: Price, currency: str, unit: str, per: int = 1) -> str:
    """For example “10 USD per 1,000,000 token”, or “graduated, in USD: up to 1,000 token 0.02 each, above …”.

    `per`: for how many units a price of one is written; what has a size of its own, a package or an amount, stays.
    """
    match price.model:
        case Model.PER_UNIT:
            return f"{_for(price.unit_price, per)} {currency} per {f'{per:,} ' if per > 1 else ''}{unit}"
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
            tiers = "; ".join(_tiers(price, unit, per))
            zero = "" if price.flat_at_zero or not any(each.flat_price for each in price.tiers) else "; nothing at zero"
            return f"{price.model.value}, in {currency}: {tiers}{zero}"


def counted(count: int, one: str) -> str:
    """“1 row”, “1,200 rows”: of what has a plural with an s."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def _percentage(price: Price, currency: str, unit: str) -> str:
    parts = [f"{_number(price.percent)} % of the {unit}"]
    if price.fixed:
        parts.append(f"{grouped(price.fixed)} {currency} for each event")
    free = [f"{grouped(price.free)} {unit}"] if price.free else []
    free += [counted(price.free_events, "event")] if price.free_events else []
    return " and ".join(parts) + (f", {' and '.join(free)} free" if free else "")


def _tiers(price: Price, unit: str, per: int) -> list[str]:
    words: list[str] = []
    below = ZERO
    for tier in price.tiers:
        reach = f"up to {grouped(tier.up_to)} {unit}" if tier.up_to is not None else f"above {grouped(below)} {unit}"
        if tier.up_to is None and not words:
            reach = f"any {unit}"
        words.append(f"{reach} {_tier(tier, price.model, per)}")
        below = tier.up_to or below
    return words


def _tier(tier: Tier, model: Model, per: int) -> str:
    if model == Model.STAIRSTEP:
        return grouped(tier.flat_price)
    flat = f" + {grouped(tier.flat_price)}" if tier.flat_price else ""
    if tier.package is not None:
        return f"{grouped(tier.unit_price)} per {grouped(tier.package)}{flat}"
    return f"{_for(tier.unit_price, per)} {f'per {per:,}' if per > 1 else 'each'}{flat}"


def _for(number: Decimal | None, per: int) -> str:
    return _number(None if number is None else EXACT.multiply(number, Decimal(per)))


def _number(number: Decimal | None) -> str:
    return "?" if number is None else grouped(number)
