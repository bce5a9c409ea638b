"""How coupons are written and read in the API. Numbers are strings, exact."""

from collections.abc import Sequence
from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing_site.foundation.api_fields import Day, Exact, StrictSerializer, Text, Whole, YesNo
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.money import plain
from catalog.coupons import issuing
from catalog.models import Coupon, Plan, Product

Named = TypeVar("Named", Plan, Product)
MOST = 2**31 - 1
MOST_CODES = 100


class CouponSerializer(StrictSerializer):
    """A coupon to make. Either `percent`, or `amount` with `currency`."""

    code = Text(help_text="What people type, in any letters: A–Z, 0–9, - and _.")
    name = Text(help_text="What the customer reads on the invoice.")
    percent = Exact(required=False, allow_null=True, help_text="10 is 10 %.")
    amount = Exact(required=False, allow_null=True, help_text="Off each invoice; what one is too small for lapses.")
    currency = Text(required=False, help_text="Of the amount; three letters.")
    duration = Text(required=False, help_text="once: one invoice; periods: `periods` of them; forever. once if absent.")
    periods = Whole(required=False, allow_null=True, min_value=1, max_value=32_767)
    charges = serializers.ListField(
        child=Text(), required=False, max_length=MOST_CODES, help_text="Codes of charges that it is for."
    )
    products = serializers.ListField(
        child=Text(),
        required=False,
        max_length=MOST_CODES,
        help_text="Codes of products that it is for. Without charges and products: for all lines.",
    )
    plans = serializers.ListField(
        child=Text(), required=False, max_length=MOST_CODES, help_text="Codes of plans that it is for; none: all."
    )
    max_redemptions = Whole(required=False, allow_null=True, min_value=0, max_value=MOST)
    max_per_customer = Whole(
        required=False, allow_null=True, min_value=0, max_value=MOST, help_text="1 when absent; null: no limit."
    )
    redeem_by = Day(required=False, allow_null=True, help_text="The last day, in UTC.")
    active = YesNo(required=False)

    def terms(self) -> dict[str, Any]:
        """As the verb takes them. Raises Refused for a code that nothing has."""
        given = dict(self.validated_data)
        if "products" in given:
            given["products"] = _by_code(Product, given["products"], "products")
        if "plans" in given:
            given["plans"] = _by_code(Plan, given["plans"], "plans")
        return given


def _by_code(model: type[Named], codes: Sequence[str], field: str) -> list[Named]:
    found = {each.code: each for each in model.objects.filter(code__in=[code for code in codes if "\0" not in code])}
    faults = [
        Fault(f"{model._meta.model_name}_unknown", f"There is no {field[:-1]} “{code[:100]}”.", f"{field}.{index}")
        for index, code in enumerate(codes)
        if code not in found
    ]
    if faults:
        raise Refused(*faults)
    return list(found.values())


class CouponAnswerSerializer(serializers.Serializer[Coupon]):
    """A coupon as it stands. Once it was redeemed, only its name, limits and `active` change."""

    code = serializers.CharField()
    name = serializers.CharField()
    percent = serializers.SerializerMethodField()
    amount = serializers.SerializerMethodField()
    currency = serializers.CharField(allow_blank=True)
    duration = serializers.CharField()
    periods = serializers.IntegerField(allow_null=True)
    charges = serializers.ListField(child=serializers.CharField())
    products = serializers.SerializerMethodField()
    plans = serializers.SerializerMethodField()
    max_redemptions = serializers.IntegerField(allow_null=True)
    max_per_customer = serializers.IntegerField(allow_null=True)
    redeem_by = serializers.DateField(allow_null=True)
    active = serializers.BooleanField()
    redeemed = serializers.IntegerField(help_text="How often it was redeemed.")
    created_at = serializers.DateTimeField()

    def get_percent(self, coupon: Coupon) -> str | None:
        return None if coupon.percent is None else plain(coupon.percent)

    def get_amount(self, coupon: Coupon) -> str | None:
        return None if coupon.amount is None else plain(coupon.amount)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_products(self, coupon: Coupon) -> Any:
        return [each.code for each in issuing.products_of(coupon)]

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_plans(self, coupon: Coupon) -> Any:
        return [each.code for each in issuing.plans_of(coupon)]
