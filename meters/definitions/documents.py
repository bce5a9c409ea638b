"""Meters as JSON: how the API and plan documents say them. Pure; what is wrong with one is for `drafts.faults`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from billing_site.foundation.money import plain
from billing_site.foundation.shape_kinds import NUMBER, TEXT, YES_OR_NO, choice, list_of, whole_number
from billing_site.foundation.shapes import Field, Shape
from meters.definitions.drafts import (
    ACTIVE,
    MAX_SERIES,
    PENDING,
    RETIRED,
    BandDraft,
    DimensionDraft,
    FilterDraft,
    MeterDraft,
    ValueDraft,
)
from meters.measuring.aggregation import AGGREGATIONS, MAX_ROUNDING_PLACES, VALUE_KINDS, RoundingMode
from meters.measuring.extraction import Operator

_PROPERTY = "Name of the property on the event; “a.b” is the property of that name, or else reads b inside a."
VALUE = Shape(
    "A value",
    {
        "property": Field(TEXT, _PROPERTY + " Empty: the event's own value.", ""),
        "label": Field(TEXT, "Tells several values of one event apart, for example input.", ""),
        "plus": Field(list_of(TEXT), "Further properties that are added to it.", ()),
    },
)
DIMENSION = Shape(
    "A dimension",
    {
        "name": Field(TEXT, "For example model."),
        "property": Field(TEXT, _PROPERTY),
        "status": Field(choice((PENDING, ACTIVE, RETIRED)), "Only an active one can be priced.", ACTIVE),
    },
)
BAND = Shape(
    "A band",
    {
        "name": Field(TEXT, "For example context_band."),
        "properties": Field(list_of(TEXT), "They are added up to the size of an event."),
        "thresholds": Field(list_of(NUMBER), "Where the next band begins, ascending."),
    },
)
FILTER = Shape(
    "A filter",
    {
        "property": Field(TEXT, _PROPERTY),
        "operator": Field(choice(Operator)),
        "values": Field(list_of(TEXT), "Of one_of and none_of; compared as text.", ()),
    },
)
METER = Shape(
    "A meter",
    {
        "code": Field(TEXT, "A short name for programs: lower-case letters, digits, “_”, “.” and “-”."),
        "name": Field(TEXT, "What people read, for example “LLM tokens”."),
        "description": Field(TEXT, default=""),
        "event_type": Field(TEXT, "Only events of this type are counted, for example llm.request."),
        "aggregation": Field(choice(AGGREGATIONS)),
        "value_kind": Field(choice(("", *VALUE_KINDS)), "Of a weighted sum: what its values are.", ""),
        "recurring": Field(YES_OR_NO, "Of a weighted sum: whether a level is carried over.", default=False),
        "rounding": Field(choice(RoundingMode), "Of the quantity, before it is priced.", RoundingMode.NONE.value),
        "rounding_places": Field(
            whole_number(-MAX_ROUNDING_PLACES, MAX_ROUNDING_PLACES), "2 rounds to hundredths, -3 to thousands.", 0
        ),
        "unit": Field(TEXT, "What one of the quantity is called, for example token."),
        "label_dimension": Field(TEXT, "The dimension that tells labelled values apart, for example token_type.", ""),
        "series_limit": Field(
            whole_number(1, MAX_SERIES),
            "How many combinations of dimension values a customer may have; null: as the site is set.",
            default=None,
            nullable=True,
        ),
        "values": Field(list_of(VALUE), "What is read of an event; a count needs none.", ()),
        "dimensions": Field(list_of(DIMENSION), "What quantities are told apart and priced by.", ()),
        "bands": Field(list_of(BAND), "Dimensions that say how large an event is.", ()),
        "filters": Field(list_of(FILTER), "An event counts when all of them hold.", ()),
    },
    {
        "frozen_at": "follows from what is published",
        "created_at": "was noted when it was made",
        "still_counting": "says how far stored events are counted",
    },
)
IN_A_DOCUMENT = METER.without("code", only_read={"code": "stands before the meter already"})
PARTS = {"values": ValueDraft, "dimensions": DimensionDraft, "bands": BandDraft, "filters": FilterDraft}


def as_changes(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a shape has read, as the fields of a MeterDraft."""
    return {
        name: tuple(PARTS[name](**each) for each in value) if name in PARTS else value for name, value in values.items()
    }


def from_json(given: Any, place: str = "") -> MeterDraft:
    """The meter that was said. Raises Unreadable."""
    return MeterDraft(**as_changes(METER.read(given, place)))


def to_json(draft: MeterDraft) -> dict[str, Any]:
    """Every field, defaults too; `from_json` gives the same draft."""
    return {
        name: [_part_to_json(each) for each in getattr(draft, name)] if name in PARTS else getattr(draft, name)
        for name in METER.fields
    }


def _part_to_json(part: Any) -> dict[str, Any]:
    said = {field.name: getattr(part, field.name) for field in fields(part)}
    for name, value in said.items():
        if name == "thresholds":
            said[name] = [plain(each) for each in value]
        elif isinstance(value, tuple):
            said[name] = list(value)
    return said
