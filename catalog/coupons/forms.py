"""The form in which operators write coupons. What is wrong is said by the checks of the verbs."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminSelect2MultipleWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminTextInputWidget,
)

from catalog.coupons import issuing
from catalog.forms import PriceField, currency_choices
from catalog.models import Charge, Coupon, Plan, Product

TERMS = ("percent", "amount", "currency", "duration", "periods", "charges", "products", "plans", "code")


def _charge_choices() -> list[tuple[str, str]]:
    """Codes that charges have, each with a name that it goes by."""
    names = dict(Charge.objects.order_by("-id").values_list("code", "name"))
    return [(code, f"{name} ({code})") for code, name in sorted(names.items())]


class CouponForm(forms.ModelForm):
    class Meta:
        model = Coupon
        fields = (
            "code",
            "name",
            "percent",
            "amount",
            "currency",
            "duration",
            "periods",
            "charges",
            "max_redemptions",
            "max_per_customer",
            "redeem_by",
            "active",
        )
        field_classes = {"percent": PriceField, "amount": PriceField}
        labels = {"percent": "Percentage", "amount": "or an amount", "currency": "in", "duration": "For how long"}

    code = forms.CharField(
        max_length=50,
        widget=UnfoldAdminTextInputWidget({"autocapitalize": "characters"}),
        help_text="What people type, in any letters: A–Z, 0–9, - and _.",
    )
    currency = forms.ChoiceField(
        required=False,
        choices=lambda: [("", "–"), *currency_choices()],
        label="in",
        widget=UnfoldAdminSelect2Widget,
        help_text="Of an amount. Only subscriptions in this currency can redeem it then.",
    )
    charges = forms.MultipleChoiceField(
        required=False,
        choices=_charge_choices,
        widget=UnfoldAdminSelect2MultipleWidget,
        help_text="Only the lines of these charges. Without charges and products: everything on the invoice.",
    )
    products = forms.ModelMultipleChoiceField(
        Product.objects.all(),
        required=False,
        widget=UnfoldAdminSelect2MultipleWidget,
        help_text="The lines of these products, too.",
    )
    plans = forms.ModelMultipleChoiceField(
        Plan.objects.all(),
        required=False,
        widget=UnfoldAdminSelect2MultipleWidget,
        help_text="Only subscriptions on these plans can redeem it. None: on any plan.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and "products" in self.fields:
            kept: dict[str, Any] = {
                "products": [each.pk for each in issuing.products_of(self.instance)],
                "plans": [each.pk for each in issuing.plans_of(self.instance)],
            }
            self.initial.update(kept)

    def terms(self) -> dict[str, Any]:
        """What was written; what the page did not offer is left out."""
        return {name: self.cleaned_data[name] for name in self.fields}

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if "code" in self.fields:
            given["code"] = issuing.as_code(given.get("code", ""))
        wanted = Coupon(pk=self.instance.pk, redeemed=self.instance.redeemed)
        for name in self.fields:
            if name in given and name not in ("products", "plans"):
                setattr(wanted, name, given[name])
        kept = set(TERMS) - set(self.fields)
        for name in kept - {"products", "plans"}:
            setattr(wanted, name, getattr(self.instance, name))
        if not self.errors:
            for fault in issuing.coupon_faults(wanted):
                place = fault.field.split(".")[0]
                field = place if place in self.fields else None
                self.add_error(field, ValidationError(fault.message, code=fault.code))
        return given


class RedeemedCouponForm(CouponForm):
    """What of a coupon changes once it was redeemed."""

    code = currency = charges = products = plans = None  # type: ignore[assignment]

    class Meta(CouponForm.Meta):
        fields = ("name", "max_redemptions", "max_per_customer", "redeem_by", "active")  # type: ignore[assignment]
