"""How invoices are read in the API. Numbers are strings, exact."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_site.foundation.money import plain, round_amount
from billing_site.foundation.periods import local_date
from invoicing.models import Invoice, Line


class AgreedSerializer(serializers.Serializer[Any]):
    """A negotiated term, as it stood when the invoice was rated."""

    def get_fields(self) -> dict[str, Any]:
        # “from” is a word of the language.
        return {
            "id": serializers.IntegerField(),
            "name": serializers.CharField(),
            "reason": serializers.CharField(),
            "from": serializers.DateField(),
            "until": serializers.DateField(allow_null=True),
        }


class RedeemedSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    redemption = serializers.IntegerField()


class ExplanationSerializer(serializers.Serializer[Any]):
    """How an amount came about."""

    version = serializers.CharField(help_text="The plan version, for example “Chatbot v1”.")
    version_id = serializers.IntegerField()
    charge = serializers.CharField(allow_null=True, help_text="The charge's code; null for several.")
    row = serializers.DictField(allow_null=True, help_text="The row of the price matrix, and what it matches.")
    steps = serializers.ListField(child=serializers.CharField(), help_text="The arithmetic, a sentence a step.")
    share = serializers.CharField(required=False, help_text="The line's part, when combinations share a row.")
    overrides = AgreedSerializer(many=True, required=False, help_text="The negotiated terms that it rests on.")
    coupon = RedeemedSerializer(required=False, help_text="The coupon that took it off.")


class LineSerializer(serializers.ModelSerializer[Line]):
    charge = serializers.SerializerMethodField(help_text="Its code; null for a line over several charges.")
    product = serializers.CharField(source="product.code")
    quantity = serializers.SerializerMethodField()
    included = serializers.SerializerMethodField(help_text="How much of the quantity cost nothing.")
    unit_price = serializers.SerializerMethodField(help_text="Null where no single price holds, as in tiers.")
    amount = serializers.SerializerMethodField()
    explanation = serializers.SerializerMethodField()

    class Meta:
        model = Line
        fields = [
            "position",
            "kind",
            "description",
            "charge",
            "product",
            "dimensions",
            "quantity",
            "included",
            "unit",
            "unit_price",
            "amount",
            "service_start",
            "service_end",
            "explanation",
        ]

    def get_quantity(self, line: Line) -> str:
        return plain(line.quantity)

    def get_charge(self, line: Line) -> str | None:
        return line.charge.code if line.charge else None

    def get_included(self, line: Line) -> str:
        return plain(line.included)

    def get_unit_price(self, line: Line) -> str | None:
        return None if line.unit_price is None else plain(line.unit_price)

    def get_amount(self, line: Line) -> str:
        return str(round_amount(line.amount, self.context["currency"]))

    @extend_schema_field(ExplanationSerializer)
    def get_explanation(self, line: Line) -> Any:
        return line.explanation


class InvoiceSerializer(serializers.ModelSerializer[Invoice]):
    """An invoice without its lines. A draft's figures are of its last preview."""

    customer = serializers.CharField(source="customer.reference")
    subscription = serializers.CharField(source="subscription.reference")
    plan = serializers.CharField(source="version.plan.code")
    version = serializers.IntegerField(source="version.number")
    total = serializers.SerializerMethodField()
    period_starts_on = serializers.SerializerMethodField()
    period_ends_on = serializers.SerializerMethodField()

    class Meta:
        model = Invoice
        fields = [
            "id",
            "number",
            "status",
            "kind",
            "customer",
            "subscription",
            "plan",
            "version",
            "currency",
            "total",
            "timezone",
            "period_starts_on",
            "period_ends_on",
            "period_start",
            "period_end",
            "advance_end",
            "hold_reason",
            "finalize_after",
            "rated_at",
            "finalized_at",
            "created_at",
        ]

    def get_total(self, invoice: Invoice) -> str:
        return str(round_amount(invoice.total, invoice.currency))

    def get_period_starts_on(self, invoice: Invoice) -> str:
        """A day of the invoice's timezone."""
        return local_date(invoice.period_start, invoice.timezone).isoformat()

    def get_period_ends_on(self, invoice: Invoice) -> str:
        """The day after the last."""
        return local_date(invoice.period_end, invoice.timezone).isoformat()


class PartySerializer(serializers.Serializer[Any]):
    """A name and address as they stood when the invoice was last rated; finalized, they stay."""

    name = serializers.CharField(required=False)
    address = serializers.CharField(required=False)
    tax_id = serializers.CharField(required=False)
    reference = serializers.CharField(required=False)
    email = serializers.CharField(required=False)
    country = serializers.CharField(required=False)


class WholeInvoiceSerializer(InvoiceSerializer):
    """An invoice with its lines, each with its explanation."""

    bill_to = PartySerializer()
    seller = PartySerializer()
    lines = serializers.SerializerMethodField()

    class Meta(InvoiceSerializer.Meta):
        fields = [*InvoiceSerializer.Meta.fields, "bill_to", "seller", "lines"]

    @extend_schema_field(LineSerializer(many=True))
    def get_lines(self, invoice: Invoice) -> Any:
        rows = invoice.lines.select_related("charge", "product")
        return LineSerializer(rows, many=True, context={"currency": invoice.currency}).data
