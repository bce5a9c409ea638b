"""How the catalogue is read in the API. Numbers are strings, exact. It is written by `documents.shapes`."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_site.foundation.money import plain, round_amount
from catalog.charges.cell_prices import price_of
from catalog.charges.priceable import priceable
from catalog.documents.shapes import GIVEN
from catalog.features.values import Kind, written
from catalog.models import Cell, Charge, ChargeAmount, Plan, PlanVersion, PriceList, Product
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


def row_to_json(cell: Cell) -> dict[str, Any]:
    """As `RowSerializer` says; there may be thousands, and a serializer for each would take its time."""
    return {"id": cell.pk, "match": cell.match, **to_json(price_of(cell))}


def _listed(amount: ChargeAmount | None, currency: str) -> dict[str, str | None]:
    if amount is None:
        return dict.fromkeys(("amount", "minimum", "cap"))
    fee = None if amount.amount is None else str(round_amount(amount.amount, currency))
    sums = {name: getattr(amount, name) for name in ("minimum", "cap")}
    return {"amount": fee, **{name: None if each is None else plain(each) for name, each in sums.items()}}


class ListedChargeSerializer(serializers.Serializer[Any]):
    """What a charge is in a further currency."""

    amount = serializers.CharField(allow_null=True, help_text="The fee of one full period; null for usage.")
    minimum = serializers.CharField(allow_null=True)
    cap = serializers.CharField(allow_null=True)
    rows = RowSerializer(many=True)


class Sum(serializers.CharField):
    """A sum of money, or a number, exact; null when there is none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_null": True, "read_only": True, **kwargs})

    def to_representation(self, value: Any) -> str:
        return plain(value)


class ChargeSerializer(serializers.ModelSerializer[Charge]):
    product = serializers.CharField(source="product.code")
    amount = serializers.SerializerMethodField(help_text="The fee of one full period; null for usage.")
    meter = serializers.SerializerMethodField(help_text="The meter's code; null for a fee.")
    unit = serializers.SerializerMethodField(help_text="What one of the quantity is called; null for a fee.")
    dimensions = serializers.SerializerMethodField(help_text="The names that rows can match on, in order.")
    included = Sum(help_text="Units of each full period that cost nothing.")
    minimum = Sum(help_text="The least that it comes to in a full period.")
    cap = Sum(help_text="The most that it comes to in a full period.")
    rows = serializers.SerializerMethodField(help_text="The row with most exact values wins; then the first.")
    lists = serializers.SerializerMethodField(help_text="What it costs in each further currency.")

    class Meta:
        model = Charge
        fields = [
            *("code", "name", "kind", "product", "position", "timing", "amount", "meter", "unit", "dimensions"),
            *("unmatched", "included", "minimum", "cap", "cost_model", "cost_token_type", "cost_context"),
            *("rows", "lists"),
        ]

    def get_amount(self, charge: Charge) -> str | None:
        return None if charge.amount is None else str(round_amount(charge.amount, charge.version.currency))

    @extend_schema_field(RowSerializer(many=True))
    def get_rows(self, charge: Charge) -> Any:
        return [row_to_json(cell) for cell in charge.cells.all() if cell.price_list_id is None]

    @extend_schema_field(serializers.DictField(child=ListedChargeSerializer()))
    def get_lists(self, charge: Charge) -> Any:
        """Prefetch the version's price lists, and the charge's amounts."""
        lists = {each.pk: each.currency for each in charge.version.price_lists.all()}
        sums = {each.price_list_id: each for each in charge.amounts.all()}
        rows: dict[int | None, list[dict[str, Any]]] = {}
        for cell in charge.cells.all() if lists else ():
            rows.setdefault(cell.price_list_id, []).append(row_to_json(cell))
        return {
            currency: {**_listed(sums.get(pk), currency), "rows": rows.get(pk, [])} for pk, currency in lists.items()
        }

    def get_meter(self, charge: Charge) -> str | None:
        return charge.meter.code if charge.meter else None

    def get_unit(self, charge: Charge) -> str | None:
        return charge.meter.unit if charge.meter else None

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_dimensions(self, charge: Charge) -> Any:
        return [] if charge.meter is None else list(priceable(charge.meter).dimensions)


class PriceListSerializer(serializers.ModelSerializer[PriceList]):
    minimum = Sum(help_text="The least that all usage of a full period comes to, in this currency.")
    cap = Sum(help_text="The most that all usage of a full period comes to, in this currency.")
    credit_price = Sum(help_text="Of one credit, in this currency.")

    class Meta:
        model = PriceList
        fields = ["minimum", "cap", "credit_price"]


