"""Meters are made and changed here; the events that are there are counted by `backfilling`, not while one waits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError

from billing_site.foundation.errors import Fault, Refused
from meters.backfills import backfilling
from meters.definitions import drafts
from meters.definitions.drafts import BandDraft, DimensionDraft, FilterDraft, MeterDraft, ValueDraft
from meters.measuring import registry
from meters.measuring.aggregation import aggregation_for
from meters.models import Dimension, Meter, MeterBand, MeterFilter, MeterValue

FROZEN = (
    "A published plan version uses the meter “{code}”: what it counts can no longer be changed. Make another meter."
)


def define_meter(
    *,
    code: str,
    name: str,
    event_type: str,
    aggregation: str,
    unit: str,
    description: str = "",
    label_dimension: str = "",
    value_kind: str = "",
    recurring: bool = False,
    rounding: tuple[str, int] = ("none", 0),
    series_limit: int | None = None,
    values: Iterable[tuple[str, str] | tuple[str, str, Sequence[str]]] = (),
    dimensions: Iterable[Sequence[str]] = (),
    filters: Iterable[tuple[str, str, Sequence[str]]] = (),
    bands: Iterable[tuple[str, Sequence[str], Sequence[Decimal | int | str]]] = (),
) -> Meter:
    """Make a meter; what was sent already is counted when it returns.

    `values`: (label, property) or (label, property, further properties that are added to it); `value_kind`: level or
    delta, for a weighted sum; `rounding`: none, ceil, floor or half_up, and to how many places; `dimensions`: (name,
    property) or (name, property, status); `filters`: (property, operator, values); `bands`: (name, properties that are
    added up, thresholds); `series_limit`: how many combinations a customer may have. Raises Refused.
    """
    meter = create(
        MeterDraft(
            code=code,
            name=name,
            event_type=event_type,
            aggregation=aggregation,
            unit=unit,
            description=description,
            label_dimension=label_dimension,
            value_kind=value_kind,
            recurring=recurring,
            rounding=rounding[0],
            rounding_places=rounding[1],
            series_limit=series_limit,
            values=tuple(ValueDraft(each[0], each[1], tuple(*each[2:])) for each in values),
            dimensions=tuple(DimensionDraft(*each) for each in dimensions),
            filters=tuple(FilterDraft(name, operator, tuple(given)) for name, operator, given in filters),
            bands=tuple(
                BandDraft(name, tuple(properties), tuple(Decimal(each) for each in thresholds))
                for name, properties, thresholds in bands
            ),
        )
    )
    backfilling.run(meter)
    return meter


def create(draft: MeterDraft, by: Any = None) -> Meter:
    """Make a meter of a draft; what was sent already is counted by a job, for which `by` asked. Raises Refused."""
    with transaction.atomic():
        registry.lock()
        _refuse(drafts.faults(draft))
        _refuse(_taken(draft.code))
        meter = Meter.objects.create(**_columns(draft))
        _write_parts(meter, draft)
        backfilling.begin(meter, by)
    return meter


def change(meter: Meter, draft: MeterDraft, by: Any = None) -> Meter:
    """Make a meter what the draft says. A frozen one may change its name and description only. Raises Refused.

    When that changes what it counts, all of it is counted anew, by a job for which `by` asked.
    """
    with transaction.atomic():
        registry.lock()
        meter = Meter.objects.select_for_update(no_key=True).get(pk=meter.pk)
        _refuse(drafts.faults(draft))
        _refuse(_taken(draft.code, but=meter))
        before = draft_of(meter)
        if meter.frozen_at is not None and _counted(before) != _counted(draft):
            raise Refused(Fault("meter_frozen_conflict", FROZEN.format(code=meter.code)))
        over = before.series_limit != draft.series_limit and meter.over_limit.exists()
        anew = over or _kept(before) != _kept(draft)
        for column, value in _columns(draft).items():
            setattr(meter, column, value)
        meter.generation += anew
        meter.save(update_fields=[*_changed(before, draft), "generation", "updated_at"])
        if _parts(before) != _parts(draft):
            _write_parts(meter, draft)
        if anew:
            _count_anew(meter, by)
    return meter


def change_some(meter: Meter, changes: Mapping[str, Any], by: Any = None) -> Meter:
    """Change those fields of a meter's draft that are given. Two that change different ones both have their way."""
    with transaction.atomic():
        registry.lock()
        held = Meter.objects.filter(pk=meter.pk).first()
        if held is None:
            raise Refused(Fault("meter_gone_conflict", f"The meter “{meter.code}” was deleted just now."))
        return change(held, replace(draft_of(held), **changes), by)


def recount(meter: Meter, by: Any = None) -> None:
    """Count the meter anew by the limit of series that it has now: what was counted as `__other__` finds its place.

    By a job, for which `by` asked. Nothing is done when the meter is over its limit for no customer.
    """
    with transaction.atomic():
        registry.lock()
        meter = Meter.objects.select_for_update(no_key=True).get(pk=meter.pk)
        if meter.over_limit.exists():
            meter.generation += 1
            meter.save(update_fields=["generation", "updated_at"])
            _count_anew(meter, by)


