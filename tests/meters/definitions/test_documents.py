"""Meters as JSON: read as they are written, with every fault at its place."""

from decimal import Decimal
from typing import Any

import pytest

from billing_site.foundation.shapes import Unreadable
from meters.definitions import drafts
from meters.definitions.documents import METER, from_json, to_json
from meters.definitions.drafts import BandDraft, DimensionDraft, FilterDraft, MeterDraft, ValueDraft
from meters.models import Dimension, Meter, MeterFilter

SAID: dict[str, Any] = {
    "code": "tokens",
    "name": "Tokens",
    "description": "All of them",
    "event_type": "llm.request",
    "aggregation": "weighted_sum",
    "value_kind": "level",
    "recurring": True,
    "rounding": "ceil",
    "rounding_places": -3,
    "unit": "token",
    "label_dimension": "token_type",
    "series_limit": 5,
    "values": [{"label": "input", "property": "in", "plus": ["more"]}, {"label": "output", "property": "", "plus": []}],
    "dimensions": [{"name": "model", "property": "a.b", "status": "pending"}],
    "bands": [{"name": "size", "properties": ["in", "out"], "thresholds": ["0.5", "200000"]}],
    "filters": [{"property": "kind", "operator": "one_of", "values": ["a"]}],
}
DRAFT = MeterDraft(
    code="tokens",
    name="Tokens",
    description="All of them",
    event_type="llm.request",
    aggregation="weighted_sum",
    value_kind="level",
    recurring=True,
    rounding="ceil",
    rounding_places=-3,
    unit="token",
    label_dimension="token_type",
    series_limit=5,
    values=(ValueDraft("input", "in", ("more",)), ValueDraft("output", "")),
    dimensions=(DimensionDraft("model", "a.b", "pending"),),
    bands=(BandDraft("size", ("in", "out"), (Decimal("0.5"), Decimal(200_000))),),
    filters=(FilterDraft("kind", "one_of", ("a",)),),
)


def test_it_is_read_as_it_is_written() -> None:
    assert from_json(SAID) == DRAFT
    assert to_json(DRAFT) == SAID
    assert drafts.faults(DRAFT) == []


def test_what_is_left_out_is_as_a_draft_has_it() -> None:
    needed = {"code": "a", "name": "A", "event_type": "t", "aggregation": "count", "unit": "u"}
    assert from_json(needed) == MeterDraft(**needed)
    assert from_json({**needed, "dimensions": [{"name": "model", "property": "model"}]}).dimensions == (
        DimensionDraft("model", "model"),
    )


def test_faults_stand_at_their_places() -> None:
    wrong = {
        **SAID,
        "aggregation": "summ",
        "series_limit": 0,
        "values": [{"lable": "x"}, 7],
        "bands": [{"name": "b", "properties": ["x"], "thresholds": [1.5, True]}],
        "frozen_at": None,
    }
    with pytest.raises(Unreadable) as error:
        from_json(wrong)
    assert [(fault.field, fault.code) for fault in error.value.faults] == [
        ("frozen_at", "field_read_only"),
        ("aggregation", "choice_unknown"),
        ("series_limit", "number_invalid"),
        ("values.0.lable", "field_unknown"),
        ("values.1", "object_invalid"),
        ("bands.0.thresholds.0", "number_invalid"),
        ("bands.0.thresholds.1", "number_invalid"),
    ]


def test_choices_are_those_of_the_tables() -> None:
    for name in ("aggregation", "value_kind", "rounding"):
        known = [value for value, _ in Meter._meta.get_field(name).flatchoices]
        assert [value for value in METER.fields[name].kind.schema()["enum"] if value] == known
    statuses = METER.schema()["properties"]["dimensions"]["items"]["properties"]["status"]["enum"]
    operators = METER.schema()["properties"]["filters"]["items"]["properties"]["operator"]["enum"]
    assert (sorted(statuses), operators) == (sorted(Dimension.Status.values), MeterFilter.Operator.values)
