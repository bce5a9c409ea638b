"""How plans are read in the API. Numbers are strings, exact."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_site.foundation.money import round_amount
from catalog.cell_prices import price_of
from catalog.models import Cell, Charge, Plan, PlanVersion
from catalog.priceable import priceable
from catalog.pricing.documents import to_json
from catalog.pricing.price import Model


class TierSerializer(serializers.Serializer[Any]):
    up_to = serializers.CharField(required=False, help_text="The tier ends here, included; absent: it is the last.")
    unit_price = serializers.CharField(help_text="Of one unit, or of one package.")
    flat_price = serializers.CharField(help_text="Once the tier is entered (graduated), or reached.")
    package = serializers.CharField(required=False, help_text="Units of a package; begun ones count in full.")


class PriceSerializer(serializers.Serializer[Any]):
    """What one row costs: the fields that its model uses, numbers as text."""

    model = serializers.ChoiceField([each.value for each in Model], help_text="How a quantity becomes an amount.")
    unit_price = serializers.CharField(required=False, help_text="Of one unit, of one package, or the flat amount.")
    size = serializers.CharField(required=False, help_text="Units of a package.")
    free = serializers.CharField(required=False, help_text="Units that cost nothing.")
    percent = serializers.CharField(required=False, help_text="2.5 is 2.5 %: of the quantity, or the margin on cost.")
    fixed = serializers.CharField(required=False, help_text="For each event.")
    free_events = serializers.IntegerField(required=False, help_text="Events that have no fixed fee.")
    tiers = TierSerializer(many=True, required=False)
    flat_at_zero = serializers.BooleanField(
        required=False, help_text="Whether the first tier's flat price is due without usage; true when absent."
    )


class RowSerializer(PriceSerializer):
    id = serializers.IntegerField()
    match = serializers.DictField(
        child=serializers.CharField(),
        help_text="Exact values by dimension; a dimension that is absent may be anything, or missing.",
    )

    def to_representation(self, instance: Cell) -> dict[str, Any]:
        return {"id": instance.pk, "match": instance.match, **to_json(price_of(instance))}


class ChargeSerializer(serializers.ModelSerializer[Charge]):
    product = serializers.CharField(source="product.code")
    amount = serializers.SerializerMethodField(help_text="The fee of one full period; null for usage.")
    meter = serializers.SerializerMethodField(help_text="The meter's code; null for a fee.")
    unit = serializers.SerializerMethodField(help_text="What one of the quantity is called; null for a fee.")
    dimensions = serializers.SerializerMethodField(help_text="The names that rows can match on, in order.")
    rows = serializers.SerializerMethodField(help_text="The row with most exact values wins; then the first.")

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

    @extend_schema_field(RowSerializer(many=True))
    def get_rows(self, charge: Charge) -> Any:
        return [RowSerializer(cell).data for cell in charge.cells.all() if cell.price_list_id is None]

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
