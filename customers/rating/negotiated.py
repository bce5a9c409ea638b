"""Terms of one subscription that differ from its plan's: which hold when, and what they make of a charge. Pure.

    period, what was negotiated → parts in each of which the same holds → the charge as it is in each part

Rules: `docs/rules.md`, "Negotiated terms".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from billing_site.foundation.periods import Period
from catalog.pricing.book import FlatCharge, PriceBook, Row, UsageCharge
from catalog.pricing.models import computing
from catalog.pricing.price import Price


class What(StrEnum):
    PRICE = "price"
    INCLUDED = "included"
    MINIMUM = "minimum"
    CAP = "cap"
    FEE = "fee"
    DISCOUNT = "discount"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    What.PRICE: "Price of a row",
    What.INCLUDED: "Included quantity",
    What.MINIMUM: "Minimum",
    What.CAP: "Cap",
    What.FEE: "Fee",
    What.DISCOUNT: "Discount",
}
# A term cuts the period of a charge at its bounds when it is about something that the charge has.
OF_USAGE = frozenset({What.PRICE, What.INCLUDED, What.MINIMUM, What.CAP, What.DISCOUNT})
OF_FEES = frozenset({What.FEE, What.DISCOUNT})
OF_ALL_USAGE = frozenset({What.MINIMUM, What.CAP})


@dataclass(frozen=True)
class Negotiated:
    """One negotiated term, [starts_at, ends_at); None: without an end.

    `charge`: a code, "" for all usage charges (minimum, cap) or all lines (discount). `number`: the quantity, amount or
    percentage that it says; None: no cap. `percentage`: the number of a discount is one. `said`: how explanations name
    it, as JSON.
    """

    id: int
    what: What
    charge: str
    starts_at: datetime
    ends_at: datetime | None
    since: datetime
    number: Decimal | None = None
    percentage: bool = False
    match: Mapping[str, str] = field(default_factory=dict)
    price: Price | None = None
    said: Mapping[str, object] = field(default_factory=dict)

    def holds_in(self, part: Period) -> bool:
        """Of a part that is cut at its bounds: all of it, or nothing."""
        return self.starts_at <= part.start and (self.ends_at is None or part.end <= self.ends_at)


def of_usage_charge(terms: Iterable[Negotiated], charge: UsageCharge) -> list[Negotiated]:
    """Those at whose bounds the charge's period is cut; those of all usage charges included."""
    return [each for each in terms if each.what in OF_USAGE and each.charge in ("", charge.code)]


def of_fee(terms: Iterable[Negotiated], charge: FlatCharge) -> list[Negotiated]:
    return [each for each in terms if each.what in OF_FEES and each.charge in ("", charge.code)]


def of_book(terms: Iterable[Negotiated]) -> list[Negotiated]:
    """Minimum and cap of all usage charges together."""
    return [each for each in terms if each.what in OF_ALL_USAGE and not each.charge]


def parts(period: Period, terms: Iterable[Negotiated]) -> list[Period]:
    """The period, cut where one of the terms begins or ends. Together they are the period."""
    bounds = {instant for each in terms for instant in (each.starts_at, each.ends_at) if instant is not None}
    inner = sorted(instant for instant in bounds if period.start < instant < period.end)
    return [Period(*each) for each in zip([period.start, *inner], [*inner, period.end], strict=True)]


def holding(part: Period, terms: Iterable[Negotiated]) -> tuple[Negotiated, ...]:
    return tuple(each for each in terms if each.holds_in(part))


def usage_charge(charge: UsageCharge, terms: Sequence[Negotiated]) -> UsageCharge:
    """The charge with what holds of `terms` in place of its own. The very same one when nothing of it differs."""
    own = [each for each in terms if each.charge == charge.code]
    changed: dict[str, object] = {
        each.what.value: each.number for each in own if each.what in (What.INCLUDED, What.MINIMUM, What.CAP)
    }
    prices = [each for each in own if each.what == What.PRICE]
    if prices:
        changed["rows"] = _rows(charge.rows, prices)
    return replace(charge, **changed) if changed else charge  # type: ignore[arg-type]


def flat_charge(charge: FlatCharge, terms: Iterable[Negotiated]) -> FlatCharge:
    for each in terms:
        if each.what == What.FEE and each.charge == charge.code and each.number is not None:
            return replace(charge, amount=each.number)
    return charge


def book(plan: PriceBook, terms: Iterable[Negotiated]) -> PriceBook:
    """The book with what was negotiated of all usage.

    Where the plan does not say what product the line of a minimum is, it is the first usage charge's.
    """
    changed: dict[str, object] = {each.what.value: each.number for each in of_book(terms)}
    if not changed:
        return plan
    product = next((charge.product for charge in plan.charges if isinstance(charge, UsageCharge)), None)
    return replace(plan, **changed, commitment_product=plan.commitment_product or product)  # type: ignore[arg-type]


def _rows(rows: Sequence[Row], prices: Sequence[Negotiated]) -> tuple[Row, ...]:
    """A negotiated row stands in the place of the plan's of the same values; one of other values, before all rows."""
    by_match = {_key(each.match): each for each in prices}
    kept = []
    for row in rows:
        mine = by_match.pop(_key(row.match), None)
        kept.append(row if mine is None else _row(mine, row.position))
    return (*(_row(each, -1) for each in by_match.values()), *kept)


def _row(term: Negotiated, position: int) -> Row:
    """Its id is below nothing, which no row of a plan has."""
    assert term.price is not None  # the database holds it: term_fields_fit_what
    return Row(-term.id, position, term.match, computing(term.price))


def _key(match: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(match.items()))


def named(terms: Iterable[Negotiated], *whats: What, row: int = 0) -> dict[str, object]:
    """For an explanation: which of the terms it rests on. `row`: a price counts only when it is of this row."""
    rests = [each.said for each in terms if each.what in whats and (each.what != What.PRICE or row == -each.id)]
    return {"overrides": rests} if rests else {}
