"""Rounding, splitting and writing amounts. Pure.

An amount is a Decimal in major units of a currency (12.34 = twelve dollars and thirty-four cents). Minor units are
those of ISO 4217. Rules: `docs/rules.md`, "Numbers".
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from fractions import Fraction
from functools import cache
from itertools import chain

from babel.core import get_global
from babel.numbers import format_currency, get_currency_symbol

ZERO = Decimal(0)

# Wide enough for a 26-digit quantity at 12 places times a 15-digit price at 15 places, exactly.
EXACT = Context(prec=100, rounding=ROUND_HALF_UP)

_WITHOUT_DECIMALS = (
    *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
    *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"),
)
_WITH_THREE = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_WITH_FOUR = ("CLF", "UYW")
_MINOR_UNITS = dict.fromkeys(_WITHOUT_DECIMALS, 0) | dict.fromkeys(_WITH_THREE, 3) | dict.fromkeys(_WITH_FOUR, 4)


def is_currency(code: str) -> bool:
    """Whether `code` is the code of a currency that is legal tender somewhere today."""
    return code in currencies()


@cache
def currencies() -> frozenset[str]:
    """The codes of currencies in use: of all that ever were, of metals and test codes, those of a country today."""
    periods = chain.from_iterable(get_global("territory_currencies").values())
    return frozenset(code for code, _, until, tender in periods if tender and until is None)


def minor_unit(currency: str) -> int:
    """Decimal places of the currency's smallest unit: JPY 0, USD 2, KWD 3."""
    return _MINOR_UNITS.get(currency, 2)


def round_amount(amount: Decimal, currency: str) -> Decimal:
    """`amount` at the currency's minor unit, half away from zero."""
    return round_to(amount, minor_unit(currency))


def round_to(amount: Decimal, places: int) -> Decimal:
    """`amount` at `places` decimals, half away from zero. Zero has no sign: −0.001 at two places is 0.00."""
    rounded = amount.quantize(_unit(places), context=EXACT)
    return rounded or rounded.copy_abs()


def as_decimal(exact: Fraction) -> Decimal:
    """Divided once: a number without end is carried far beyond any minor unit."""
    return EXACT.divide(Decimal(exact.numerator), Decimal(exact.denominator))


@cache
def _unit(places: int) -> Decimal:
    return Decimal(1).scaleb(-places)


def plain(number: Decimal) -> str:
    """The one way a number is written as text: no exponent, no trailing zeros (1.0 → "1")."""
    return _without_trailing_zeros(format(number, "f"))


def grouped(number: Decimal) -> str:
    """A number for people, exact, with its thousands set apart: 22,361,870 or 1,234.5."""
    return _without_trailing_zeros(format(number, ",f"))


def _without_trailing_zeros(text: str) -> str:
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def show(amount: Decimal, currency: str) -> str:
    """An amount for people: `$1,234.50`, with every digit that the amount has."""
    places = max(minor_unit(currency), -int(amount.normalize(EXACT).as_tuple().exponent))
    gap = "\N{NO-BREAK SPACE}" if get_currency_symbol(currency, locale="en")[-1].isalpha() else ""
    pattern = f"¤{gap}#,##0" + ("." + "0" * places if places else "")
    with localcontext(EXACT):
        return format_currency(amount, currency, format=pattern, locale="en", currency_digits=False)


def split(total: Decimal, weights: Sequence[Decimal], places: int) -> list[Decimal]:
    """Parts of `total` in proportion to `weights`, each at `places` decimals, adding up to `total` exactly.

    Largest remainder; equal remainders go to the earlier part. Weights must not be negative; when all are zero the
    first part takes everything. `total` must itself have at most `places` decimals.
    """
    if not weights:
        raise ValueError("An amount cannot be split into no parts.")
    if any(weight < 0 for weight in weights):
        raise ValueError("Positive and negative parts are split apart: no weight may be negative.")
    with localcontext(EXACT):
        unit = _unit(places)
        units, rest = divmod(abs(total), unit)
        if rest:
            raise ValueError(f"{plain(total)} has more than {places} decimals.")
        signed = -unit if total < 0 else unit
        return [round_to(part * signed, places) for part in _whole_shares(units, weights)]


def _whole_shares(units: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Whole numbers in proportion to `weights` that add up to `units`. Whole division: no remainder is rounded."""
    weight_of_all = sum(weights, ZERO)
    if not weight_of_all:
        return [units, *[ZERO] * (len(weights) - 1)]
    divided = [divmod(units * weight, weight_of_all) for weight in weights]
    parts = [part for part, _ in divided]
    left = int(units - sum(parts, ZERO))
    for i in sorted(range(len(weights)), key=lambda i: (-divided[i][1], i))[:left]:
        parts[i] += 1
    return parts
