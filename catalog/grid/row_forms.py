"""The rows of a matrix as plain form fields: what the grid does without JavaScript. A price is its one line of text."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing_site.foundation.errors import Fault
from catalog.charges.cell_prices import price_of
from catalog.charges.priceable import Priceable, priceable
from catalog.charges.row_checks import VALUE_AT_MOST, DraftRow, row_faults
from catalog.charges.seen_values import seen_values
from catalog.forms import WholeField, show_faults
from catalog.models import Cell, Charge
from catalog.pricing.compact import EXAMPLES, to_text
from catalog.pricing.compact_reading import TEXT_AT_MOST, from_text
from catalog.pricing.documents import Unreadable
from catalog.pricing.price import Model, Price
from catalog.versions.charging import ANY

PRICE_TEXT_HELP = "Of one unit: 0.00001. " + " ".join(
    f"{name}: {EXAMPLES[model]}."
    for name, model in (
        ("Package", Model.PACKAGE),
        ("Tiers, each with its upper bound", Model.GRADUATED),
        ("Percentage", Model.PERCENTAGE),
        ("Margin", Model.COST_PLUS),
    )
)


class RowForm(forms.ModelForm):
    """One row of the matrix: a field for each dimension, made for the charge's meter by `row_form`."""

    priceable: Priceable
    seen_values: Mapping[str, list[str]]

    class Meta:
        model = Cell
        fields: tuple[str, ...] = ()

    position = WholeField(
        required=False,
        min_value=1,
        label="Order",
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "size": 4}),
        help_text="Decides between rows that are equally exact: 1 comes first. Empty: at the end.",
    )
    model = forms.ChoiceField(
        choices=[(each.value, each.label) for each in Model],
        initial=Model.PER_UNIT.value,
        label="Price model",
        widget=UnfoldAdminSelectWidget,
    )
    price = forms.CharField(
        label="Price", max_length=TEXT_AT_MOST, widget=UnfoldAdminTextInputWidget, help_text=PRICE_TEXT_HELP
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            price = price_of(self.instance)
            self.initial["position"] = self.instance.position + 1
            self.initial["model"], self.initial["price"] = price.model.value, to_text(price)
            for name in self.priceable.dimensions:
                self.initial[field_of(name)] = self.instance.match.get(name, ANY)

    def clean(self) -> dict[str, Any]:
        """The text becomes a price, which `drafted` gives on."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "price" in cleaned and "model" in cleaned:
            try:
                cleaned["read"] = from_text(Model(cleaned["model"]), cleaned["price"], "price")
            except Unreadable as error:
                show_faults(self, (Fault(fault.code, fault.message, "price") for fault in error.faults))
        return cleaned

    def drafted(self) -> DraftRow:
        values = {name: self.cleaned_data[field_of(name)].strip() or ANY for name in self.priceable.dimensions}
        match = {name: value for name, value in values.items() if value != ANY}
        return DraftRow(match, self.cleaned_data["read"])


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
        max_length=VALUE_AT_MOST,
        widget=widget,
        help_text="A value exactly as events have it, or * for any. A missing value fits only *.",
    )


class RowFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """All rows of one charge in one currency, checked together; a fault is shown at its row."""

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
        """Where a row cannot be read, the others are still looked at, each by itself: they may change places."""
        kept, unread = self.kept(), any(self.errors)
        for fault in row_faults(kept[0].priceable, [form.drafted() for form in kept]) if kept else ():
            if unread and fault.code == "row_twice":
                continue
            _, index, *field = fault.field.split(".")
            place = None if field == ["match"] else "price"
            kept[int(index)].add_error(place, ValidationError(fault.message, code=fault.code))
