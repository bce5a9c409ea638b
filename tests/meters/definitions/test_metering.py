"""Making and changing meters: what is refused, and that a refusal changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from billing_site.foundation.errors import Refused
from meters.backfills import backfilling
from meters.definitions.drafts import DimensionDraft, FilterDraft, ValueDraft
from meters.definitions.metering import change, define_meter, delete, draft_of
from meters.models import Bucket, Dimension, Event, Meter, MeterFilter, MeterValue, UsageChange
from tests.meters.making import calls_meter, event, send, tokens_meter

pytestmark = pytest.mark.django_db


def freeze(meter: Meter) -> None:
    Meter.objects.filter(pk=meter.pk).update(frozen_at=timezone.now())


def test_a_meter_with_everything() -> None:
    meter = tokens_meter(
        description="All of them",
        dimensions=[("model", "model"), ("region", "meta.region", "pending")],
        filters=[("kind", "one_of", ["chat", "code"]), ("test", "absent", [])],
    )
    draft = draft_of(Meter.objects.get(pk=meter.pk))
    assert (draft.code, draft.aggregation, draft.label_dimension) == ("llm_tokens", "sum", "token_type")
    assert draft.values == (ValueDraft("input", "input_tokens"), ValueDraft("output", "output_tokens"))
    assert draft.dimensions == (
        DimensionDraft("model", "model", "active"),
        DimensionDraft("region", "meta.region", "pending"),
    )
    assert draft.filters == (FilterDraft("kind", "one_of", ("chat", "code")), FilterDraft("test", "absent"))


REFUSED: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "no code": ({"code": ""}, [("required", "code")]),
    "capital letters": ({"code": "Tokens"}, [("invalid_code", "code")]),
    "no name": ({"name": " "}, [("required", "name")]),
    "no event type": ({"event_type": ""}, [("required", "event_type")]),
    "long unit": ({"unit": "u" * 51}, [("too_long", "unit")]),
    "NUL": ({"name": "a\x00"}, [("nul_character", "name")]),
    "unknown aggregation": ({"aggregation": "median"}, [("unknown_aggregation", "aggregation")]),
    "count of values": ({"aggregation": "count"}, [("values_not_read", "values")]),
    "a weighted sum of nobody knows what": (
        {"aggregation": "weighted_sum", "value_kind": ""},
        [("value_kind_missing", "value_kind")],
    ),
    "a sum of levels": ({"value_kind": "level"}, [("only_for_weighted_sum", "value_kind")]),
    "a maximum carried over": (
        {"aggregation": "max", "recurring": True},
        [("only_for_weighted_sum", "recurring")],
    ),
    "an unknown rounding": ({"rounding": ("near", 0)}, [("unknown_rounding", "rounding")]),
    "places without rounding": ({"rounding": ("none", 2)}, [("rounding_places_unused", "rounding_places")]),
    "no series at all": ({"series_limit": 0}, [("series_limit_out_of_range", "series_limit")]),
    "too many places": ({"rounding": ("ceil", 13)}, [("rounding_places_out_of_range", "rounding_places")]),
    "a property added to itself": (
        {"values": [("input", "in", ["in"]), ("output", "out")]},
        [("repeated", "values.0.plus")],
    ),
    "a value that is told apart, plus another": (
        {"aggregation": "unique_count", "values": [("input", "in", ["out"])]},
        [("plus_not_read", "values.0.plus")],
    ),
    "labels without a dimension": ({"label_dimension": ""}, [("label_dimension_missing", "label_dimension")]),
    "a dimension without labels": ({"values": [("", "tokens")]}, [("label_dimension_unused", "label_dimension")]),
    "several values without labels": (
        {"values": [("input", "a"), ("", "b")]},
        [("label_missing", "values.1.label")],
    ),
    "a label twice": ({"values": [("input", "a"), ("input", "b")]}, [("repeated", "values")]),
    "a dimension twice": ({"dimensions": [("m", "a"), ("m", "b")]}, [("repeated", "dimensions")]),
    "a dimension without a property": ({"dimensions": [("m", "")]}, [("required", "dimensions.0.property")]),
    "the label dimension again": (
        {"dimensions": [("model", "model"), ("token_type", "x")]},
        [("dimension_name_taken", "dimensions.1.name")],
    ),
    "an unknown status": ({"dimensions": [("m", "a", "gone")]}, [("unknown_status", "dimensions.0.status")]),
    "an unknown operator": ({"filters": [("a", "like", ["x"])]}, [("unknown_operator", "filters.0.operator")]),
    "a filter on nothing": ({"filters": [("", "present", [])]}, [("required", "filters.0.property")]),
    "a filter without values": ({"filters": [("a", "one_of", [])]}, [("filter_values_missing", "filters.0.values")]),
    "a filter with needless values": (
        {"filters": [("a", "present", ["x"])]},
        [("filter_values_unused", "filters.0.values")],
    ),
    "several things": ({"code": "", "unit": ""}, [("required", "code"), ("required", "unit")]),
}


@pytest.mark.parametrize(("changes", "faults"), REFUSED.values(), ids=REFUSED)
def test_refused(changes: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    with pytest.raises(Refused) as refused:
        tokens_meter(**changes)
    assert [(fault.code, fault.field) for fault in refused.value.faults] == faults
    assert not Meter.objects.exists()


def test_a_code_is_taken_once() -> None:
    meter, other = calls_meter(), tokens_meter()
    for attempt in (calls_meter, lambda: change(other, replace(draft_of(other), code=meter.code))):
        with pytest.raises(Refused) as refused:
            attempt()
        assert [(fault.code, fault.field) for fault in refused.value.faults] == [("code_taken", "code")]


def test_a_change_keeps_what_stays_and_counts_anew() -> None:
    meter = tokens_meter()
    send(event("r1"))
    model = meter.dimensions.get()
    values = set(meter.values.values_list("pk", flat=True))
    UsageChange.objects.all().delete()
    after = replace(
        draft_of(meter),
        name="Tokens",
        dimensions=(DimensionDraft("region", "region"), DimensionDraft("model", "engine")),
        filters=(FilterDraft("model", "one_of", ("model-a",)),),
    )
    changed = change(meter, after)
    backfilling.run(changed)
    assert draft_of(changed) == after
    assert meter.dimensions.get(name="model").pk == model.pk
    assert set(meter.values.values_list("pk", flat=True)) == values
    assert {tuple(row.series.dimensions.items()) for row in Bucket.objects.select_related("series")} == {
        (("token_type", "input"),),
        (("token_type", "output"),),
    }
    assert UsageChange.objects.count() == 1


def test_a_new_name_counts_nothing_anew() -> None:
    meter = calls_meter()
    send(event("r1"))
    Bucket.objects.update(quantity=7)
    change(meter, replace(draft_of(meter), name="Requests", description="All"))
    assert Bucket.objects.get().quantity == 7
    assert Meter.objects.get().name == "Requests"


def test_a_refused_change_changes_nothing() -> None:
    meter = tokens_meter()
    before = draft_of(meter)
    with pytest.raises(Refused):
        change(meter, replace(before, name="Other", dimensions=(), values=(), unit=""))
    assert draft_of(Meter.objects.get()) == before


def test_a_frozen_meter_may_change_its_name_only() -> None:
    meter = tokens_meter()
    freeze(meter)
    change(meter, replace(draft_of(meter), name="Tokens", description="Frozen"))
    assert Meter.objects.get().name == "Tokens"
    for changes in ({"unit": "tokens"}, {"dimensions": ()}, {"filters": (FilterDraft("a", "present"),)}):
        with pytest.raises(Refused) as refused:
            change(meter, replace(draft_of(meter), **changes))  # type: ignore[arg-type]
        assert [fault.code for fault in refused.value.faults] == ["meter_frozen_conflict"]
    assert draft_of(Meter.objects.get()).unit == "token"


def test_deleting() -> None:
    unused, used, frozen = calls_meter(event_type="x"), tokens_meter(), calls_meter(code="frozen", event_type="y")
    send(event("r1"))
    freeze(frozen)
    delete(unused)
    for meter, code in ((used, "meter_used_conflict"), (frozen, "meter_frozen_conflict")):
        with pytest.raises(Refused) as refused:
            delete(meter)
        assert refused.value.faults[0].code == code
    assert set(Meter.objects.values_list("code", flat=True)) == {"llm_tokens", "frozen"}


def sql(statement: str) -> Callable[[], None]:
    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    return run


def refused_by_the_database(constraint: str, *attempts: Callable[[], object]) -> None:
    for attempt in attempts:
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            attempt()
        assert refused.value.__cause__.diag.constraint_name == constraint  # type: ignore[union-attr]


def test_the_database_keeps_events_as_they_are() -> None:
    send(event("r1"))
    before = list(Event.objects.values())
    refused_by_the_database(
        "event_append_only",
        lambda: Event.objects.update(value=1),
        lambda: Event.objects.all().delete(),
        sql("UPDATE meters_event SET properties = '{}'"),
        sql("DELETE FROM meters_event"),
    )
    assert list(Event.objects.values()) == before


TABLES = (
    "meter",
    "metervalue",
    "meterfilter",
    "dimension",
    "definitionrevision",
    "event",
    "stream",
    "series",
    "bucket",
)


@pytest.mark.parametrize("table", [*TABLES, "bucket", "usagechange"])
def test_nothing_is_emptied_away(table: str) -> None:
    refused_by_the_database("usage_kept", sql(f"TRUNCATE meters_{table} CASCADE"))


def test_the_database_keeps_a_frozen_meter_as_it_is() -> None:
    meter = tokens_meter(filters=[("kind", "one_of", ["chat"])])
    other = calls_meter(dimensions=[("d", "d")])
    freeze(meter)
    before = draft_of(meter)
    refused_by_the_database(
        "meter_frozen",
        *(
            sql(f"UPDATE meters_meter SET {column} WHERE code = 'llm_tokens'")
            for column in (
                "code = 'x'",
                "event_type = 'x'",
                "aggregation = 'count'",
                "unit = 'x'",
                "label_dimension = ''",
                "aggregation = 'weighted_sum', value_kind = 'level'",
                "rounding = 'ceil'",
                "rounding = 'ceil', rounding_places = 2",
                "frozen_at = NULL",
                "frozen_at = now() + interval '1 day'",
            )
        ),
        lambda: Meter.objects.filter(pk=meter.pk).delete(),
        sql("DELETE FROM meters_metervalue"),
        lambda: MeterValue.objects.update(property="x"),
        lambda: MeterValue.objects.create(meter=meter, label="x"),
        lambda: MeterFilter.objects.update(operator="none_of"),
        lambda: MeterFilter.objects.all().delete(),
        lambda: MeterFilter.objects.create(meter=meter, property="x", operator="present"),
        lambda: Dimension.objects.filter(meter=meter).update(status="retired"),
        lambda: Dimension.objects.filter(meter=meter).delete(),
        lambda: Dimension.objects.create(meter=meter, name="x", property="x"),
        lambda: Dimension.objects.filter(meter=other).update(meter=meter),
        lambda: Dimension.objects.filter(meter=meter).update(meter=other),
    )
    assert draft_of(Meter.objects.get(pk=meter.pk)) == before
    Meter.objects.filter(pk=meter.pk).update(name="Another name", description="x")
    Dimension.objects.filter(meter=other).update(status="retired")


def test_history_is_kept_beside_the_guards() -> None:
    meter = define_meter(code="m", name="M", event_type="t", aggregation="count", unit="u", dimensions=[("d", "d")])
    change(meter, replace(draft_of(meter), name="N", dimensions=()))
    assert [row.pgh_label for row in meter.events.order_by("pgh_id")] == ["insert", "update"]
    history = Dimension._meta.apps.get_model("meters", "DimensionHistory")
    assert list(history.objects.order_by("pgh_id").values_list("pgh_label", flat=True)) == ["insert", "delete"]
