"""The forms in which operators record own costs and names. What is wrong is said by the verbs' own rules."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import INPUT_CLASSES, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing_site.foundation.money import EXACT
from catalog.costs.models import MAX_MODEL, MAX_PROVIDER
from catalog.costs.own_costs import MAX_ABOVE, MAX_NOTE, Entry, faults
from catalog.forms import PriceField, WholeField, show_faults
from catalog.models import ProviderModel
from catalog.pricing.model_costs import Hours
from catalog.pricing.model_names import MAX_NAME
from catalog.pricing.token_types import TOKEN_TYPES

USUAL = ""
HOURS = [("", "–"), *((str(hour), f"{hour:02}:00") for hour in range(24))]
ENDS = "ends"


class FullHour(forms.DateTimeInput):
    """The browser's own picker; what it gives is read as UTC."""

    input_type = "datetime-local"
    supports_microseconds = False

    def __init__(self) -> None:
        super().__init__({"class": " ".join(INPUT_CLASSES), "step": "3600"}, "%Y-%m-%dT%H:%M")


class Text(forms.CharField):
    """Text as it was typed; what it may hold is said by the verb."""

    def __init__(self, label: str, **kwargs: Any) -> None:
        attributes = {"autocomplete": "off", "spellcheck": "false", **kwargs.pop("attributes", {})}
        super().__init__(label=label, widget=UnfoldAdminTextInputWidget(attributes), **kwargs)


class CostForm(forms.Form):
    provider = Text("Provider", max_length=MAX_PROVIDER, attributes={"list": "providers"}, help_text="Its id.")
    model = Text("Model", max_length=MAX_MODEL, help_text="The provider's own id; an unknown one is made.")
    token_type = forms.ChoiceField(
        label="Token type",
        choices=[(each.code, f"{each.name} ({each.code})") for each in TOKEN_TYPES.values()],
        widget=UnfoldAdminSelectWidget,
    )
    action = forms.ChoiceField(
        label="What happens",
        choices=[("costs", "It costs"), (ENDS, "No own cost any more: the package's holds")],
        widget=UnfoldAdminSelectWidget,
        required=False,
    )
    cost = PriceField(
        label="USD",
        required=False,
        max_digits=33,
        decimal_places=18,
        help_text="Kept exactly: up to 15 decimals for one unit.",
    )
    per = forms.TypedChoiceField(
        label="For",
        choices=[(USUAL, "as usual: 1,000,000 tokens …"), ("1", "1"), ("1000", "1,000"), ("1000000", "1,000,000")],
        required=False,
        coerce=int,
        empty_value=None,
        widget=UnfoldAdminSelectWidget,
    )
    above = WholeField(
        label="Above input tokens",
        min_value=0,
        max_value=MAX_ABOVE,
        initial=0,
        required=False,
        widget=UnfoldAdminTextInputWidget({"inputmode": "numeric"}),
        help_text="0: of every request that no higher threshold is for.",
    )
    effective_from = forms.DateTimeField(label="From (UTC)", widget=FullHour, help_text="Rounded to the full hour.")
    hours_start = forms.ChoiceField(label="Only from", choices=HOURS, required=False, widget=UnfoldAdminSelectWidget)
    hours_end = forms.ChoiceField(
        label="until", choices=HOURS, required=False, widget=UnfoldAdminSelectWidget, help_text="Hours of each UTC day."
    )
    note = Text("Note", required=False, max_length=MAX_NOTE, help_text="For whoever asks later.")
    entry: Entry

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        start, end = given.get("hours_start"), given.get("hours_end")
        if bool(start) != bool(end):
            self.add_error("hours_end", "Choose both hours, or neither for the whole day.")
        if given.get("action") != ENDS and given.get("cost") is None and "cost" not in self.errors:
            self.add_error("cost", "Write what it costs; 0 when it is free.")
        if not self.errors:
            hours = Hours(int(start), int(end)) if start and end else None
            cost = None if given["action"] == ENDS else self._unit_cost(given)
            self.entry = Entry(
                provider=given["provider"],
                model=given["model"],
                token_type=given["token_type"],
                cost=cost,
                above=given["above"] or 0,
                hours=hours,
                effective_from=given["effective_from"],
                note=given["note"],
            )
            show_faults(self, faults(self.entry))
            self.entry = self.entry if self.errors else replace(self.entry, effective_from=self.entry.hour)
        return given

    def _unit_cost(self, given: dict[str, Any]) -> Decimal:
        per = given["per"] or TOKEN_TYPES[given["token_type"]].per
        return EXACT.divide(given["cost"], Decimal(per))

    def providers(self) -> list[str]:
        """To choose from while typing."""
        found = ProviderModel.objects.order_by("provider").values_list("provider", flat=True)
        return list(found.distinct()[:200])


def initial(model: ProviderModel | None, hour: datetime, asked: Any) -> dict[str, Any]:
    """What stands in a new form: the model whose page one comes from, and the coming hour."""
    found: dict[str, Any] = {"effective_from": hour, "above": 0}
    if model is not None:
        found |= {"provider": model.provider, "model": model.model}
    if asked.get("token_type") in TOKEN_TYPES:
        found["token_type"] = asked["token_type"]
    return found


class WithdrawForm(forms.Form):
    note = Text("Why", required=False, max_length=MAX_NOTE, help_text="For whoever asks later; kept with your name.")


class AliasForm(forms.Form):
    alias = Text("Another name for it", max_length=MAX_NAME, help_text="As it stands on events; case does not matter.")
