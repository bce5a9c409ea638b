"""Which values real usage has had, to be offered where a price row is written."""

from django.db.models import F
from django.db.models.fields.json import KeyTextTransform

from catalog.charges.priceable import Priceable
from meters.models import Meter, Series

# The latest combinations that are looked at: enough to offer, and few enough to wait for.
LOOKED_AT = 20_000
OFFERED = 200


def seen_values(meter: Meter, priceable: Priceable, at_most: int | None = OFFERED) -> dict[str, list[str]]:
    """By dimension: the meter's labels or bands, or values of its latest usage. One query for each other dimension.

    `at_most`: how many values of a dimension; None: all of the latest usage.
    """
    latest = Series.objects.order_by("-pk").values("pk")[:LOOKED_AT]
    rows = Series.objects.filter(pk__in=latest, meter=meter, generation=meter.generation)
    found = {}
    for name in priceable.dimensions:
        only = priceable.only(name)
        if only is not None:
            found[name] = list(only)
        else:
            values = rows.annotate(seen=KeyTextTransform(name, F("dimensions"))).filter(seen__isnull=False)
            found[name] = list(values.order_by("seen").values_list("seen", flat=True).distinct()[:at_most])
    return found
