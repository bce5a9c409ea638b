"""The forms in which operators write versions and their further currencies."""

from typing import Any

from django import forms
from django.forms import BaseInlineFormSet
from unfold.widgets import UnfoldAdminSelect2Widget

from billing_site.foundation.errors import Fault
from catalog.checks import versions as checks
from catalog.forms import PriceField, currency_choices, show_faults
from catalog.models import PlanVersion, PriceList
from catalog.pricing.commitment import bound_faults
from catalog.versions import publishing

_SUMS = ("minimum", "cap")


class VersionForm(forms.ModelForm):
    class Meta:
        model = PlanVersion
        fields = (
            *("plan", "currency", "interval", "grace", "minimum", "cap", "commitment_product"),
            *("when_empty", "included_credits", "credit_price"),
        )
        field_classes = dict.fromkeys((*_SUMS, "included_credits", "credit_price"), PriceField)

    currency = forms.ChoiceField(
        choices=currency_choices,
        initial="USD",
        widget=UnfoldAdminSelect2Widget,
        help_text="Its own currency: the one in which its prices are written first.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in _SUMS:
            if cleaned.get(name) is not None and cleaned.get("currency"):
                show_faults(self, checks.fee_faults(cleaned[name], cleaned["currency"], name))
        show_faults(self, bound_faults(self.cleaned_data.get("minimum"), self.cleaned_data.get("cap")))
        return cleaned


class PriceListForm(forms.ModelForm):
    class Meta:
        model = PriceList
        fields = ("currency", *_SUMS, "credit_price")
        field_classes = dict.fromkeys((*_SUMS, "credit_price"), PriceField)

    currency = forms.ChoiceField(choices=currency_choices, widget=UnfoldAdminSelect2Widget)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in _SUMS:
            if cleaned.get(name) is not None and cleaned.get("currency"):
                show_faults(self, checks.fee_faults(cleaned[name], cleaned["currency"], name))
        show_faults(self, bound_faults(self.cleaned_data.get("minimum"), self.cleaned_data.get("cap")))
        return cleaned


class PriceListFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """Each currency once, and none that is the version's own."""

    instance: PlanVersion

    def clean(self) -> None:
        super().clean()
        for form in self.forms:
            if form.cleaned_data.get("currency") == self.instance.currency and not form.cleaned_data.get("DELETE"):
                message = f"The version is priced in {self.instance.currency} itself: choose another currency."
                show_faults(form, [Fault("currency_conflict", message, "currency")])

    def save_lists(self) -> None:
        """By the verbs. A currency that was changed is another list: the prices of the former one go with it."""
        for form in self.initial_forms:
            before = form.initial["currency"]
            if form in self.deleted_forms or form.cleaned_data["currency"] != before:
                publishing.remove_price_list(self.instance, before)
        for form in self.forms:
            if form.has_changed() and form not in self.deleted_forms:
                given = {name: form.cleaned_data.get(name) for name in (*_SUMS, "credit_price")}
                publishing.set_price_list(self.instance, form.cleaned_data["currency"], **given)
