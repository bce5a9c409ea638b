"""How much a customer used in a period: quantities by meter and dimensions, whoever is billed for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.periods import Period
from customers.models import Customer
from meters import usage
from meters.models import Dimension, Meter


@dataclass(frozen=True)
class UsageRow:
    """What a meter counted at one combination of the dimensions that were asked for; a missing value is left out."""

    meter: Meter
    dimensions: Mapping[str, str]
    quantity: Decimal
    events: int


def used(
    customer: Customer, period: Period, *, meters: Sequence[str] = (), group_by: Sequence[str] = ()
) -> list[UsageRow]:
    """Usage of `period` by meter codes (none: all meters) and the dimensions `group_by` (none: one row a meter).

    In the order of meters, then of values. Raises Refused for a meter or a dimension that does not exist. A constant
    number of queries.
    """
    chosen = _meters(meters)
    _check_dimensions(chosen, group_by)
    references = tuple(customer.aliases.values_list("reference", flat=True))
    windows = [
        usage.Window(
            key=meter.pk, customers=references, meter=meter.pk, period=period, grouping=usage.grouped_by(group_by)
        )
        for meter in chosen
    ]
    found = usage.read(windows)
    return [
        UsageRow(meter, dict(values), row.quantity, row.events)
        for meter in chosen
        for values, row in sorted(((_values(row, group_by), row) for row in found.get(meter.pk, [])), key=itemgetter(0))
    ]


def _meters(codes: Sequence[str]) -> list[Meter]:
    rows = list(Meter.objects.order_by("code").prefetch_related("dimensions"))
    known = {meter.code for meter in rows}
    unknown = [code for code in codes if code not in known]
    if unknown:
        faults = [
            Fault("meter_unknown", f"There is no meter “{code}”; {_known('meters', known)}.", "meter")
            for code in unknown
        ]
        raise Refused(*faults)
    return [meter for meter in rows if not codes or meter.code in codes]


def _check_dimensions(meters: Sequence[Meter], names: Sequence[str]) -> None:
    known = {name for meter in meters for name in _recorded(meter)}
    unknown = [name for name in names if name not in known]
    if unknown:
        which = "these meters have" if len(meters) != 1 else f"the meter “{meters[0].code}” has"
        message = "There is no dimension “{}”: " + which + " " + (", ".join(sorted(known)) or "none") + "."
        raise Refused(*[Fault("dimension_unknown", message.replace("{}", name), "group_by") for name in unknown])


def _recorded(meter: Meter) -> list[str]:
    names = [each.name for each in meter.dimensions.all() if each.status != Dimension.Status.RETIRED]
    return [*names, meter.label_dimension] if meter.label_dimension else names


def _values(row: usage.Usage, names: Sequence[str]) -> list[tuple[str, str]]:
    """In the order in which they were asked for."""
    return [(name, row.dimensions[name]) for name in names if name in row.dimensions]


def _known(what: str, names: set[str]) -> str:
    return f"the {what} are " + ", ".join(sorted(names)) if names else f"there are no {what} yet"
