"""How negotiated terms and redeemed coupons are written and read in the API. Numbers are strings, exact."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_site.foundation.api_fields import Day, Exact, StrictSerializer, Text
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.money import plain
from billing_site.foundation.periods import local_date
from catalog.charges.cell_prices import price_of
from catalog.plans.serializers import PriceSerializer
from catalog.pricing.documents import Unreadable, from_json, to_json
from catalog.pricing.price import Model
from catalog.versions.charging import as_match
from customers.deals.days import Wanted
from customers.models import Override, Redemption
from customers.rating.negotiated import What


class GivenPriceSerializer(PriceSerializer):
    """A price to write: per unit unless it says otherwise."""

    model = serializers.ChoiceField([each.value for each in Model], required=False, help_text="per_unit when absent.")


@extend_schema_field(GivenPriceSerializer)
class PriceField(serializers.DictField):
    """A price as `catalog.pricing.documents` reads it."""


class OverrideSerializer(StrictSerializer):
    """A term to negotiate. Days are local days of the subscription."""

    what = Text(help_text=f"One of {', '.join(What)}.")
    charge = Text(
        required=False,
        default="",
        help_text="The charge's code. Without one a minimum or cap is of all usage, a discount of all lines.",
    )
    match = serializers.DictField(
        required=False,
        default=dict,
        help_text="Of a price: the row's exact values by dimension; a row that the plan does not have is added.",
    )
    price = PriceField(required=False, allow_null=True, default=None, help_text="Of a row.")
    quantity = Exact(required=False, allow_null=True, default=None, help_text="Units that cost nothing: included.")
    amount = Exact(
        required=False,
        allow_null=True,
        default=None,
        help_text="Of a full period: a minimum, cap (null: none) or fee; or what a discount takes off one charge.",
    )
    percent = Exact(required=False, allow_null=True, default=None, help_text="Of a discount: 10 is 10 %.")
    starts_on = Day(help_text="The first day. What is finalized stays: no day before its end.")
    ends_on = Day(required=False, allow_null=True, default=None, help_text="The day after the last; null: no end.")
    reason = Text(help_text="Why; the invoice's explanation names it.")

    def wanted(self) -> Wanted:
        """Raises Refused when the price is none, or a value of the row no value."""
        given = dict(self.validated_data)
        price, match = given.pop("price"), given.pop("match")
        try:
            price = None if price is None else from_json(price, "price")
        except Unreadable as error:
            raise Refused(*error.faults) from None
        return Wanted(price=price, match=_match(match), **given)


def _match(given: Any) -> dict[str, str]:
    for name, value in given.items():
        if not isinstance(value, (str, int, Decimal, bool)) or "\0" in f"{name}{value}" or not name:
            message = f"“{str(value)[:60]}” is no value of “{name[:60]}”: write a text, or leave it out for any."
            raise Refused(Fault("value_invalid", message, f"match.{name[:60]}"))
    return as_match(given)


class OverrideEndSerializer(StrictSerializer):
    """When a negotiated term ends: earlier than it would."""

    ends_on = Day(help_text="The day after the last. The day on which it begins: it never holds.")


class OverrideAnswerSerializer(serializers.Serializer[Override]):
    """A negotiated term. It never changes, it only ends earlier."""

    id = serializers.IntegerField()
    what = serializers.CharField()
    charge = serializers.CharField(allow_blank=True)
    match = serializers.DictField(child=serializers.CharField())
    price = serializers.SerializerMethodField()
    quantity = serializers.SerializerMethodField()
    amount = serializers.SerializerMethodField()
    percent = serializers.SerializerMethodField()
    starts_on = serializers.SerializerMethodField()
    ends_on = serializers.SerializerMethodField()
    reason = serializers.CharField()
    created_at = serializers.DateTimeField()

    @extend_schema_field(PriceSerializer(allow_null=True))
    def get_price(self, override: Override) -> Any:
        return to_json(price_of(override)) if override.what == What.PRICE else None

    def get_quantity(self, override: Override) -> str | None:
        return _text(override.quantity)

    def get_amount(self, override: Override) -> str | None:
        return _text(override.amount)

    def get_percent(self, override: Override) -> str | None:
        return _text(override.percent) if override.what == What.DISCOUNT else None

    def get_starts_on(self, override: Override) -> str:
        return _day(override.starts_at, override) or ""

    def get_ends_on(self, override: Override) -> str | None:
        return _day(override.ends_at, override)


class OverrideMadeSerializer(OverrideAnswerSerializer):
    """One that was just negotiated. `warnings` come in the context: they are of the costs and prices of now."""

    warnings = serializers.SerializerMethodField(help_text="What of it is worth a second look; it holds nevertheless.")

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_warnings(self, override: Override) -> list[str]:
        return list(self.context["warnings"])


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


def _day(instant: datetime | None, row: Override | Redemption) -> str | None:
    return None if instant is None else local_date(instant, row.subscription.timezone).isoformat()


class RedeemSerializer(StrictSerializer):
    code = Text(help_text="The coupon's code, in any letters.")
    first_invoice_on = Day(
        required=False,
        allow_null=True,
        default=None,
        help_text="It takes off the first invoice that is due on this day or later, drafts included; null: the next.",
    )


class RedemptionSerializer(serializers.Serializer[Redemption]):
    """A coupon that the subscription redeemed: for the invoices from `first_invoice_on` to before `until`."""

    id = serializers.IntegerField()
    code = serializers.CharField(source="coupon.code")
    name = serializers.CharField(source="coupon.name")
    redeemed_at = serializers.DateTimeField()
    first_invoice_on = serializers.SerializerMethodField()
    until = serializers.SerializerMethodField()

    def get_first_invoice_on(self, redemption: Redemption) -> str:
        return _day(redemption.first_at, redemption) or ""

    def get_until(self, redemption: Redemption) -> str | None:
        return _day(redemption.until_at, redemption)
