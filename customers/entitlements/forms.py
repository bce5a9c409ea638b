"""The forms in which operators grant a customer what its plans do not give, and end that."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminTextareaWidget

from catalog.features.forms import value_field
from catalog.models import Feature
from customers.entitlements import entitling
from customers.models import Customer, EntitlementOverride
from customers.subscriptions.forms import show_faults


class GrantForm(forms.ModelForm):
    """A value of the one feature that the page is about. `feature_of` makes the form of a feature."""

    chosen: Feature

    class Meta:
        model = EntitlementOverride
        fields = ("customer",)

    starts_on = forms.DateField(
        required=False,
        widget=UnfoldAdminDateWidget,
        help_text="The first day, in the customer's timezone. Empty: today, at once.",
    )
    ends_on = forms.DateField(
        required=False, widget=UnfoldAdminDateWidget, help_text="The day after the last. Empty: until it is ended."
    )
    reason = forms.CharField(
        widget=UnfoldAdminTextareaWidget({"rows": 3}),
        help_text=EntitlementOverride._meta.get_field("reason").help_text,
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            customer: Customer = given["customer"]
            faults = entitling.grant_faults(
                customer,
                self.chosen,
                given["value"],
                reason=given["reason"],
                starts_on=given["starts_on"] or entitling.today(customer),
                ends_on=given["ends_on"],
            )
            show_faults(self, faults)
        return given

    def terms(self) -> dict[str, Any]:
        names = ("customer", "value", "starts_on", "ends_on", "reason")
        return {"feature": self.chosen, **{name: self.cleaned_data[name] for name in names}}

    def _post_clean(self) -> None:
        """The verb makes the row; there is no half-filled one to validate."""


def grant_form(feature: Feature) -> type[GrantForm]:
    """The form of a grant of this feature."""
    return type("GrantForm", (GrantForm,), {"chosen": feature, "value": value_field(feature, required=True)})


class EndOverrideForm(forms.ModelForm):
    class Meta:
        model = EntitlementOverride
        fields = ()

    ends_on = forms.DateField(
        required=False,
        widget=UnfoldAdminDateWidget,
        help_text="The day after the last, in the customer's timezone: today ends it at once. It can only end earlier.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["ends_on"] = self.instance.ends_on

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and self.has_changed():
            customer = self.instance.customer
            show_faults(self, entitling.end_faults(self.instance, customer, given["ends_on"]))
        return given

    def _post_clean(self) -> None:
        """The verb writes the row."""
