"""An invoice as people read it: every number written out, no exponent, dates of the invoice's own timezone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from babel.dates import format_date

from billing_site.foundation.money import grouped, show
from billing_site.foundation.periods import local_date
from invoicing.models import Chunk, Invoice, Line


@dataclass(frozen=True)
class SheetLine:
    """A line, and how it came about. `unit` is empty for a fee, `unit_price` where no single one holds.

    `rests_on`: what was negotiated, or which coupon was redeemed, each as a word and what is to be said of it.
    """

    description: str
    service: str
    quantity: str
    included: str
    unit: str
    unit_price: str
    amount: str
    version: str
    row: str
    rests_on: Sequence[tuple[str, str]]
    steps: Sequence[str]


@dataclass(frozen=True)
class Sheet:
    """All that the page shows. `standing` says what to know of an invoice that is not a finalized one."""

    title: str
    standing: str
    reasons: Sequence[str]
    error: str
    period: str
    issued: str
    plan: str
    subscription: str
    currency: str
    seller: Mapping[str, str]
    bill_to: Mapping[str, str]
    lines: Sequence[SheetLine]
    total: str


def sheet(invoice: Invoice) -> Sheet:
    """Reads the lines, and what `invoice` points at. A constant number of queries."""
    lines = invoice.lines.all()
    draft = invoice.status == Invoice.Status.DRAFT
    return Sheet(
        title=f"Invoice {invoice.number}" if invoice.number else invoice.get_status_display(),
        standing=_standing(invoice),
        reasons=invoice.hold_reason.splitlines() if draft else [],
        error=_error(invoice.chunk) if draft else "",
        period=period_text(invoice),
        issued="" if invoice.finalized_at is None else day_text(local_date(invoice.finalized_at, invoice.timezone)),
        plan=str(invoice.version),
        subscription=invoice.subscription.reference,
        currency=invoice.currency,
        seller=invoice.seller,
        bill_to=invoice.bill_to or {"name": invoice.customer.name},
        lines=[_line(line, invoice) for line in lines],
        total=show(invoice.total, invoice.currency),
    )


def period_text(invoice: Invoice) -> str:
    """Its days, the last one included; the opening invoice of a subscription has only a beginning."""
    return days_text(invoice.period_start, invoice.period_end, invoice.timezone)


def days_text(start: datetime, end: datetime, timezone: str) -> str:
    first = local_date(start, timezone)
    last = local_date(end - timedelta(microseconds=1), timezone)
    if first >= last:
        return day_text(first)
    return f"{day_text(first)} – {day_text(last)}"


def day_text(day: date) -> str:
    return format_date(day, "d MMM y", locale="en")


def _standing(invoice: Invoice) -> str:
    if invoice.status == Invoice.Status.EMPTY:
        return "There was nothing to bill in this period, so this invoice has no lines and got no number."
    if invoice.status != Invoice.Status.DRAFT:
        return ""
    when = f"{invoice.finalize_after:%Y-%m-%d %H:%M} UTC"
    as_of = "" if invoice.rated_at is None else f" The figures are those of {invoice.rated_at:%Y-%m-%d %H:%M} UTC."
    return f"This is a draft: late usage still counts until it is finalized, from {when} on.{as_of}"


def _error(chunk: Chunk | None) -> str:
    if chunk is None or not chunk.error:
        return ""
    given_up = chunk.status == Chunk.Status.FAILED
    return f"{'Given up' if given_up else 'Will be tried again'} after {chunk.attempts} attempts: {chunk.error}"


def _line(line: Line, invoice: Invoice) -> SheetLine:
    explanation = line.explanation
    return SheetLine(
        description=line.description,
        service=days_text(line.service_start, line.service_end, invoice.timezone),
        quantity=grouped(line.quantity),
        included=grouped(line.included) if line.included else "",
        unit=line.unit,
        unit_price="" if line.unit_price is None else show(line.unit_price, invoice.currency),
        amount=show(line.amount, invoice.currency),
        version=explanation.get("version", ""),
        row=_row(explanation.get("row")),
        rests_on=list(_rests_on(explanation)),
        steps=[*explanation.get("steps", []), *filter(None, [explanation.get("share")])],
    )


def _rests_on(explanation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for term in explanation.get("overrides", ()):
        until = f" to {term['until']}" if term["until"] else " on"
        yield "Negotiated", f"{term['name']}, from {term['from']}{until}: {term['reason']} (no. {term['id']})"
    if "coupon" in explanation:
        yield "Coupon", explanation["coupon"]["code"]


def _row(row: Mapping[str, Mapping[str, str]] | None) -> str:
    if row is None:
        return ""
    return ", ".join(f"{name} = {value}" for name, value in row["match"].items()) or "any (*)"
