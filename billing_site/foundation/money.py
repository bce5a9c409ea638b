"""Rounding, splitting and writing amounts. Pure.

An amount is a Decimal in major units of a currency (12.34 = twelve dollars and thirty-four cents). Minor units are those of
ISO 4217. Rules: `docs/rules.md`, "Numbers".
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, localcontext

from babel.numbers import format_currency, list_currencies

ZERO = Decimal(0)

# Wide enough for a 26-digit quantity at 12 places times a 15-digit price at 15 places, exactly.
EXACT = Context(prec=100, rounding=ROUND_HALF_UP)

_MINOR_UNITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}


def is_currency(code: str) -> bool:
    """Whether `code` is a three-letter currency code that is known."""
    return code in list_currencies()


def minor_unit(currency: str) -> int:
    """Decimal places of the currency's smallest unit: JPY 0, USD 2, KWD 3."""
    return _MINOR_UNITS.get(currency, 2)


def round_amount(amount: Decimal, currency: str) -> Decimal:
    """`amount` at the currency's minor unit, half away from zero."""
    return amount.quantize(Decimal(1).scaleb(-minor_unit(currency)), context=EXACT)


def plain(number: Decimal) -> str:
    """The one way a number is written as text: no exponent, no trailing zeros (1.0 → "1")."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def show(amount: Decimal, currency: str) -> str:
    """An amount for people: `$1,234.50`, with every digit that the amount has."""
    places = max(minor_unit(currency), -int(amount.normalize().as_tuple().exponent))
    pattern = "¤#,##0" + ("." + "0" * places if places else "")
    return format_currency(amount, currency, format=pattern, locale="en", currency_digits=False)


def split(total: Decimal, weights: Sequence[Decimal], places: int) -> list[Decimal]:
    """Parts of `total` in proportion to `weights`, each at `places` decimals, adding up to `total` exactly.

    Largest remainder; equal remainders go to the earlier part. Weights must not be negative; when all are zero the first
    part takes everything. `total` must itself have at most `places` decimals.
    """
    if not weights:
        raise ValueError("An amount cannot be split into no parts.")
    if any(weight < 0 for weight in weights):
        raise ValueError("Positive and negative parts are split apart: no weight may be negative.")
    with localcontext(EXACT):
        unit = Decimal(1).scaleb(-places)
        units = abs(total) / unit
        if units != units.to_integral_value():
            raise ValueError(f"{total} has more than {places} decimals.")
        whole = sum(weights, ZERO)
        if whole == 0:
            return [total, *[ZERO * unit for _ in weights[1:]]]
        shares = [units * weight / whole for weight in weights]
        floors = [share.to_integral_value(rounding=ROUND_FLOOR) for share in shares]
        left = int(units - sum(floors, ZERO))
        order = sorted(range(len(weights)), key=lambda i: (floors[i] - shares[i], i))
        for i in order[:left]:
            floors[i] += 1
        sign = -1 if total < 0 else 1
        return [sign * floor * unit for floor in floors]
