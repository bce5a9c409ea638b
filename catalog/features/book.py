"""Features, and what published versions give of them, as values: kept by each process.

Features are read anew when their revision has moved, which the reader sees in a query of its own. What a published
version gives never changes, so it is read once.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from billing_site.foundation.periods import Interval
from catalog.features.models import Feature, FeatureRevision, FeatureValue
from catalog.features.values import Kind, Several, Value, Window
from catalog.models import PlanVersion

# Enough for every version that is in use; beyond it they are read anew.
KEPT_VERSIONS = 10_000


@dataclass(frozen=True)
class Offered:
    """A feature. `meter` and `window`: of a number that counts use, over that long; `filters`: of which part of it."""

    id: int
    code: str
    name: str
    description: str
    kind: Kind
    meter: int | None = None
    unit: str = ""
    window: Window | None = None
    filters: Mapping[str, frozenset[str]] = field(default_factory=dict)
    several: Several = Several.HIGHEST


@dataclass(frozen=True)
class Granted:
    """What a version gives, by feature; and how often it is billed."""

    interval: Interval
    values: Mapping[int, Value]


class _Kept:
    """Each is replaced whole, or only ever added to: threads share them."""

    features: tuple[UUID | None, tuple[Offered, ...]] = (None, ())
    versions: dict[int, Granted] = {}


def features(revision: UUID | None) -> tuple[Offered, ...]:
    """Every feature in the order of codes. No query when `revision`, the one in force, is the one that is kept."""
    known, kept = _Kept.features
    if revision is not None and revision == known:
        return kept
    while True:
        before = _revision()
        read = tuple(_offered(feature) for feature in Feature.objects.order_by("code").select_related("meter"))
        if before == _revision():  # what it names is what was read
            _Kept.features = before, read
            return read


def granted(versions: Collection[int]) -> dict[int, Granted]:
    """What published versions give, by their ids. No query for those that this process has read before, else two."""
    kept = _Kept.versions
    missing = [version for version in versions if version not in kept]
    read = _read(missing) if missing else {}
    if len(kept) + len(read) > KEPT_VERSIONS:
        _Kept.versions = read
    elif read:
        kept.update(read)
    return {version: read[version] if version in read else kept[version] for version in versions}


def _read(versions: Collection[int]) -> dict[int, Granted]:
    published = PlanVersion.objects.filter(pk__in=versions, published_at__isnull=False)
    values: dict[int, dict[int, Value]] = {pk: {} for pk in versions}
    for row in FeatureValue.objects.filter(version__in=versions):
        values[row.version_id][row.feature_id] = row.value
    return {pk: Granted(Interval(interval), values[pk]) for pk, interval in published.values_list("pk", "interval")}


def _revision() -> UUID | None:
    return FeatureRevision.objects.values_list("revision", flat=True).first()


def _offered(feature: Feature) -> Offered:
    return Offered(
        id=feature.pk,
        code=feature.code,
        name=feature.name,
        description=feature.description,
        kind=Kind(feature.kind),
        meter=feature.meter_id,
        unit=feature.meter.unit if feature.meter else "",
        window=Window(feature.window) if feature.window else None,
        filters={name: frozenset(values) for name, values in feature.filters.items()},
        several=Several(feature.several),
    )
