"""Commas in the prices of a spreadsheet: nothing is guessed, whoever pastes them says what they mean. Pure."""

import re
from collections.abc import Iterable

from billing_site.foundation.errors import Fault
from catalog.pricing.documents import Unreadable

_NUMBER = re.compile(r"\d[\d.,]*\d|\d")
_POINTS_GROUP = re.compile(r"^\d{1,3}(\.\d{3})+,\d+$")
_COMMAS_GROUP = re.compile(r"^\d{1,3}(,\d{3})+(\.\d+)?$")
EXAMPLES_AT_MOST = 5


def commas_in(prices: Iterable[str]) -> tuple[str, ...]:
    """The first numbers with a comma inside."""
    found = (number for price in prices for number in _NUMBER.findall(price) if "," in number)
    return tuple(dict.fromkeys(number for number, _ in zip(found, range(EXAMPLES_AT_MOST), strict=False)))


def with_points(text: str, comma: str | None, place: str) -> str:
    """Numbers as they are read, by what the commas in them were said to mean. Raises Unreadable."""
    return text if comma is None else _NUMBER.sub(lambda found: _pointed(found[0], comma, place), text)


def _pointed(number: str, comma: str, place: str) -> str:
    if "," not in number and (comma == "thousands" or "." not in number):
        return number
    if comma == "thousands" and _COMMAS_GROUP.match(number):
        return number.replace(",", "")
    if comma == "decimal" and _POINTS_GROUP.match(number):
        return number.replace(".", "").replace(",", ".")
    if comma == "decimal" and number.count(",") == 1 and "." not in number:
        return number.replace(",", ".")
    meant = "a decimal comma" if comma == "decimal" else "commas between thousands"
    raise Unreadable([Fault("price_unreadable", f"“{number[:60]}” is no number with {meant}.", place)])
