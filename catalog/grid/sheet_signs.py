"""Currency signs beside the numbers of a spreadsheet: taken away where they are the list's own. Pure."""

import re
import unicodedata

from babel.numbers import get_currency_symbol

from billing_site.foundation.errors import Fault
from catalog.pricing.documents import Unreadable

_NUMBER = re.compile(r"[+-]?(\d[\d.,]*|\.\d+)([eE][+-]?\d{1,2})?")


def signs_in(text: str) -> str:
    """The currency signs that a text has: “$”."""
    return "".join(dict.fromkeys(each for each in text if unicodedata.category(each) == "Sc"))


def without_signs(text: str, currency: str, place: str) -> str:
    """A price as it is read. `currency`: of the list; empty: credits. Raises Unreadable for the sign of another."""
    signs = signs_in(text)
    if not signs:
        return text
    own = get_currency_symbol(currency, locale="en") if currency else ""
    if any(not own.endswith(sign) for sign in signs):
        here = f"prices here are in {currency or 'credits'}: write the number alone."
        message = f"“{text[:60]}” has a sign of another currency, and {here}"
        raise Unreadable([Fault("price_unreadable", message, place)])
    sign = re.escape(signs)
    return re.sub(rf"{sign}\s*(?=[-+.\d])|(?<=\d)\s*{sign}", "", text)


def is_amount(text: str) -> bool:
    """Whether this is a number, with a currency sign or without one."""
    bare = text
    for sign in signs_in(text):
        bare = bare.replace(sign, "")
    return _NUMBER.fullmatch(bare.strip()) is not None
