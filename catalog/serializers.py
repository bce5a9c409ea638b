"""How plans are read in the API. Numbers are strings, exact."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_site.foundation.money import plain, round_amount
from catalog.models import Cell, Charge, Plan, PlanVersion
from catalog.priceable import priceable


class RowSerializer(serializers.ModelSerializer[Cell]):
    match = serializers.DictField(
        child=serializers.CharField(),
        help_text="Exact values by dimension; a dimension that is absent may be anything, or missing.",
    )
    unit_price = serializers.SerializerMethodField(help_text="The price of one unit, in the version's currency.")

    class Meta:
        model = Cell
        fields = ["id", "match", "unit_price"]

    def get_unit_price(self, row: Cell) -> str:
        return plain(row.unit_price)


class ChargeSerializer(serializers.ModelSerializer[Charge]):
    product = serializers.CharField(source="product.code")
    amount = serializers.SerializerMethodField(help_text="The fee of one full period; null for usage.")
    meter = serializers.SerializerMethodField(help_text="The meter's code; null for a fee.")
    unit = serializers.SerializerMethodField(help_text="What one of the quantity is called; null for a fee.")
    dimensions = serializers.SerializerMethodField(help_text="The names that rows can match on, in order.")
    rows = RowSerializer(source="cells", many=True, help_text="The row with most exact values wins; then the first.")

    class Meta:
        model = Charge
        fields = [
            "code",
            "name",
            "kind",
            "product",
            "timing",
            "amount",
            "meter",
            "unit",
            "dimensions",
            "unmatched",
            "rows",
        ]

    def get_amount(self, charge: Charge) -> str | None:
        return None if charge.amount is None else str(round_amount(charge.amount, charge.version.currency))

    def get_meter(self, charge: Charge) -> str | None:
        return charge.meter.code if charge.meter else None

    def get_unit(self, charge: Charge) -> str | None:
        return charge.meter.unit if charge.meter else None

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_dimensions(self, charge: Charge) -> Any:
        return [] if charge.meter is None else list(priceable(charge.meter).dimensions)


class VersionSerializer(serializers.ModelSerializer[PlanVersion]):
    name = serializers.CharField(source="__str__", help_text="For people, for example “Chatbot v1”.")
    grace_seconds = serializers.SerializerMethodField(
        help_text="How long after the end of a period its invoice stays a draft."
    )

    class Meta:
        model = PlanVersion
        fields = ["id", "number", "name", "currency", "interval", "grace_seconds", "published_at"]

    def get_grace_seconds(self, version: PlanVersion) -> int:
        return int(version.grace.total_seconds())


class WholeVersionSerializer(VersionSerializer):
    charges = ChargeSerializer(many=True)

    class Meta(VersionSerializer.Meta):
        fields = [*VersionSerializer.Meta.fields, "charges"]


class PlanSerializer(serializers.ModelSerializer[Plan]):
    versions = VersionSerializer(many=True, help_text="Those that can be subscribed to, the newest first.")

    class Meta:
        model = Plan
        fields = ["code", "name", "description", "versions"]


class WholePlanSerializer(PlanSerializer):
    versions = WholeVersionSerializer(many=True, help_text="Those that can be subscribed to, the newest first.")
