"""The forms in which operators write customers and subscriptions. What is wrong is said by the checks of the verbs."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from babel import Locale
from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from billing_site.foundation.empty_fields import NamedFields
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.money import currencies
from billing_site.foundation.periods import local_date, timezones
from catalog.models import PlanVersion
from customers.models import COUNTRIES, Alias, Customer, Subscription
from customers.subscriptions import checks, moving, subscribing
from customers.subscriptions.finding import customers_like

NAMED = 3
FIRST_CURRENCIES = ("USD", "EUR", "GBP", "JPY")


@cache
def currency_choices() -> list[tuple[str, str]]:
    names = Locale("en").currencies
    codes = [*FIRST_CURRENCIES, *sorted(currencies() - set(FIRST_CURRENCIES))]
    return [(code, f"{code} – {names.get(code, code)}") for code in codes]


@cache
def timezone_choices() -> list[tuple[str, str]]:
    return [(name, name) for name in ("UTC", *sorted(timezones() - {"UTC"}))]


@cache
def country_choices() -> list[tuple[str, str]]:
    named = {str(code): name for code, name in Locale("en").territories.items()}
    return [
        ("", "–"),
        *((code, f"{named[code]} ({code})") for code in sorted(COUNTRIES, key=lambda c: named[c])),
    ]


def show_faults(form: forms.BaseForm, faults: Iterable[Fault]) -> None:
    """Put each fault at its field, or above the form when it has no field there."""
    for fault in faults:
        field = fault.field if fault.field in form.fields else None
        form.add_error(field, ValidationError(fault.message, code=fault.code))


class RefusalsShown:
    """Mix into an admin page: what a verb refuses after its form was found good is said. (Somebody was faster.)"""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)  # type: ignore[misc]
        except Refused as refused:
            messages.error(request, str(refused))
            return HttpResponseRedirect(request.get_full_path())


class CustomerForm(forms.ModelForm):
    class Meta:
        model = Customer
        fields = checks.CUSTOMER_FIELDS
        help_texts = {"email": "Stands on the invoice; nothing is sent to it."}

    currency = forms.ChoiceField(
        choices=currency_choices,
        initial="USD",
        widget=UnfoldAdminSelect2Widget,
        help_text=Customer._meta.get_field("currency").help_text,
    )
    timezone = forms.ChoiceField(
        choices=timezone_choices,
        initial="UTC",
        widget=UnfoldAdminSelect2Widget,
        help_text=Customer._meta.get_field("timezone").help_text,
    )
    address = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 4}),
        help_text=Customer._meta.get_field("address").help_text,
    )
    country = forms.ChoiceField(choices=country_choices, required=False, widget=UnfoldAdminSelect2Widget)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors:
            show_faults(self, checks.customer_faults(Customer(pk=self.instance.pk, **given)))
        return given


class AliasForm(forms.ModelForm):
    class Meta:
        model = Alias
        fields = ("reference",)

    # An alias is what events carry, to the letter.
    reference = forms.CharField(strip=False, widget=UnfoldAdminTextInputWidget)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors:
            show_faults(self, checks.alias_faults(self.instance.customer_id, given["reference"]))
        return given


class VersionField(forms.ModelChoiceField):
    def label_from_instance(self, version: PlanVersion) -> str:
        return f"{version} – {', '.join(version.currencies())}, by the {version.interval}"


class SubscribeForm(forms.ModelForm):
    class Meta:
        model = Subscription
        fields = ("customer", "version", "alignment", "reference", "named_events_only")

    version = VersionField(
        queryset=PlanVersion.objects.filter(status=PlanVersion.Status.PUBLISHED).select_related("plan"),
        widget=UnfoldAdminSelect2Widget,
        label="Plan version",
        help_text="Only published versions are offered. It must be offered in the customer's currency.",
    )
    starts_on = forms.DateField(
        widget=UnfoldAdminDateWidget, help_text="The first day, in the customer's timezone. It may lie in the past."
    )
    ends_on = forms.DateField(
        required=False, widget=UnfoldAdminDateWidget, help_text="The day after the last. Empty: no end."
    )
    reference = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Your own id of this subscription, by which events may name it. Empty: one is made.",
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors:
            show_faults(self, subscribing.check_terms(**self.terms()))
        return given

    def terms(self) -> dict[str, Any]:
        names = ("customer", "version", "starts_on", "ends_on", "alignment", "named_events_only")
        terms = {name: self.cleaned_data[name] for name in names}
        return {**terms, "reference": self.cleaned_data["reference"] or None}

    def _post_clean(self) -> None:
        """The verb makes the row; there is no half-filled one to validate."""


class EndForm(forms.ModelForm):
    class Meta:
        model = Subscription
        fields = ()

    ends_on = forms.DateField(
        required=False,
        widget=UnfoldAdminDateWidget,
        help_text="The day after the last, in the subscription's timezone. Empty: no end.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.ends_at is not None:
            self.initial["ends_on"] = local_date(self.instance.ends_at, self.instance.timezone)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors and self.has_changed():
            show_faults(self, subscribing.check_end(self.instance, given["ends_on"]))
        return given


class MoveForm(NamedFields, BaseDialogForm):
    """A later version for a subscription: the one of the page, unless `subscription` says otherwise."""

    version = VersionField(
        queryset=PlanVersion.objects.none(),
        label="Version",
        help_text="Drafts and the open period are priced by it. Finalized invoices stay as they are.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        subscription = self.subscription()
        if subscription is not None:
            self.fields["version"].queryset = moving.later_versions(subscription)  # type: ignore[attr-defined]

    def subscription(self) -> Subscription | None:
        return Subscription.objects.select_related("version").filter(pk=self.object_id).first()

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        subscription = self.subscription()
        if not self.errors and subscription is not None:
            show_faults(self, moving.check_move(subscription, given["version"]))
        return given


MOVE_DIALOG = {
    "title": "Move to version …",
    "description": "Later published versions of the plan in the customer's currency and of the same interval.",
    "form_class": MoveForm,
    "form_submit_text": "Move",
}


class NewCustomerForm(NamedFields, BaseDialogForm):
    """A customer for a reference that was seen on events."""

    name = forms.CharField(max_length=255, widget=UnfoldAdminTextInputWidget, help_text="As it stands on the invoice.")
    currency = forms.ChoiceField(choices=currency_choices, initial="USD", widget=UnfoldAdminSelectWidget)
    timezone = forms.ChoiceField(choices=timezone_choices, initial="UTC", widget=UnfoldAdminSelectWidget)


class Offering(UnfoldAdminTextInputWidget):
    """A text field that offers customers while somebody types, as `foundation/suggest.js` asks for them."""

    LIST = "offered-customers"

    def __init__(self) -> None:
        asked = reverse_lazy("admin:customers_unknowncustomer_offered")
        super().__init__(attrs={"data-suggest": asked, "list": self.LIST, "autocomplete": "off"})

    def render(self, *args: Any, **kwargs: Any) -> SafeString:
        return format_html('{}<datalist id="{}"></datalist>', super().render(*args, **kwargs), self.LIST)


class AttachForm(NamedFields, BaseDialogForm):
    """An existing customer for a reference that was seen on events."""

    customer = forms.CharField(
        widget=Offering,
        label="Customer",
        help_text="Type the beginning of a reference, or a part of the name, and choose. Usage under the unknown"
        " reference becomes this customer's, what has come already included.",
    )

    def clean_customer(self) -> Customer:
        """One that is named in full: what it pays for is not decided by a part of a name."""
        text = self.cleaned_data["customer"]
        found = customers_like(text)
        exact = [each for each in found if text == each.name or each.aliases.filter(reference=text).exists()]
        if len(exact) == 1:
            return exact[0]
        if not found:
            raise ValidationError(f"No customer has “{text}” in its reference or name: type another part of it.")
        meant = "; ".join(f"{each.reference} ({each.name})" for each in found[:NAMED])
        more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise ValidationError(f"“{text}” is in the reference or name of {meant}{more}: write the reference in full.")
