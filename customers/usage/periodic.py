"""How much customers used in periods: quantities by meter and dimensions, whoever is billed for them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple, TypeVar

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import Period
from customers.models import Customer
from customers.usage.grouping import Place
from meters.backfills import progress as backfills
from meters.backfills.progress import Counting
from meters.models import Dimension, Meter
from meters.usage import reading as usage

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class UsageRow:
    """What a meter counted at one combination of the dimensions that were asked for; a missing value is left out."""

    meter: Meter
    dimensions: Mapping[str, str]
    quantity: Decimal
    events: int


class Cell(NamedTuple):
    """One quantity to read, or one for each combination of values: `references` are all that mean the customer."""

    references: tuple[str, ...]
    meter: Meter
    period: Period
    place: Place


def used(
    customer: Customer,
    period: Period,
    *,
    meters: Sequence[str] = (),
    group_by: Sequence[str] = (),
    counting: Sequence[Counting] = (),
) -> list[UsageRow]:
    """Usage of `period` by meter codes (none: all meters) and the dimensions `group_by` (none: one row a meter).

    In the order of meters, then of values. Raises Refused for a meter or a dimension that does not exist. A constant
    number of queries. `counting` as `read` has it.
    """
    chosen = chosen_meters(meters)
    check_dimensions(chosen, group_by, "group_by")
    references = references_of(customer)
    cells = [Cell(references, meter, period, Place(tuple(group_by))) for meter in chosen]
    return [row for rows in read(cells, counting) for row in rows]


def read(cells: Sequence[Cell], counting: Sequence[Counting] = ()) -> list[list[UsageRow]]:
    """The usage of each cell, in the order of values. The number of queries does not grow with the cells.

    A cell's quantity is read for the whole of its period: those of two periods are never added up. Of a meter in
    `counting`, which is shown beside it, it is what is counted so far; for another that is still counting stored events
    `usage.StillCounting` is raised. See `beside_counting`.
    """
    windows = [
        usage.Window(number, cell.references, cell.meter.pk, cell.period, grouping=cell.place)
        for number, cell in enumerate(cells)
    ]
    found = usage.read(windows, told=[each.job.meter_id for each in counting])
    return [_rows(cell, found[number]) for number, cell in enumerate(cells)]


def still_counting(meters: Iterable[Meter]) -> list[Counting]:
    """Those of the meters that have not counted all stored events, in order; asked before their usage is read.

    Whatever is finished in between is then called unfinished. One query.
    """
    found = backfills.unfinished([meter.pk for meter in meters])
    return sorted(found.values(), key=lambda counting: counting.meter)


def beside_counting(
    meters: Sequence[Meter], reading: Callable[[Sequence[Counting]], Answer]
) -> tuple[Answer, list[Counting]]:
    """What `reading` comes to, which passes on to `read` what is still counting; and that, to be shown beside it.

    When a meter begins to count anew in between, both are asked again: no figure is called finished that is not.
    """
    while True:
        counting = still_counting(meters)
        try:
            return reading(counting), counting
        except usage.StillCounting:
            continue


def _rows(cell: Cell, found: Sequence[usage.Usage]) -> list[UsageRow]:
    keyed = sorted(((cell.place.key(each.dimensions), each) for each in found), key=itemgetter(0))
    return [UsageRow(cell.meter, dict(key), each.quantity, each.events) for key, each in keyed]


def references_of(customer: Customer) -> tuple[str, ...]:
    """All references by which events name the customer. No query when its aliases were prefetched."""
    return tuple(alias.reference for alias in customer.aliases.all())


def chosen_meters(codes: Sequence[str]) -> list[Meter]:
    """The meters of these codes, all when there are none, in the order of codes. Raises Refused. Two queries."""
    rows = list(Meter.objects.order_by("code").prefetch_related("dimensions", "bands"))
    known = {meter.code for meter in rows}
    unknown = [code for code in codes if code not in known]
    if unknown:
        faults = [
            Fault("meter_unknown", f"There is no meter “{code}”; {_known('meters', known)}.", "meter")
            for code in unknown
        ]
        raise Refused(*faults)
    return [meter for meter in rows if not codes or meter.code in codes]


def check_dimensions(meters: Sequence[Meter], names: Iterable[str], field: str) -> None:
    """Raises Refused, naming `field`, when none of the meters has a dimension of one of these names."""
    known = {name for meter in meters for name in recorded(meter)}
    unknown = [name for name in names if name not in known]
    if unknown:
        which = "these meters have" if len(meters) != 1 else f"the meter “{meters[0].code}” has"
        message = "There is no dimension “{}”: " + which + " " + (", ".join(sorted(known)) or "none") + "."
        raise Refused(*[Fault("dimension_unknown", message.replace("{}", name), field) for name in unknown])


def recorded(meter: Meter) -> list[str]:
    """The dimensions and bands by which the meter keeps quantities apart. No query when both were prefetched."""
    names = [each.name for each in meter.dimensions.all() if each.status != Dimension.Status.RETIRED]
    names += [each.name for each in meter.bands.all()]
    return [*names, meter.label_dimension] if meter.label_dimension else names


def _known(what: str, names: set[str]) -> str:
    return f"the {what} are " + ", ".join(sorted(names)) if names else f"there are no {what} yet"
