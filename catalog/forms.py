"""What the forms of the catalogue have in common, and the one of a new plan. What is wrong is said by the verbs."""

from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from typing import Any

from babel import Locale
from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import currencies, plain
from billing_site.foundation.periods import Interval
from billing_site.foundation.typed_numbers import unread
from catalog.models import Plan, PlanVersion

FIRST_CURRENCIES = ("USD", "EUR", "GBP", "JPY")
PRICE_HELP = "For example 0.00001. Up to 15 decimals, kept exactly."


@cache
def currency_choices() -> list[tuple[str, str]]:
    names = Locale("en").currencies
    codes = [*FIRST_CURRENCIES, *sorted(currencies() - set(FIRST_CURRENCIES))]
    return [(code, f"{code} – {names.get(code, code)}") for code in codes]


def show_faults(form: forms.BaseForm, faults: Iterable[Fault]) -> None:
    """Put each fault at its field, or above the form when it has no field there."""
    for fault in faults:
        field = fault.field if fault.field in form.fields else None
        form.add_error(field, ValidationError(fault.message, code=fault.code))


class PriceField(forms.DecimalField):
    """A number shown with every digit and none more: never rounded, no exponent, no trailing zeros."""

    widget = UnfoldAdminTextInputWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"widget": UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}), **kwargs})

    def prepare_value(self, value: Any) -> Any:
        return plain(value) if isinstance(value, Decimal) else value

    def to_python(self, value: Any) -> Any:
        """What is no number is quoted, with what to write instead."""
        try:
            number = super().to_python(value.strip() if isinstance(value, str) else value)
        except ValidationError:
            number = Decimal("NaN")
        if number is not None and not number.is_finite():
            raise ValidationError(unread(value), code="invalid")
        return number

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(initial) != self.to_python(data))
        except ValidationError:
            return True


class WholeField(forms.IntegerField):
    """A whole number in plain digits; anything else is quoted, with what to write instead."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except ValidationError:
            raise ValidationError(unread(value, whole=True), code="invalid") from None


class NewPlanForm(forms.ModelForm):
    """A plan with the terms of its first draft: without a version there is nothing to price."""

    class Meta:
        model = Plan
        fields = ("name", "code", "description", "consumption", "margin_floor")
        field_classes = {"margin_floor": PriceField}

    currency = forms.ChoiceField(
        choices=currency_choices,
        initial="USD",
        widget=UnfoldAdminSelect2Widget,
        help_text="Of the first version: every fee and price, and its invoices. Another version may have another.",
    )
    interval = forms.ChoiceField(
        choices=[(each.value, each.value.title()) for each in Interval],
        initial=PlanVersion._meta.get_field("interval").default,
        widget=UnfoldAdminSelectWidget,
        help_text=PlanVersion._meta.get_field("interval").help_text,
    )
    grace = forms.DurationField(
        initial=PlanVersion._meta.get_field("grace").default,
        widget=UnfoldAdminTextInputWidget,
        help_text=PlanVersion._meta.get_field("grace").help_text,
    )

    def terms(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("currency", "interval", "grace")}
