"""Which values real usage has had: to be offered where a price row is written, and to compare prices with costs."""

from typing import Any

from django.db.models import Count, F, QuerySet
from django.db.models.fields.json import KeyTextTransform

from catalog.charges.priceable import Priceable
from meters.explorer.scanning import in_time
from meters.models import Meter, Series

# The latest combinations of the meter that are looked at: enough to offer, and few enough to wait for.
LOOKED_AT = 20_000
OFFERED = 200
# More values of one dimension are no models any more, but something that somebody writes into it.
USED_AT_MOST = 20_000


def seen_values(meter: Meter, priceable: Priceable, at_most: int | None = OFFERED) -> dict[str, list[str]]:
    """By dimension: the meter's labels or bands, or values of its latest usage. One query for each other dimension.

    `at_most`: how many values of a dimension; None: all of the latest usage.
    """
    found = {}
    for name in priceable.dimensions:
        only = priceable.only(name)
        if only is not None:
            found[name] = list(only)
        else:
            latest = Series.objects.filter(pk__in=_series(meter).order_by("-pk").values("pk")[:LOOKED_AT])
            values = _valued(latest, name).order_by("seen").values_list("seen", flat=True)
            found[name] = list(values.distinct()[:at_most])
    return found


def used_values(meter: Meter, name: str) -> list[str]:
    """All values that the meter's usage has had at a dimension, whenever that was: those of most series first.

    At most one more than `USED_AT_MOST`. One statement, which reads the series of the meter alone; raises
    `meters.scanning.TooMuch` when it takes longer than a page may.
    """
    counted = _valued(_series(meter), name).values("seen").annotate(series=Count("pk")).order_by("-series", "seen")
    with in_time():
        return list(counted.values_list("seen", flat=True)[: USED_AT_MOST + 1])


def _series(meter: Meter) -> "QuerySet[Series]":
    return Series.objects.filter(meter=meter, generation=meter.generation)


def _valued(rows: "QuerySet[Series]", name: str) -> Any:
    return rows.annotate(seen=KeyTextTransform(name, F("dimensions"))).filter(seen__isnull=False)
