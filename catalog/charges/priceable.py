"""What the rows of a meter's charge may name."""

from dataclasses import dataclass, field

from meters.measuring.bands import band_names
from meters.models import Dimension, Meter


@dataclass(frozen=True)
class Priceable:
    """The names that can be priced, in the meter's order, and what is known of their values.

    `labels`: the only values that `label_dimension` can have; `bands`: those that derived dimensions can have.
    `unready`: the dimensions that exist but are pending or retired, with their status.
    """

    meter: str
    dimensions: tuple[str, ...]
    label_dimension: str = ""
    labels: tuple[str, ...] = ()
    unready: dict[str, str] = field(default_factory=dict)
    bands: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def only(self, name: str) -> tuple[str, ...] | None:
        """All the values that usage can have at a name; None when that is up to events."""
        return self.labels if name and name == self.label_dimension else self.bands.get(name)


def priceable(meter: Meter) -> Priceable:
    """Read from the meter's dimensions, bands and values; prefetch all three for many meters."""
    active, unready = [], {}
    for dimension in meter.dimensions.all():
        if dimension.status == Dimension.Status.ACTIVE:
            active.append(dimension.name)
        else:
            unready[dimension.name] = dimension.status
    bands = {each.name: band_names(each.thresholds) for each in meter.bands.all()}
    active += bands
    if meter.label_dimension:
        active.append(meter.label_dimension)
    labels = tuple(value.label for value in meter.values.all() if value.label) if meter.label_dimension else ()
    return Priceable(meter.code, tuple(active), meter.label_dimension, labels, unready, bands)