def delete(meter: Meter) -> None:
    """Delete a meter that nothing has counted by. Raises Refused."""
    with transaction.atomic():
        registry.lock()
        if (held := Meter.objects.select_for_update().filter(pk=meter.pk).first()) is None:
            raise Refused(Fault("meter_gone_conflict", f"The meter “{meter.code}” was deleted just now."))
        meter = held
        if meter.frozen_at is not None:
            raise Refused(Fault("meter_frozen_conflict", FROZEN.format(code=meter.code)))
        if meter.series.exists():
            message = f"The meter “{meter.code}” has counted usage, which is kept: it cannot be deleted."
            raise Refused(Fault("meter_used_conflict", message))
        try:
            meter.delete()
        except ProtectedError:
            message = f"A plan charges for the meter “{meter.code}”: remove the charge first."
            raise Refused(Fault("meter_used_conflict", message)) from None


def draft_of(meter: Meter) -> MeterDraft:
    """The meter as it is."""
    return MeterDraft(
        **{column: getattr(meter, column) for column in _COLUMNS},
        values=tuple(ValueDraft(each.label, each.property, tuple(each.plus)) for each in meter.values.all()),
        dimensions=tuple(DimensionDraft(each.name, each.property, each.status) for each in meter.dimensions.all()),
        filters=tuple(FilterDraft(each.property, each.operator, tuple(each.values)) for each in meter.filters.all()),
        bands=tuple(BandDraft(each.name, tuple(each.properties), tuple(each.thresholds)) for each in meter.bands.all()),
    )


def adds_up(meter: Meter) -> bool:
    """Whether the meter's quantities of parts add up to that of the whole: neither non-additive nor rounded."""
    return meter.rounding == "none" and aggregation_for(meter.aggregation, meter.value_kind).adds_up


_COLUMNS = (
    *("code", "name", "event_type", "aggregation", "value_kind", "recurring", "rounding", "rounding_places"),
    *("unit", "description", "label_dimension", "series_limit"),
)
_FREE = ("name", "description", "series_limit")


def _columns(draft: MeterDraft) -> dict[str, Any]:
    return {column: getattr(draft, column) for column in _COLUMNS}


def _changed(before: MeterDraft, after: MeterDraft) -> list[str]:
    return [column for column in _COLUMNS if getattr(before, column) != getattr(after, column)]


def _parts(draft: MeterDraft) -> tuple[object, ...]:
    return draft.values, draft.dimensions, draft.filters, draft.bands


def _counted(draft: MeterDraft) -> tuple[object, ...]:
    """All of a draft that freezes: what it counts, and what its quantity is called."""
    return *(getattr(draft, column) for column in _COLUMNS if column not in _FREE), *_parts(draft)


def _kept(draft: MeterDraft) -> tuple[object, ...]:
    """What of a draft decides what is kept of events; how quantities are rounded, carried over or called does not."""
    return (
        *(draft.event_type, draft.aggregation, draft.value_kind, draft.label_dimension),
        {(each.label, each.property, tuple(sorted(each.plus))) for each in draft.values},
        {(each.name, each.property) for each in draft.dimensions if each.status != Dimension.Status.RETIRED},
        {(each.property, each.operator, frozenset(each.values)) for each in draft.filters},
        {(each.name, each.properties, each.thresholds) for each in draft.bands},
    )


def _taken(code: str, but: Meter | None = None) -> list[Fault]:
    found = Meter.objects.filter(code=code).first()
    if found is None or found == but:
        return []
    return [Fault("code_taken", f"There is a meter “{code}” already: choose another code.", "code")]


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise Refused(*faults)


def _write_parts(meter: Meter, draft: MeterDraft) -> None:
    """Replace values, dimensions, bands and filters; what keeps its name keeps its row and history."""
    meter.values.exclude(label__in=[each.label for each in draft.values]).delete()
    MeterValue.objects.bulk_create(
        [
            MeterValue(meter=meter, label=each.label, property=each.property, plus=list(each.plus), position=position)
            for position, each in enumerate(draft.values)
        ],
        update_conflicts=True,
        unique_fields=["meter", "label"],
        update_fields=["property", "plus", "position"],
    )
    meter.dimensions.exclude(name__in=[each.name for each in draft.dimensions]).delete()
    Dimension.objects.bulk_create(
        [
            Dimension(meter=meter, name=each.name, property=each.property, status=each.status, position=position)
            for position, each in enumerate(draft.dimensions)
        ],
        update_conflicts=True,
        unique_fields=["meter", "name"],
        update_fields=["property", "status", "position"],
    )
    meter.bands.exclude(name__in=[each.name for each in draft.bands]).delete()
    MeterBand.objects.bulk_create(
        [
            MeterBand(
                meter=meter,
                name=each.name,
                properties=list(each.properties),
                thresholds=list(each.thresholds),
                position=position,
            )
            for position, each in enumerate(draft.bands)
        ],
        update_conflicts=True,
        unique_fields=["meter", "name"],
        update_fields=["properties", "thresholds", "position"],
    )
    if draft.filters != draft_of(meter).filters:
        meter.filters.all().delete()
        MeterFilter.objects.bulk_create(
            MeterFilter(meter=meter, property=each.property, operator=each.operator, values=list(each.values))
            for each in draft.filters
        )


def _count_anew(meter: Meter, by: Any) -> None:
    """In series of the meter's new generation, all combinations told apart again, up to the limit."""
    meter.over_limit.all().delete()
    backfilling.begin(meter, by)
