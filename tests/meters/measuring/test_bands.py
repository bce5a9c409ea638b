"""Context bands: which band an event lies in, what is counted by it, and prices that step with the size of one."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from billing_site.foundation.errors import Refused
from billing_site.foundation.periods import Period
from catalog.charges.priceable import priceable
from catalog.charges.row_checks import DraftRow, row_faults
from catalog.charges.seen_values import seen_values
from catalog.models import Product
from catalog.pricing.price import per_unit
from catalog.versions.publishing import add_usage_charge, create_plan, draft_version, publish
from customers.rating.chunks import Request, rate
from customers.subscriptions.subscribing import create_customer, subscribe
from customers.usage.periodic import recorded
from meters.backfills import backfilling
from meters.backfills.rebuilding import differences
from meters.definitions.drafts import BandDraft
from meters.definitions.metering import change, define_meter, draft_of
from meters.measuring import registry
from meters.measuring.bands import Band, band_names
from meters.measuring.previews import reading
from meters.models import Bucket, Meter, MeterBand
from tests.meters.making import NOON, event, send

CONTEXT = Band("context_band", ("input_tokens", "cache.read"), (Decimal(200_000), Decimal(1_000_000)))
TWO_HUNDRED = [("context_band", ["input_tokens", "cache_read_tokens"], [200_000])]


@pytest.mark.parametrize(
    ("properties", "band"),
    [
        ({"input_tokens": 0}, "0-200000"),
        ({"input_tokens": 1}, "0-200000"),
        ({"input_tokens": 200_000}, "0-200000"),
        ({"input_tokens": Decimal("200000.000000000001")}, "200000-1000000"),
        ({"input_tokens": 150_000, "cache": {"read": 50_000}}, "0-200000"),
        ({"input_tokens": 150_000, "cache": {"read": 50_001}}, "200000-1000000"),
        ({"input_tokens": "150000", "cache": {"read": None}}, "0-200000"),
        ({"cache": {"read": 1_000_000}}, "200000-1000000"),
        ({"input_tokens": 1_000_001}, "1000000+"),
        ({"input_tokens": 10**37}, "1000000+"),
        ({}, None),
        ({"input_tokens": None}, None),
        ({"input_tokens": "many", "cache": {"read": 5}}, None),
        ({"input_tokens": True}, None),
        ({"input_tokens": [1]}, None),
        ({"input_tokens": -1}, None),
        ({"input_tokens": -5, "cache": {"read": 5}}, "0-200000"),
    ],
)
def test_bands_are_open_below_and_closed_above(properties: dict[str, Any], band: str | None) -> None:
    assert CONTEXT.value(properties) == band


def test_names_can_be_typed() -> None:
    assert band_names([Decimal("0.50"), Decimal("1E+3")]) == ("0-0.5", "0.5-1000", "1000+")


def input_meter(**changes: Any) -> Meter:
    return define_meter(
        **{
            "code": "input",
            "name": "Input tokens",
            "event_type": "llm.request",
            "aggregation": "sum",
            "unit": "token",
            "values": [("", "input_tokens")],
            "dimensions": [("model", "model")],
            "bands": TWO_HUNDRED,
            **changes,
        }
    )


def call(reference: str, **properties: Any) -> dict[str, Any]:
    return event(reference, properties={"model": "long", **properties})


def counted(meter: Meter) -> dict[str | None, Decimal]:
    rows = Bucket.objects.filter(series__meter=meter).values_list("series__dimensions", "quantity")
    return {dimensions.get("context_band"): quantity for dimensions, quantity in rows}


@pytest.mark.django_db(transaction=True)
def test_a_price_steps_with_the_size_of_one_request_and_not_with_their_sum() -> None:
    meter = input_meter()
    version = draft_version(create_plan(code="long", name="Long"))
    rows = [
        ({"model": "long", "context_band": "0-200000"}, Decimal("0.00000125")),
        ({"model": "long", "context_band": "200000+"}, Decimal("0.0000025")),
        ({}, Decimal("0.00001")),
    ]
    product = Product.objects.create(code="api", name="API")
    add_usage_charge(version, code="tokens", name="Tokens", product=product, meter=meter, rows=rows)
    publish(version)
    subscription = subscribe(
        customer=create_customer(reference="acme", name="Acme"), version=version, starts_on=date(2026, 3, 1)
    )

    sent = [
        call("low-1", input_tokens=150_000),
        call("low-2", input_tokens=150_000),
        call("high", input_tokens=250_000),
        call("cached", input_tokens=150_000, cache_read_tokens=50_001),
        call("bad", input_tokens=7_000, cache_read_tokens="?"),
    ]
    send(*sent)

    assert counted(meter) == {"0-200000": 300_000, "200000+": 400_000, None: 7_000}
    march = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    lines = rate([Request(1, subscription.pk, march, None)])[1].lines
    # 2 × 150,000 × 0.00000125 = 0.375; (250,000 + 150,000) × 0.0000025 = 1.00; 7,000 × 0.00001 = 0.07
    assert {(line.description, str(line.amount)) for line in lines} == {
        ("Tokens · long · 0-200000", "0.38"),
        ("Tokens · long · 200000+", "1.00"),
        ("Tokens · long", "0.07"),
    }
    # the part of an hour at a bound comes from the events themselves
    part = Period(march.start, NOON + timedelta(minutes=1))
    assert sum(line.amount for line in rate([Request(1, subscription.pk, part, None)])[1].lines) == Decimal("1.45")
    assert differences(meter) == []


@pytest.mark.django_db(transaction=True)
def test_a_band_that_is_added_counts_what_is_there_and_is_kept_in_history() -> None:
    meter = input_meter(bands=[])
    send(call("a", input_tokens=150_000), call("b", input_tokens=250_000))
    band = BandDraft("context_band", ("input_tokens",), (Decimal(200_000),))

    change(meter, replace(draft_of(meter), bands=(band,)))
    backfilling.run(meter)
    assert counted(meter) == {"0-200000": 150_000, "200000+": 250_000}
    change(meter, replace(draft_of(meter), bands=()))
    backfilling.run(meter)
    assert counted(meter) == {None: 400_000}

    history = MeterBand.pgh_event_model.objects.filter(meter=meter).order_by("pgh_id")
    assert list(history.values_list("pgh_label", "name")) == [("insert", "context_band"), ("delete", "context_band")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("bands", "faults"),
    [
        ([("", ["a"], [1])], [("required", "bands.0.name")]),
        ([("Big", ["a"], [1])], [("invalid_code", "bands.0.name")]),
        ([("model", ["a"], [1])], [("dimension_name_taken", "bands.0.name")]),
        ([("size", [], [1])], [("required", "bands.0.properties")]),
        ([("size", ["a", "a"], [1])], [("repeated", "bands.0.properties")]),
        ([("size", ["a"], [])], [("required", "bands.0.thresholds")]),
        ([("size", ["a"], [0])], [("threshold_invalid", "bands.0.thresholds")]),
        ([("size", ["a"], ["NaN"])], [("threshold_invalid", "bands.0.thresholds")]),
        ([("size", ["a"], ["1e30"])], [("threshold_invalid", "bands.0.thresholds")]),
        ([("size", ["a"], [2, 2])], [("thresholds_not_ascending", "bands.0.thresholds")]),
        ([("size", ["a"], range(1, 22))], [("too_many_thresholds", "bands.0.thresholds")]),
        ([("size", ["a"], [1]), ("size", ["b"], [1])], [("repeated", "bands")]),
    ],
)
def test_what_is_no_band(bands: list[Any], faults: list[tuple[str, str]]) -> None:
    with pytest.raises(Refused) as refused:
        input_meter(bands=bands)
    assert [(fault.code, fault.field) for fault in refused.value.faults] == faults
    assert not Meter.objects.exists()


@pytest.mark.django_db
def test_a_frozen_meter_keeps_its_bands() -> None:
    meter = input_meter()
    Meter.objects.filter(pk=meter.pk).update(frozen_at=NOON)
    meter.refresh_from_db()
    with pytest.raises(Refused, match="can no longer be changed"):
        change(meter, replace(draft_of(meter), bands=()))
    with pytest.raises(IntegrityError), transaction.atomic():
        MeterBand.objects.filter(meter=meter).update(thresholds=[Decimal(5)])
    assert draft_of(meter).bands[0].thresholds == (Decimal(200_000),)


@pytest.mark.django_db
def test_a_row_may_name_a_band_and_nothing_else_for_it() -> None:
    meter = input_meter()
    known = priceable(meter)
    assert known.dimensions == ("model", "context_band")
    assert seen_values(meter, known) == {"model": [], "context_band": ["0-200000", "200000+"]}
    wrong = [DraftRow({"context_band": name}, per_unit(Decimal(1))) for name in ("<=200000", "200000+")]
    assert [(fault.code, fault.field) for fault in row_faults(known, wrong)] == [("label_unknown", "rows.0.match")]
    assert recorded(meter) == ["model", "context_band"]
    read, _ = reading(registry.definition(meter), None, "succeeded", {"model": "m", "input_tokens": 200_001})
    assert read == ["200,001 (context_band = 200000+, model = m)"]


@pytest.mark.django_db
def test_operators_write_bands(operator: Client) -> None:
    form = {
        "name": "Input",
        "code": "input",
        "event_type": "llm.request",
        "aggregation": "sum",
        "unit": "token",
        "rounding": "none",
        "rounding_places": "0",
        "label_dimension": "",
        "description": "",
        "series_limit": "50",
        **{f"{part}-TOTAL_FORMS": "0" for part in ("values", "dimensions", "filters")},
        **{f"{part}-INITIAL_FORMS": "0" for part in ("values", "dimensions", "bands", "filters")},
        "bands-TOTAL_FORMS": "1",
        "bands-0-name": "context_band",
        "bands-0-properties": "input_tokens, cached",
    }
    answer = operator.post("/admin/meters/meter/add/", {**form, "bands-0-thresholds": "400000, 200000"})
    assert "The thresholds 400000 and 200000 do not ascend" in answer.content.decode()
    answer = operator.post("/admin/meters/meter/add/", {**form, "bands-0-thresholds": "200000, 400000"})
    assert answer.status_code == 302
    draft = draft_of(Meter.objects.get(code="input"))
    assert draft.bands == (BandDraft("context_band", ("input_tokens", "cached"), (Decimal(200_000), Decimal(400_000))),)
    assert draft.series_limit == 50
