"""The forms in which operators write versions, charges and rows. What is wrong is said by the checks of the verbs."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from babel import Locale
from django import forms
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import currencies, plain
from billing_site.foundation.periods import Interval
from catalog import checks
from catalog.charging import ANY
from catalog.models import Cell, Charge, Plan, PlanVersion
from catalog.priceable import Priceable, priceable
from catalog.pricing.price import Price, number_faults, per_unit
from catalog.row_checks import DraftRow, row_faults
from catalog.seen_values import seen_values

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

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(initial) != self.to_python(data))
        except ValidationError:
            return True


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


class ChargeForm(forms.ModelForm):
    """The terms of a charge, of which a page shows those of its kind."""

    class Meta:
        model = Charge
        fields = (
            "version",
            "kind",
            "name",
            "code",
            "product",
            "meter",
            "amount",
            "timing",
            "unmatched",
            "position",
        )
        widgets = {"kind": forms.HiddenInput}
        field_classes = {"amount": PriceField}
        labels = {"unmatched": "Usage that no row prices", "position": "Place on the invoice"}
        help_texts = {
            "unmatched": "What happens to it. When a row of only * is there, nothing is left without a price.",
            "meter": "Whose usage is priced. It cannot be changed afterwards: add another charge instead.",
            "code": "A short name that stays the same from version to version, for example tokens.",
            "product": "What is sold.",
            "position": "0 comes first.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "version" in self.fields:
            drafts = PlanVersion.objects.filter(status=PlanVersion.Status.DRAFT).select_related("plan")
            self.fields["version"].queryset = drafts  # type: ignore[attr-defined]
        for name in ("meter", "amount"):
            if name in self.fields:
                self.fields[name].required = True

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        version = cleaned.get("version") or (self.instance.version if self.instance.version_id else None)
        if version is None:
            return cleaned
        show_faults(self, checks.charge_code_faults(version, cleaned.get("code", ""), but=self.instance.pk))
        if cleaned.get("amount") is not None:
            show_faults(self, checks.fee_faults(cleaned["amount"], version.currency))
        return cleaned


class NewUsageChargeForm(ChargeForm):
    """With the one price of a charge that costs the same for every use: it becomes a row of only *."""

    unit_price = PriceField(
        required=False,
        label="Price of one unit",
        help_text=f"When every use costs the same. {PRICE_HELP} Leave it empty to price by rows on the next page.",
    )

    def clean_unit_price(self) -> Decimal | None:
        price: Decimal | None = self.cleaned_data["unit_price"]
        if price is not None:
            show_faults(self, number_faults(price, "unit price", "unit_price"))
        return price


class RowForm(forms.ModelForm):
    """One row of the matrix: a field for each dimension, made for the charge's meter by `row_form`."""

    priceable: Priceable
    seen_values: Mapping[str, list[str]]

    class Meta:
        model = Cell
        fields: tuple[str, ...] = ()

    position = forms.IntegerField(
        required=False,
        min_value=1,
        label="Order",
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "size": 4}),
        help_text="Decides between rows that are equally exact: 1 comes first. Empty: at the end.",
    )
    unit_price = PriceField(label="Price of one unit", help_text=PRICE_HELP)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["position"] = self.instance.position + 1
            self.initial["unit_price"] = self.instance.unit_price
            for name in self.priceable.dimensions:
                self.initial[field_of(name)] = self.instance.match.get(name, ANY)

    def drafted(self) -> DraftRow:
        values = {name: self.cleaned_data[field_of(name)].strip() or ANY for name in self.priceable.dimensions}
        match = {name: value for name, value in values.items() if value != ANY}
        return DraftRow(match, per_unit(self.cleaned_data["unit_price"]))


def field_of(dimension: str) -> str:
    return f"dimension_{dimension}"


def row_form(charge: Charge) -> type[RowForm]:
    """The form of a row of this charge: what can be priced, with the values that are known."""
    assert charge.meter is not None
    known = priceable(charge.meter)
    seen = seen_values(charge.meter, known)
    fields = {field_of(name): _dimension_field(known, name, seen[name], charge) for name in known.dimensions}
    return type("RowForm", (RowForm,), {**fields, "priceable": known, "seen_values": seen})


def _dimension_field(known: Priceable, name: str, values: list[str], charge: Charge) -> forms.Field:
    """Its label stands in quotation marks: the admin begins labels with a capital, and names of dimensions do not."""
    if known.only(name) is not None:
        # A row may name a value that the meter gives no more: it is shown, so that it can be mended.
        written = [cell.match[name] for cell in charge.cells.all() if name in cell.match]
        choices = [(ANY, "* any"), *((value, value) for value in dict.fromkeys([*values, *written]))]
        return forms.ChoiceField(choices=choices, initial=ANY, label=f"“{name}”", widget=UnfoldAdminSelectWidget)
    widget = UnfoldAdminTextInputWidget(attrs={"list": f"values-{name}", "autocomplete": "off"})
    return forms.CharField(
        required=False,
        initial=ANY,
        label=f"“{name}”",
        max_length=255,
        widget=widget,
        help_text="A value exactly as events have it, or * for any. A missing value fits only *.",
    )


class RowFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """All rows of one charge, checked together; a fault is shown at its row."""

    def kept(self) -> list[RowForm]:
        """The filled-in forms that stay, in the order that was asked for; those without a place come last."""
        forms: list[RowForm] = self.forms  # type: ignore[assignment]
        filled = [form for form in forms if form.instance.pk or form.has_changed()]
        kept = [form for form in filled if form.is_valid() and not form.cleaned_data.get("DELETE")]
        return sorted(kept, key=lambda form: form.cleaned_data.get("position") or len(filled) + 1)

    def drafted(self) -> list[tuple[Mapping[str, object], Price]]:
        """The rows as the verb takes them."""
        return [(row.match, row.price) for row in (form.drafted() for form in self.kept())]

    def clean(self) -> None:
        if any(self.errors):
            return
        kept = self.kept()
        for fault in row_faults(kept[0].priceable, [form.drafted() for form in kept]) if kept else ():
            _, index, field = fault.field.split(".")
            place = field if field == "unit_price" else None
            kept[int(index)].add_error(place, ValidationError(fault.message, code=fault.code))
