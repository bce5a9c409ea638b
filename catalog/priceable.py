"""What the rows of a meter's charge may name."""

from dataclasses import dataclass, field

from meters.models import Dimension, Meter


@dataclass(frozen=True)
class Priceable:
    """The names that can be priced, in the meter's order, and what is known of their values.

    `labels`: the only values that `label_dimension` can have. `unready`: the dimensions that exist but are pending or
    retired, with their status.
    """

    meter: str
    dimensions: tuple[str, ...]
    label_dimension: str = ""
    labels: tuple[str, ...] = ()
    unready: dict[str, str] = field(default_factory=dict)


def priceable(meter: Meter) -> Priceable:
    """Read from the meter's dimensions and values; prefetch both for many meters."""
    active, unready = [], {}
    for dimension in meter.dimensions.all():
        if dimension.status == Dimension.Status.ACTIVE:
            active.append(dimension.name)
        else:
            unready[dimension.name] = dimension.status
    if meter.label_dimension:
        active.append(meter.label_dimension)
    labels = tuple(value.label for value in meter.values.all() if value.label) if meter.label_dimension else ()
    return Priceable(meter.code, tuple(active), meter.label_dimension, labels, unready)
