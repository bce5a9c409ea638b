"""A meter as somebody wants it to be, and what is wrong with that. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import plain
from meters.events.values import MAX_TEXT, Unfit, check_quantity
from meters.measuring.aggregation import (
    AGGREGATIONS,
    COUNT,
    MAX_ROUNDING_PLACES,
    UNIQUE_COUNT,
    VALUE_KINDS,
    RoundingMode,
)
from meters.measuring.extraction import Operator

PENDING, ACTIVE, RETIRED = "pending", "active", "retired"
MAX_NAME, MAX_PROPERTY = 100, 200
MAX_THRESHOLDS = 20
MAX_SERIES = 1_000_000
_CODE = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_CODE_MEND = "use lower-case letters, digits, “_”, “.” and “-”, beginning with a letter or digit"


@dataclass(frozen=True)
class ValueDraft:
    label: str
    property: str
    plus: tuple[str, ...] = ()


@dataclass(frozen=True)
class DimensionDraft:
    name: str
    property: str
    status: str = ACTIVE


@dataclass(frozen=True)
class BandDraft:
    """`thresholds`: where the next band begins, ascending."""

    name: str
    properties: tuple[str, ...]
    thresholds: tuple[Decimal, ...]


@dataclass(frozen=True)
class FilterDraft:
    property: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class MeterDraft:
    code: str
    name: str
    event_type: str
    aggregation: str
    unit: str
    description: str = ""
    label_dimension: str = ""
    value_kind: str = ""
    recurring: bool = False
    rounding: str = RoundingMode.NONE.value
    rounding_places: int = 0
    series_limit: int | None = None
    values: tuple[ValueDraft, ...] = ()
    dimensions: tuple[DimensionDraft, ...] = ()
    filters: tuple[FilterDraft, ...] = ()
    bands: tuple[BandDraft, ...] = ()


def faults(draft: MeterDraft) -> list[Fault]:
    """All that is wrong; `field` is a field of the draft, or “dimensions.0.name” for one inside a list."""
    return [
        *_text_faults(draft),
        *_kind_faults(draft),
        *_rounding_faults(draft),
        *_limit_faults(draft),
        *value_faults(draft.aggregation, draft.label_dimension, draft.values),
        *dimension_faults(draft.label_dimension, draft.dimensions),
        *filter_faults(draft.filters),
        *band_faults([draft.label_dimension, *(each.name for each in draft.dimensions)], draft.bands),
    ]


def _text_faults(draft: MeterDraft) -> Iterator[Fault]:
    limits = {"code": MAX_NAME, "name": 200, "event_type": MAX_TEXT, "unit": 50}
    for field, limit in limits.items():
        yield from _text(getattr(draft, field), field, limit)
    for field, text in (("code", draft.code), ("label_dimension", draft.label_dimension)):
        yield from _code(text, field)
    if draft.aggregation not in AGGREGATIONS:
        known = ", ".join(AGGREGATIONS)
        yield Fault(
            "unknown_aggregation", f"“{draft.aggregation}” is no aggregation; use one of {known}.", "aggregation"
        )


def _kind_faults(draft: MeterDraft) -> Iterator[Fault]:
    """What values are, levels or deltas, matters to a weighted sum alone."""
    weighted = draft.aggregation == "weighted_sum"
    if weighted and draft.value_kind not in VALUE_KINDS:
        message = f"“{draft.value_kind}” says not what the values are; use {' or '.join(VALUE_KINDS)}."
        yield Fault("value_kind_missing", message, "value_kind")
    for field, given in (("value_kind", draft.value_kind), ("recurring", draft.recurring)):
        if given and not weighted:
            message = f"“{draft.aggregation}” has no level that could be held or carried over: leave it out."
            yield Fault("only_for_weighted_sum", message, field)


def _limit_faults(draft: MeterDraft) -> Iterator[Fault]:
    if draft.series_limit is not None and not 1 <= draft.series_limit <= MAX_SERIES:
        message = f"A customer may have 1 to {MAX_SERIES:,} series of a meter, not {draft.series_limit:,}."
        yield Fault("series_limit_out_of_range", message, "series_limit")


def _rounding_faults(draft: MeterDraft) -> Iterator[Fault]:
    if draft.rounding not in set(RoundingMode):
        message = f"“{draft.rounding}” is no rounding; use one of {', '.join(RoundingMode)}."
        yield Fault("unknown_rounding", message, "rounding")
    elif draft.rounding == RoundingMode.NONE and draft.rounding_places:
        message = "Nothing is rounded, so decimal places mean nothing: choose a rounding, or give 0 places."
        yield Fault("rounding_places_unused", message, "rounding_places")
    elif abs(draft.rounding_places) > MAX_ROUNDING_PLACES:
        message = f"A quantity is rounded to {-MAX_ROUNDING_PLACES} to {MAX_ROUNDING_PLACES} decimal places."
        yield Fault("rounding_places_out_of_range", message, "rounding_places")


def value_faults(aggregation: str, label_dimension: str, values: Sequence[ValueDraft]) -> Iterator[Fault]:
    """Several values need a label each, and the dimension that tells them apart."""
    if values and aggregation == COUNT.key:
        yield Fault(
            "values_not_read",
            f"“{aggregation}” counts events and reads no property: leave the values out, or use “sum”.",
            "values",
        )
    labelled = [value for value in values if value.label]
    if labelled and not label_dimension:
        yield Fault(
            "label_dimension_missing",
            f"The values have labels ({', '.join(value.label for value in labelled)}): name the dimension that tells "
            "them apart in “Label dimension”, for example token_type.",
            "label_dimension",
        )
    if label_dimension and not labelled:
        yield Fault(
            "label_dimension_unused",
            f"“{label_dimension}” tells labelled values apart, but no value has a label: give the values labels, or "
            "leave it empty.",
            "label_dimension",
        )
    for index, value in enumerate(values):
        if len(values) > 1 and not value.label:
            yield Fault(
                "label_missing", "With several values, each needs a label, for example input.", f"values.{index}.label"
            )
        yield from _length(value.label, f"values.{index}.label", MAX_NAME)
        yield from _length(value.property, f"values.{index}.property", MAX_PROPERTY)
        yield from _plus_faults(aggregation, value, f"values.{index}.plus")
    yield from _repeated([value.label for value in values if value.label], "values", "label")


def _plus_faults(aggregation: str, value: ValueDraft, field: str) -> Iterator[Fault]:
    """Only numbers are added, each property once."""
    if value.plus and aggregation == UNIQUE_COUNT.key:
        yield Fault("plus_not_read", f"“{aggregation}” tells values apart and adds nothing to them.", field)
    for name in value.plus:
        yield from _text(name, field, MAX_PROPERTY)
    yield from _repeated([value.property, *value.plus], field, "property")


def dimension_faults(label_dimension: str, dimensions: Sequence[DimensionDraft]) -> Iterator[Fault]:
    """Names are unique, and none is the label dimension's."""
    for index, dimension in enumerate(dimensions):
        field = f"dimensions.{index}.name"
        yield from _text(dimension.name, field, MAX_NAME)
        yield from _code(dimension.name, field)
        yield from _text(dimension.property, f"dimensions.{index}.property", MAX_PROPERTY)
        if label_dimension and dimension.name == label_dimension:
            yield Fault(
                "dimension_name_taken",
                f"“{dimension.name}” is the label dimension already: choose another name for one of the two.",
                field,
            )
        if dimension.status not in (PENDING, ACTIVE, RETIRED):
            yield Fault(
                "unknown_status",
                f"“{dimension.status}” is no status; use pending, active or retired.",
                f"dimensions.{index}.status",
            )
    yield from _repeated([dimension.name for dimension in dimensions], "dimensions", "name")


