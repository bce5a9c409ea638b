"""How meters are read in the API. They are written by `documents`."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_site.foundation.money import plain
from meters.backfills.models import Backfill
from meters.backfills.progress import Counting
from meters.models import Dimension, Meter, MeterBand, MeterFilter, MeterValue


class ValueSerializer(serializers.ModelSerializer[MeterValue]):
    class Meta:
        model = MeterValue
        fields = ["label", "property", "plus"]


class DimensionSerializer(serializers.ModelSerializer[Dimension]):
    class Meta:
        model = Dimension
        fields = ["name", "property", "status"]


class BandSerializer(serializers.ModelSerializer[MeterBand]):
    thresholds = serializers.SerializerMethodField(help_text="Where the next band begins, ascending.")

    class Meta:
        model = MeterBand
        fields = ["name", "properties", "thresholds"]

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_thresholds(self, band: MeterBand) -> Any:
        return [plain(each) for each in band.thresholds]


class FilterSerializer(serializers.ModelSerializer[MeterFilter]):
    class Meta:
        model = MeterFilter
        fields = ["property", "operator", "values"]


class CountingSerializer(serializers.Serializer[Counting]):
    """How far the events are counted that were stored before the meter was made or changed."""

    percent = serializers.IntegerField(help_text="About.")
    failed = serializers.SerializerMethodField(help_text="Whether it stopped and waits to be resumed in the admin.")

    def get_failed(self, counting: Counting) -> bool:
        return counting.job.status == Backfill.Status.FAILED


class MeterSerializer(serializers.ModelSerializer[Meter]):
    """`context["counting"]`: what `backfills.progress.unfinished` says of the meters."""

    values = ValueSerializer(many=True)
    dimensions = DimensionSerializer(many=True)
    bands = BandSerializer(many=True)
    filters = FilterSerializer(many=True)
    still_counting = serializers.SerializerMethodField(help_text="Null: its usage is all there.")

    class Meta:
        model = Meter
        fields = [
            *("code", "name", "description", "event_type", "aggregation", "value_kind", "recurring", "rounding"),
            *("rounding_places", "unit", "label_dimension", "series_limit"),
            *("values", "dimensions", "bands", "filters", "frozen_at", "created_at", "still_counting"),
        ]

    @extend_schema_field(CountingSerializer(allow_null=True))
    def get_still_counting(self, meter: Meter) -> Any:
        counting = self.context["counting"].get(meter.pk)
        return None if counting is None else CountingSerializer(counting).data
