"""The operator's page of coupons."""

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from unfold.decorators import display

from catalog.admin_pages import CataloguePage
from catalog.coupons import issuing
from catalog.coupons.forms import CouponForm, RedeemedCouponForm
from catalog.coupons.words import takes_off, uses
from catalog.models import Coupon


@admin.register(Coupon)
class CouponAdmin(CataloguePage):
    """Anything changes until it is redeemed; then its name and limits."""

    form = CouponForm
    empty_text = "A coupon takes a percentage or an amount off invoices. It is redeemed on a subscription's page."
    list_display = ("code", "name", "takes_off", "uses", "redeem_by", "active")
    list_filter = ("active", "duration")
    search_fields = ("code", "name")
    search_help_text = "Code or name"
    conditional_fields = {"periods": "duration == 'periods'"}
    readonly_fields = ("takes_off", "of_what", "shown_plans", "uses")

    def get_form(
        self,
        request: HttpRequest,
        obj: Coupon | None = None,
        change: bool = False,  # noqa: FBT001
        **kwargs: Any,
    ) -> Any:
        if obj is not None and obj.redeemed:
            kwargs["form"] = RedeemedCouponForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        limits = ("Limits", {"fields": ("active", ("max_redemptions", "max_per_customer"), "redeem_by")})
        if obj is not None and obj.redeemed:
            kept = ("code", "takes_off", "of_what", "shown_plans", "uses")
            return [(None, {"fields": ("name", *kept)}), limits]
        return [
            (None, {"fields": ("code", "name")}),
            ("It takes off", {"fields": ("percent", ("amount", "currency"), "duration", "periods")}),
            ("Of what, and for whom", {"fields": ("charges", "products", "plans")}),
            limits,
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Coupon | None = None) -> Any:
        redeemed = obj is not None and obj.redeemed
        return (*self.readonly_fields, "code") if redeemed else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Coupon, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        assert isinstance(form, CouponForm)
        saved = issuing.change_coupon(obj, **form.terms()) if change else issuing.create_coupon(**form.terms())
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: Coupon) -> None:
        issuing.delete_coupon(obj)

    @display(description="Takes off")
    def takes_off(self, coupon: Coupon) -> str:
        return takes_off(coupon)

    @display(description="Of what")
    def of_what(self, coupon: Coupon) -> str:
        products = [str(each) for each in issuing.products_of(coupon)]
        return ", ".join([*coupon.charges, *products]) or "everything on the invoice"

    @display(description="On plans")
    def shown_plans(self, coupon: Coupon) -> str:
        return ", ".join(str(each) for each in issuing.plans_of(coupon)) or "any"

    @display(description="Redeemed", ordering="redeemed")
    def uses(self, coupon: Coupon) -> str:
        return uses(coupon)
