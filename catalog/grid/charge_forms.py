"""The forms in which operators write the terms of a charge. What is wrong is said by the checks of the verbs."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget

from catalog.charges.checks import SUMS
from catalog.charges.priceable import Priceable, priceable
from catalog.checks import versions as checks
from catalog.forms import PRICE_HELP, PriceField, show_faults
from catalog.models import Charge, PlanVersion
from catalog.pricing.commitment import bound_faults
from catalog.pricing.price import number_faults

Kind = Charge.Kind
# Which sums a charge has, in each currency.
SUMS_OF: Mapping[str, tuple[str, ...]] = {Kind.FLAT: ("amount",), Kind.USAGE: ("minimum", "cap")}
COST = ("cost_model", "cost_token_type", "cost_context")


class ChargeForm(forms.ModelForm):
    """The terms of a charge, of which a page shows those of its kind. In each further currency, by `charge_form`."""

    class Meta:
        model = Charge
        fields = (
            *("version", "kind", "name", "code", "product", "meter", "amount", "timing", "unmatched", "position"),
            *("included", "minimum", "cap", *COST),
        )
        widgets = {"kind": forms.HiddenInput}
        field_classes = dict.fromkeys(("amount", "included", "minimum", "cap"), PriceField)
        labels = {"unmatched": "Usage that no row prices", "position": "Place on the invoice"}
        help_texts = {
            "unmatched": "What happens to it. When a row of only * is there, nothing is left without a price.",
            "meter": "Whose usage is priced. It cannot be changed afterwards: add another charge instead.",
            "code": "A short name that stays the same from version to version, for example tokens.",
            "product": "What is sold.",
            "position": "0 comes first.",
            "amount": "Of one full period, or once; in the version's currency.",
            "minimum": "In the version's currency, for a full period: when it comes to less, a line fills it up.",
            "cap": "In the version's currency, for a full period: what is above it is credited. Empty: no limit.",
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
        said = {name: cleaned.get(name) for name in ("amount", "included", "minimum", "cap")}
        said |= {name: cleaned[name] for name in COST if cleaned.get(name)}
        charge = Charge(meter=cleaned.get("meter") or self.instance.meter, **said)
        show_faults(self, checks.term_faults(charge, version.currency))
        for currency, amounts in self.amounts().items():
            self._check_amounts(currency, amounts)
        return cleaned

    def amounts(self) -> dict[str, dict[str, Decimal | None]]:
        """The sums in further currencies, as far as they could be read."""
        found: dict[str, dict[str, Decimal | None]] = {}
        for field in self.fields:
            name, _, currency = field.partition("_in_")
            if currency and name in SUMS and field in self.cleaned_data:
                found.setdefault(currency, {})[name] = self.cleaned_data[field]
        return found

    def _check_amounts(self, currency: str, amounts: Mapping[str, Decimal | None]) -> None:
        for name, amount in amounts.items():
            if amount is not None:
                faults = checks.fee_faults(amount, currency, name)
                show_faults(self, (replace(fault, field=f"{name}_in_{currency}") for fault in faults))
        show_faults(self, bound_faults(amounts.get("minimum"), amounts.get("cap"), f"minimum_in_{currency}"))


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


def charge_form(charge: Charge) -> type[ChargeForm]:
    """The form of this charge: with its sums in each further currency, and the meter's dimensions to choose of."""
    fields: dict[str, forms.Field] = {}
    listed = {each.price_list_id: each for each in charge.amounts.all()}
    for price_list in charge.version.price_lists.all():
        for name in SUMS_OF[charge.kind]:
            fields[f"{name}_in_{price_list.currency}"] = PriceField(
                required=False,
                min_value=Decimal(0),
                label=f"{SUMS[name].capitalize()} in {price_list.currency}",
                initial=getattr(listed.get(price_list.pk), name, None),
                help_text=f"What customers pay who are billed in {price_list.currency}.",
            )
    if charge.meter is not None:
        fields |= _cost_fields(charge, priceable(charge.meter))
    return type("ChargeForm", (ChargeForm,), fields)


def _cost_fields(charge: Charge, known: Priceable) -> dict[str, forms.Field]:
    bands = [name for name in known.dimensions if name in known.bands]
    offered = {"cost_model": known.dimensions, "cost_token_type": known.dimensions, "cost_context": bands}
    return {name: _choice(charge, name, names) for name, names in offered.items()}


def _choice(charge: Charge, name: str, names: Iterable[str]) -> forms.Field:
    """One of the meter's names, or none; one that the meter has no more stays to be seen."""
    stored = getattr(charge, name)
    model_field: Any = Charge._meta.get_field(name)
    return forms.ChoiceField(
        required=False,
        label=str(model_field.verbose_name).capitalize(),
        help_text=str(model_field.help_text),
        choices=[("", "–"), *((each, each) for each in dict.fromkeys([*names, *([stored] if stored else [])]))],
        widget=UnfoldAdminSelectWidget,
    )
