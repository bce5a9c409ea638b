"""A customer's use of one meter through time, as a chart shows it: the leading values of a dimension, and the rest.

Every figure is read for what it stands for: a window's for the window, a total's for the whole period, the others' for
all other values together. None is made of other figures, so that a maximum or a number of different values is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import Period
from customers.models import Customer
from customers.usage.grouping import OTHERS, Key, Leading, Place
from customers.usage.pages import Asked
from customers.usage.periodic import Cell, UsageRow, read, references_of
from customers.usage.windows import windows
from meters.backfills.progress import Counting
from meters.measuring import registry
from meters.measuring.aggregation import NOT_ROUNDED
from meters.models import Meter, Series

# A month of hours or two years of days: more windows than a screen has room for.
WINDOWS_AT_MOST = 750
LEADING = 8
# Each series of the customer is read in each window: a few seconds.
READINGS_AT_MOST = 60_000
_OTHERS: Key = tuple(OTHERS.items())


class Figure(NamedTuple):
    """A quantity in the meter's unit. `events` is 0 when all of it is a level carried over from before."""

    quantity: Decimal
    events: int


@dataclass(frozen=True)
class Line:
    """What one value came to; `value` None: a missing one, or that of all and of the others.

    `figures`: of each window, None where there is no usage. `total`: of the whole period.
    """

    value: str | None
    total: Figure | None
    figures: tuple[Figure | None, ...]


@dataclass(frozen=True)
class Chart:
    """`split`: the dimension whose values `lines` are, largest first; empty: there is only `all`.

    `others`: what the `other_values` further values came to together. `stacks`: the quantities of lines and others add
    up to that of all, so that one may stand upon another.
    """

    customer: Customer
    meter: Meter
    period: Period
    windows: tuple[Period, ...]
    split: str
    all: Line
    lines: tuple[Line, ...]
    others: Line | None
    other_values: int
    stacks: bool


def chart(asked: Asked, counting: Sequence[Counting] = ()) -> Chart:
    """What `usage_pages.ask` made of one customer, one meter and one dimension at most. Twelve queries at most.

    Raises Refused when there are more windows, or more to read, than a chart can show. `counting`, and what is raised
    besides, as `periodic.read` has it.
    """
    [key], [meter] = asked.customers or (), asked.meters
    customer = Customer.objects.prefetch_related("aliases").get(pk=key)
    references, period = references_of(customer), asked.period(customer)
    spans = tuple(islice(windows(period, asked.step, customer.timezone), WINDOWS_AT_MOST + 1))
    _check_size(references, meter, len(spans))
    split = "".join(asked.group_by)
    apart = Place(asked.group_by, asked.filters)
    found = read([Cell(references, meter, period, apart)], counting)[0] if split else []
    found.sort(key=lambda row: (-row.quantity, row.dimensions.get(split, "")))
    # One value by itself is no “others”.
    kept = found if len(found) <= LEADING + 1 else found[:LEADING]
    leading = Leading(asked.group_by, asked.filters, frozenset(row.dimensions.get(split) for row in kept))
    together = Place((), asked.filters)
    usages = read(
        [
            Cell(references, meter, each, place)
            for place in ((together, leading) if split else (together,))
            for each in (period, *spans)
        ],
        counting,
    )
    figures = [{tuple(row.dimensions.items()): Figure(row.quantity, row.events) for row in usage} for usage in usages]
    whole, parts = figures[: len(spans) + 1], figures[len(spans) + 1 :]
    lines = tuple(_line(parts, apart.key(row.dimensions), row.dimensions.get(split)) for row in kept)
    others = _line(parts, _OTHERS, None) if len(kept) < len(found) else None
    return Chart(
        customer=customer,
        meter=meter,
        period=period,
        windows=spans,
        split=split,
        all=_line(whole, (), None),
        lines=lines,
        others=others,
        other_values=len(found) - len(kept),
        stacks=_stacks(meter, usages),
    )


def _line(figures: Sequence[dict[Key, Figure]], key: Key, value: str | None) -> Line:
    """`figures`: of the whole, then of each window."""
    total, *parts = (each.get(key) for each in figures)
    return Line(value, total, tuple(parts))


def _stacks(meter: Meter, usages: Sequence[Sequence[UsageRow]]) -> bool:
    definition = registry.current().by_id[meter.pk]
    adds_up = definition.aggregation.adds_up and definition.rounding == NOT_ROUNDED
    return adds_up and all(row.quantity >= 0 for usage in usages for row in usage)


def _check_size(references: Sequence[str], meter: Meter, number: int) -> None:
    if number > WINDOWS_AT_MOST:
        message = (
            f"A chart shows at most {WINDOWS_AT_MOST} windows: choose longer windows or fewer days, or "
            "download the CSV."
        )
        raise Refused(Fault("windows_too_many", message, "window"))
    most = READINGS_AT_MOST // number
    kept = Series.objects.filter(customer__in=references, meter=meter, generation=meter.generation)
    series = kept.order_by()[: most + 1].count()
    if series > most:
        message = (
            f"The usage of this customer has more than {most:,} combinations of dimension values, too many to be read "
            f"in {number} windows: choose longer windows or fewer days, or download the CSV."
        )
        raise Refused(Fault("usage_too_large", message, "window"))
