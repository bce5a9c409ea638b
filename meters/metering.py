"""Meters are made and changed here, and counted anew over the events that are there."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError

from billing_site.foundation.errors import Fault, Refused
from meters import drafts, registry
from meters.aggregation import aggregation_for
from meters.drafts import DimensionDraft, FilterDraft, MeterDraft, ValueDraft
from meters.models import Dimension, Meter, MeterFilter, MeterValue, Stream
from meters.rebuilding import rebuild

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
    values: Iterable[tuple[str, str] | tuple[str, str, Sequence[str]]] = (),
    dimensions: Iterable[Sequence[str]] = (),
    filters: Iterable[tuple[str, str, Sequence[str]]] = (),
) -> Meter:
    """Make a meter; what was sent already is counted at once.

    `values`: (label, property) or (label, property, further properties that are added to it); `value_kind`: level or
    delta, for a weighted sum; `rounding`: none, ceil, floor or half_up, and to how many places; `dimensions`: (name,
    property) or (name, property, status); `filters`: (property, operator, values). Raises Refused.
    """
    return create(
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
            values=tuple(ValueDraft(each[0], each[1], tuple(*each[2:])) for each in values),
            dimensions=tuple(DimensionDraft(*each) for each in dimensions),
            filters=tuple(FilterDraft(name, operator, tuple(given)) for name, operator, given in filters),
        )
    )


def create(draft: MeterDraft) -> Meter:
    """Make a meter of a draft. Raises Refused."""
    with transaction.atomic():
        registry.lock()
        _refuse(drafts.faults(draft))
        _refuse(_taken(draft.code))
        meter = Meter.objects.create(**_columns(draft))
        _write_parts(meter, draft)
        _count(meter)
    return meter


def change(meter: Meter, draft: MeterDraft) -> Meter:
    """Make a meter what the draft says. A frozen one may change its name and description only. Raises Refused."""
    with transaction.atomic():
        registry.lock()
        meter = Meter.objects.select_for_update(no_key=True).get(pk=meter.pk)
        _refuse(drafts.faults(draft))
        _refuse(_taken(draft.code, but=meter))
        before = draft_of(meter)
        if meter.frozen_at is not None and _counted(before) != _counted(draft):
            raise Refused(Fault("meter_frozen_conflict", FROZEN.format(code=meter.code)))
        for column, value in _columns(draft).items():
            setattr(meter, column, value)
        meter.save(update_fields=[*_changed(before, draft), "updated_at"])
        if _parts(before) != _parts(draft):
            _write_parts(meter, draft)
        if _counted(before) != _counted(draft):
            _count(meter)
    return meter


def delete(meter: Meter) -> None:
    """Delete a meter that nothing has counted by. Raises Refused."""
    with transaction.atomic():
        registry.lock()
        meter = Meter.objects.select_for_update().get(pk=meter.pk)
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
    )


def adds_up(meter: Meter) -> bool:
    """Whether the meter's quantities of parts add up to that of the whole: neither non-additive nor rounded."""
    return meter.rounding == "none" and aggregation_for(meter.aggregation, meter.value_kind).adds_up


_COLUMNS = (
    *("code", "name", "event_type", "aggregation", "value_kind", "recurring", "rounding", "rounding_places"),
    *("unit", "description", "label_dimension"),
)
_FREE = ("name", "description")


def _columns(draft: MeterDraft) -> dict[str, Any]:
    return {column: getattr(draft, column) for column in _COLUMNS}


def _changed(before: MeterDraft, after: MeterDraft) -> list[str]:
    return [column for column in _COLUMNS if getattr(before, column) != getattr(after, column)]


def _parts(draft: MeterDraft) -> tuple[object, ...]:
    return draft.values, draft.dimensions, draft.filters


def _counted(draft: MeterDraft) -> tuple[object, ...]:
    """All of a draft that freezes: what it counts, and what its quantity is called."""
    return *(getattr(draft, column) for column in _COLUMNS if column not in _FREE), *_parts(draft)


def _taken(code: str, but: Meter | None = None) -> list[Fault]:
    found = Meter.objects.filter(code=code).first()
    if found is None or found == but:
        return []
    return [Fault("code_taken", f"There is a meter “{code}” already: choose another code.", "code")]


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise Refused(*faults)


def _write_parts(meter: Meter, draft: MeterDraft) -> None:
    """Replace values, dimensions and filters; a value or dimension that keeps its name keeps its row and history."""
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
    if draft.filters != draft_of(meter).filters:
        meter.filters.all().delete()
        MeterFilter.objects.bulk_create(
            MeterFilter(meter=meter, property=each.property, operator=each.operator, values=list(each.values))
            for each in draft.filters
        )


def _count(meter: Meter) -> None:
    """Count what is there already. Every type that was ever sent has a stream, so a new one costs nothing."""
    if meter.series.exists() or Stream.objects.filter(type=meter.event_type).exists():
        rebuild(meter)
