"""What rating takes and gives, as values. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from billing_site.foundation.money import ZERO
from billing_site.foundation.periods import Period
from catalog.pricing.book import PriceBook, Priced


@dataclass(frozen=True)
class Request:
    """What to rate: usage and fees in arrears of `arrears`, fees in advance of `advance`; either may be empty or None.

    `key` is the caller's own, for example an invoice id. `version`: the one to price by; None: the subscription's.
    """

    key: int
    subscription: int
    arrears: Period | None
    advance: Period | None
    version: int | None = None


class LineKind(StrEnum):
    USAGE = "usage"
    FEE = "fee"
    MINIMUM = "minimum"
    CAP = "cap"
    DISCOUNT = "discount"


@dataclass(frozen=True, slots=True)
class RatedLine:
    """One rounded line. `amount` is in major units of the book's currency; `quantity` in `unit`.

    `dimensions` holds the dimensions that the charge can price, a missing one left out. `included`: how much of the
    quantity cost nothing. `unit_price` None: no single price holds. A fee is one of quantity 1. `charge` None: it is
    over several charges.
    """

    kind: LineKind
    charge: int | None
    product: int
    description: str
    dimensions: Mapping[str, str]
    quantity: Decimal
    unit: str
    unit_price: Decimal | None
    amount: Decimal
    service: Period
    explanation: Mapping[str, object]
    included: Decimal = ZERO


@dataclass(frozen=True)
class Rated:
    """The lines of one request, in the order of the invoice.

    `problems` not empty: it must not be finalized, and why. `costs_known_at`: when something is priced by cost, the
    instant up to which what was recorded of costs was known.
    """

    key: int
    lines: Sequence[RatedLine]
    problems: Sequence[str] = field(default=())
    costs_known_at: datetime | None = None


def explain(
    book: PriceBook, charge: str | None, row: Mapping[str, object] | None, priced: Priced | None, amount: Decimal
) -> dict[str, object]:
    """How an amount came about, as it is stored with the line: version, charge, row and steps of arithmetic."""
    steps = [] if priced is None else [str(step) for step in priced.steps]
    if priced is not None and priced.amount != amount:
        steps.append(f"rounded to {amount:,f}")
    return {"version": book.label, "version_id": book.version, "charge": charge, "row": row, "steps": steps}