class VersionSerializer(serializers.ModelSerializer[PlanVersion]):
    name = serializers.CharField(source="__str__", help_text="For people, for example “Chatbot v1”.")
    grace_seconds = serializers.SerializerMethodField(
        help_text="How long after the end of a period its invoice stays a draft."
    )

    class Meta:
        model = PlanVersion
        fields = [
            *("id", "number", "name", "status", "currency", "interval", "grace_seconds", "published_at", "retired_at"),
        ]

    def get_grace_seconds(self, version: PlanVersion) -> int:
        return int(version.grace.total_seconds())


class WholeVersionSerializer(VersionSerializer):
    minimum = Sum(help_text="The least that all usage of a full period comes to.")
    cap = Sum(help_text="The most that all usage of a full period comes to.")
    commitment_product = serializers.SerializerMethodField(help_text="The product of the minimum's line.")
    included_credits = Sum(help_text="Credits that each period grants.")
    credit_price = Sum(help_text="Of one credit beyond those that were there.")
    lists = serializers.SerializerMethodField(help_text="Its further currencies.")
    charges = ChargeSerializer(many=True)
    features = serializers.SerializerMethodField(help_text="What it gives of features, by code.")

    class Meta(VersionSerializer.Meta):
        fields = [
            *VersionSerializer.Meta.fields,
            *("minimum", "cap", "commitment_product", "when_empty", "included_credits", "credit_price"),
            *("created_at", "lists", "charges", "features"),
        ]

    @extend_schema_field(serializers.DictField(child=PriceListSerializer()))
    def get_lists(self, version: PlanVersion) -> Any:
        return {each.currency: PriceListSerializer(each).data for each in version.price_lists.all()}

    @extend_schema_field({"type": "object", "additionalProperties": GIVEN.schema()})
    def get_features(self, version: PlanVersion) -> Any:
        return {
            given.feature.code: {"value": written(Kind(given.feature.kind), given.value)}
            for given in version.feature_values.all()
        }

    def get_commitment_product(self, version: PlanVersion) -> str | None:
        return None if version.commitment_product is None else version.commitment_product.code


class PlanSerializer(serializers.ModelSerializer[Plan]):
    margin_floor = Sum(help_text="In percent: a price below cost and this is not published; null: no check.")
    versions = VersionSerializer(many=True, help_text="Those that can be subscribed to, the newest first.")

    class Meta:
        model = Plan
        fields = ["code", "name", "description", "consumption", "margin_floor", "versions"]


class WholePlanSerializer(PlanSerializer):
    versions = WholeVersionSerializer(many=True, help_text="Those that can be subscribed to, the newest first.")
    next = serializers.SerializerMethodField(help_text="Pass it as `before` for older versions; null at the end.")

    class Meta(PlanSerializer.Meta):
        fields = [*PlanSerializer.Meta.fields, "next"]

    @extend_schema_field({"type": "integer", "nullable": True})
    def get_next(self, plan: Plan) -> int | None:
        number: int | None = self.context["next"]
        return number


class ProductSerializer(serializers.ModelSerializer[Product]):
    class Meta:
        model = Product
        fields = ["code", "name", "description", "tax_category", "created_at"]


class ChargesSerializer(serializers.Serializer[Any]):
    """All charges of a version, on one page."""

    data = ChargeSerializer(many=True)  # type: ignore[assignment]
    next = serializers.CharField(allow_null=True, help_text="Always null.")


class FaultSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="For programs; stays the same.")
    message = serializers.CharField(help_text="For people: what is wrong, and how to mend it.")
    field = serializers.CharField(help_text="The place in the plan's document; empty when it is the whole.")


class ReviewSerializer(serializers.Serializer[Any]):
    """What there is to say about publishing a version."""

    faults = FaultSerializer(many=True, help_text="They forbid to publish it.")
    warnings = serializers.ListField(child=serializers.CharField(), help_text="They do not.")
    changes = serializers.ListField(
        child=serializers.CharField(), help_text="What is other than in the version that was published before it."
    )
    previous = serializers.IntegerField(allow_null=True, help_text="The number of that version.")


class PublishedSerializer(serializers.Serializer[Any]):
    """A version as it was published."""

    version = VersionSerializer()
    warnings = serializers.ListField(child=serializers.CharField(), help_text="What may be meant, and may be not.")
    changes = serializers.ListField(
        child=serializers.CharField(), help_text="What is other than in the version that was published before it."
    )


class ImportedSerializer(serializers.Serializer[Any]):
    """What came of a plan document."""

    did = serializers.ChoiceField(choices=["created", "changed", "unchanged"], help_text="What became of the version.")
    version = VersionSerializer()
    notes = serializers.ListField(child=serializers.CharField(), help_text="What happened beside it, in sentences.")
    changes = serializers.ListField(
        child=serializers.CharField(), help_text="What is other than in the version that was published before it."
    )
    faults = FaultSerializer(many=True, help_text="They forbid to publish it.")
    warnings = serializers.ListField(child=serializers.CharField(), help_text="They do not.")
