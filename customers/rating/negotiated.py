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

    def meets(self, part: Period) -> bool:
        """Whether it holds on any of its days."""
        return self.starts_at < part.end and (self.ends_at is None or part.start < self.ends_at)


def about(terms: Iterable[Negotiated], code: str, *whats: What) -> list[Negotiated]:
    """Those of one charge; code "": those of all of them together."""
    return [each for each in terms if each.what in whats and each.charge == code]


def cutting(terms: Sequence[Negotiated], charge: UsageCharge, plan: PriceBook, period: Period) -> list[Negotiated]:
    """Those at whose bounds the charge's usage is cut into parts.

    Prices do. Where quantities add up, so that a part can be taken of them without pricing it anew, whatever asks what
    came on its days does too: a discount, and a cap where there is none on other days.
    """
    found = about(terms, charge.code, What.PRICE)
    if charge.adds_up:
        found += [each for each in terms if each.what == What.DISCOUNT and each.charge in ("", charge.code)]
        for code, cap in ((charge.code, charge.cap), ("", plan.cap)):
            caps = about(terms, code, What.CAP)
            held = {number(What.CAP, cap, part, caps) is None for part in parts(period, caps)}
            found += caps if len(held) > 1 else []
    return found


def number(what: What, own: Decimal | None, part: Period, terms: Iterable[Negotiated]) -> Decimal | None:
    """What holds in a part: the quantity or amount of the term that does, else the plan's own."""
    return next((each.number for each in terms if each.what == what and each.holds_in(part)), own)


def parts(period: Period, terms: Iterable[Negotiated]) -> list[Period]:
    """The period, cut where one of the terms begins or ends. Together they are the period."""
    bounds = {instant for each in terms for instant in (each.starts_at, each.ends_at) if instant is not None}
    inner = sorted(instant for instant in bounds if period.start < instant < period.end)
    return [Period(*each) for each in zip([period.start, *inner], [*inner, period.end], strict=True)]


def holding(part: Period, terms: Iterable[Negotiated]) -> tuple[Negotiated, ...]:
    return tuple(each for each in terms if each.holds_in(part))


def usage_charge(charge: UsageCharge, terms: Sequence[Negotiated]) -> UsageCharge:
    """The charge with the prices among `terms` in place of its own. The very same one when there are none."""
    prices = about(terms, charge.code, What.PRICE)
    return replace(charge, rows=_rows(charge, prices)) if prices else charge


def flat_charge(charge: FlatCharge, terms: Iterable[Negotiated]) -> FlatCharge:
    for each in terms:
        if each.what == What.FEE and each.charge == charge.code and each.number is not None:
            return replace(charge, amount=each.number)
    return charge


def _rows(charge: UsageCharge, prices: Sequence[Negotiated]) -> tuple[Row, ...]:
    """A negotiated row stands in the place of the plan's of the same values; one of other values, before all rows."""
    by_match = {_key(each.match): each for each in prices}
    kept = []
    for row in charge.rows:
        mine = by_match.pop(_key(row.match), None)
        kept.append(row if mine is None else _row(charge, mine, row.position))
    return (*(_row(charge, each, -1) for each in by_match.values()), *kept)


def _row(charge: UsageCharge, term: Negotiated, position: int) -> Row:
    """Its id is below nothing, which no row of a plan has."""
    assert term.price is not None  # the database holds it: term_fields_fit_what
    return Row(-term.id, position, term.match, computing(term.price, dimensions=bool(charge.dimensions)))


def _key(match: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(match.items()))


def named(terms: Iterable[Negotiated], *whats: What, row: int = 0) -> dict[str, object]:
    """For an explanation: which of the terms it rests on. `row`: a price counts only when it is of this row."""
    rests = [each.said for each in terms if each.what in whats and (each.what != What.PRICE or row == -each.id)]
    return {"overrides": rests} if rests else {}