def band_faults(taken: Sequence[str], bands: Sequence[BandDraft]) -> Iterator[Fault]:
    """A band is a dimension: its name is none of those `taken`. It adds properties up, and thresholds ascend."""
    for index, band in enumerate(bands):
        field = f"bands.{index}.name"
        yield from _text(band.name, field, MAX_NAME)
        yield from _code(band.name, field)
        if band.name and band.name in taken:
            message = f"“{band.name}” is a dimension of the meter already: choose another name for one of the two."
            yield Fault("dimension_name_taken", message, field)
        field = f"bands.{index}.properties"
        if not band.properties:
            yield Fault("required", "A band adds properties up: name at least one, for example input_tokens.", field)
        for name in band.properties:
            yield from _text(name, field, MAX_PROPERTY)
        yield from _repeated(band.properties, field, "property")
        yield from _threshold_faults(band.thresholds, f"bands.{index}.thresholds")
    yield from _repeated([band.name for band in bands], "bands", "name")


def _threshold_faults(thresholds: Sequence[Decimal], field: str) -> Iterator[Fault]:
    if not thresholds:
        yield Fault("required", "A band needs a threshold, for example 200000.", field)
    if len(thresholds) > MAX_THRESHOLDS:
        message = f"There are {len(thresholds)} thresholds; at most {MAX_THRESHOLDS} are taken."
        yield Fault("too_many_thresholds", message, field)
    if invalid := [fault for number in thresholds for fault in _size_faults(number, field)]:
        yield from invalid
        return
    for one, other in pairwise(thresholds):
        if one >= other:
            message = f"The thresholds {plain(one)} and {plain(other)} do not ascend: write the smaller one first."
            yield Fault("thresholds_not_ascending", message, field)


