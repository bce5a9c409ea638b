"""A row of a matrix as it is written. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from catalog.pricing.price import Price


@dataclass(frozen=True)
class DraftRow:
    """Exact values by dimension (one that `match` leaves out may be anything), and the price."""

    match: Mapping[str, str]
    price: Price
