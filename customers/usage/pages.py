"""Usage of many customers, meters and windows of time, a page at a time, each page in the same few queries.

Rows come in the order of customer, meter, window and values. A page ends after so many rows, or after so many windows
have been read, whichever comes first: one of windows without usage may be empty, and still another follows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import Period
from customers.models import Alias, Customer
from customers.usage.bounds import period_between
from customers.usage.grouping import Key, Place
from customers.usage.periodic import Cell, UsageRow, check_dimensions, chosen_meters, read, references_of
from customers.usage.windows import Step, at_least, check_number, step_named, windows
from meters.backfills.progress import Counting
from meters.models import Meter

CELLS_AT_ONCE = 1_000
# West and east of everybody: bounds that make a period here make one in every timezone.
_EXTREMES = ("Etc/GMT+12", "Etc/GMT-14")


@dataclass(frozen=True)
class Asked:
    """What to read. `customers` None: all there are; `start` and `end` are days of each one's timezone, or instants.

    `windows`: how many a customer has at least, whatever its timezone.
    """

    customers: tuple[int, ...] | None
    meters: tuple[Meter, ...]
    start: str
    end: str
    windows: int
    step: Step | None = None
    group_by: tuple[str, ...] = ()
    filters: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def period(self, customer: Customer) -> Period:
        return period_between(self.start, self.end, customer.timezone)


class Position(NamedTuple):
    """A row's place in the order of rows; `key` None: before the first row of the window."""

    customer: str
    meter: str
    start: datetime
    key: Key | None


class Span(NamedTuple):
    """A customer's use of a meter in a window of time."""

    customer: Customer
    meter: Meter
    period: Period

    def cell(self, placed: Place) -> Cell:
        return Cell(references_of(self.customer), self.meter, self.period, placed)


@dataclass(frozen=True)
class Row:
    span: Span
    usage: UsageRow

    def position(self) -> Position:
        customer, meter, period = self.span
        return Position(customer.reference, meter.code, period.start, tuple(self.usage.dimensions.items()))


@dataclass(frozen=True)
class Page:
    """`totals`: of every customer and meter with a row on the page, from start to end, under the same filters.

    `next`: after which row the next page begins; None at the end.
    """

    rows: list[Row]
    totals: list[Row]
    next: Position | None


def ask(
    customers: Sequence[str],
    meters: Sequence[str],
    start: str | None,
    end: str | None,
    step: str | None = None,
    group_by: Sequence[str] = (),
    filters: Mapping[str, frozenset[str]] | None = None,
) -> Asked:
    """What is asked for by references (none: all customers), codes (none: all meters) and names. Raises Refused."""
    chosen = chosen_meters(meters)
    check_dimensions(chosen, group_by, "group_by")
    for name in filters or {}:
        check_dimensions(chosen, [name], f"filter[{name}]")
    found = _customers_known_by(customers)
    zones = (found[0].timezone,) if len(found) == 1 else _EXTREMES
    periods = [period_between(start, end, timezone) for timezone in zones]
    named = None if step is None else step_named(step)
    for period in periods:
        check_number(period, named)
    return Asked(
        customers=tuple(customer.pk for customer in found) if customers else None,
        meters=tuple(chosen),
        start=start or "",
        end=end or "",
        windows=min(at_least(period, named) for period in periods),
        step=named,
        group_by=tuple(group_by),
        filters=filters or {},
    )


def read_page(asked: Asked, after: Position | None, limit: int, counting: Sequence[Counting] = ()) -> Page:
    """The rows after a position, at most `limit`. Seven queries at most, however much there is.

    `counting`, and what is raised, as `periodic.read` has it.
    """
    spans = list(islice(_spans(asked, after), CELLS_AT_ONCE + 1))
    beyond = spans[CELLS_AT_ONCE:]
    del spans[CELLS_AT_ONCE:]
    pairs = list({(span.customer.pk, span.meter.pk): span for span in spans}.values())
    wholes = [Span(span.customer, span.meter, asked.period(span.customer)) for span in pairs]
    apart, together = Place(asked.group_by, asked.filters), Place((), asked.filters)
    usages = read([*(span.cell(apart) for span in spans), *(span.cell(together) for span in wholes)], counting)
    rows = [Row(span, usage) for span, found in zip(spans, usages, strict=False) for usage in found]
    if after is not None:
        rows = [row for row in rows if _is_after(row.position(), after)]
    totals = [Row(span, usage) for span, found in zip(wholes, usages[len(spans) :], strict=True) for usage in found]
    return _page(rows, totals, limit, beyond)


def _page(rows: list[Row], totals: list[Row], limit: int, beyond: list[Span]) -> Page:
    more: Position | None = None
    if len(rows) > limit:
        more = rows[limit - 1].position()
    elif beyond:
        more = Position(beyond[0].customer.reference, beyond[0].meter.code, beyond[0].period.start, None)
    shown = rows[:limit]
    pairs = {(row.span.customer.pk, row.span.meter.pk) for row in shown}
    return Page(shown, [row for row in totals if (row.span.customer.pk, row.span.meter.pk) in pairs], more)


def _is_after(position: Position, after: Position) -> bool:
    """Whether a row comes after a position in the same window, or is in another window, which then comes after."""
    return position[:3] != after[:3] or after.key is None or (position.key or ()) > after.key


def _spans(asked: Asked, after: Position | None) -> Iterator[Span]:
    """From the window of `after` on, in the order of rows."""
    for customer in _customers(asked, after):
        whole = asked.period(customer)
        same = after if after and after.customer == customer.reference else None
        for meter in asked.meters:
            if same and meter.code < same.meter:
                continue
            period = whole.clip(same.start, None) if same and meter.code == same.meter else whole
            for window in windows(period, asked.step, customer.timezone):
                yield Span(customer, meter, window)


def _customers(asked: Asked, after: Position | None) -> list[Customer]:
    """As many as a page can need. Two queries."""
    if not asked.meters:
        return []
    rows = Customer.objects.order_by("reference").prefetch_related("aliases")
    if asked.customers is not None:
        rows = rows.filter(pk__in=asked.customers)
    if after is not None:
        rows = rows.filter(reference__gte=after.customer)
    return list(rows[: CELLS_AT_ONCE // (len(asked.meters) * asked.windows) + 2])


def _customers_known_by(references: Sequence[str]) -> list[Customer]:
    """One query, or none. Raises Refused."""
    if not references:
        return []
    texts = [text for text in references if "\0" not in text]
    rows = Alias.objects.select_related("customer").filter(reference__in=texts)
    found = {alias.reference: alias.customer for alias in rows}
    faults = [
        Fault("customer_unknown", f"No customer is known by “{text[:255]}”.", "customer")
        for text in references
        if text not in found
    ]
    if faults:
        raise Refused(*faults)
    return list({customer.pk: customer for customer in found.values()}.values())