def _size_faults(number: Decimal, field: str) -> Iterator[Fault]:
    if not number.is_finite() or number <= 0:
        yield Fault("threshold_invalid", f"The threshold {number} is no size: write a number above 0.", field)
        return
    try:
        check_quantity(number, f"The threshold {number}")
    except Unfit as fault:
        yield Fault("threshold_invalid", fault.message, field)


def filter_faults(filters: Sequence[FilterDraft]) -> Iterator[Fault]:
    """“is one of” and “is none of” need values; “is present” and “is absent” take none."""
    for index, each in enumerate(filters):
        yield from _text(each.property, f"filters.{index}.property", MAX_PROPERTY)
        field = f"filters.{index}.values"
        if each.operator not in set(Operator):
            message = f"“{each.operator}” is no operator; use {', '.join(Operator)}."
            yield Fault("unknown_operator", message, f"filters.{index}.operator")
        elif each.operator in (Operator.ONE_OF, Operator.NONE_OF) and not each.values:
            yield Fault("filter_values_missing", f"“{each.property}” is compared with nothing: give values.", field)
        elif each.operator in (Operator.PRESENT, Operator.ABSENT) and each.values:
            yield Fault("filter_values_unused", "“is present” and “is absent” take no values: leave them out.", field)
        for value in each.values:
            yield from _length(value, field, MAX_TEXT)


def _text(text: str, field: str, limit: int) -> Iterator[Fault]:
    if not text.strip():
        yield Fault("required", f"{field.rsplit('.', 1)[-1]} is empty: it is needed.", field)
    yield from _length(text, field, limit)


def _length(text: str, field: str, limit: int) -> Iterator[Fault]:
    if len(text) > limit:
        yield Fault("too_long", f"“{text[:40]}…” has {len(text)} characters; at most {limit} are taken.", field)
    if "\x00" in text:
        yield Fault("nul_character", "It holds the character NUL, which cannot be stored: leave it out.", field)


def _code(text: str, field: str) -> Iterator[Fault]:
    if text and not _CODE.fullmatch(text):
        yield Fault("invalid_code", f"“{text}” is no code: {_CODE_MEND}.", field)


def _repeated(names: Iterable[str], field: str, what: str) -> Iterator[Fault]:
    for name, times in Counter(names).items():
        if name and times > 1:
            yield Fault("repeated", f"The {what} “{name}” is given {times} times: each may be given once.", field)
