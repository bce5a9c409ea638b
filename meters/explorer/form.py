"""What an operator asks the event explorer."""

from typing import Any

from django import forms
from django.forms import BaseFormSet, formset_factory
from django.urls import reverse
from unfold.widgets import INPUT_CLASSES, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from meters.explorer.exploring import Condition, Operator, Search, types_like
from meters.models import Event

SPARE_CONDITIONS = 1
MAX_CONDITIONS = 5


class Moment(forms.DateTimeInput):
    """The browser's own picker; what it gives is read as UTC."""

    input_type = "datetime-local"
    supports_microseconds = False

    def __init__(self) -> None:
        super().__init__({"class": " ".join(INPUT_CLASSES), "step": "1"}, "%Y-%m-%dT%H:%M:%S")


class Reference(forms.CharField):
    """Text in full, as it stands on events; blanks around it were pasted along."""

    widget = UnfoldAdminTextInputWidget

    def __init__(self, label: str, **kwargs: Any) -> None:
        super().__init__(label=label, required=False, max_length=255, **kwargs)


class SearchForm(forms.Form):
    reference = Reference("Reference")
    customer = Reference("Customer's reference")
    type = Reference("Type")
    start = forms.DateTimeField(label="From (UTC)", required=False, widget=Moment)
    end = forms.DateTimeField(label="Until (UTC), not included", required=False, widget=Moment)
    status = forms.ChoiceField(
        label="Status", required=False, choices=[("", "Any"), *Event.Status.choices], widget=UnfoldAdminSelectWidget
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data, label_suffix="")
        for name, listed in (("customer", "customers"), ("type", "types")):
            address = reverse("admin:meters_event_suggest", args=[listed])
            self.fields[name].widget.attrs |= {"list": listed, "data-suggest": address}
        self.fields["type"].widget.attrs["data-with"] = "customer"
        for name in ("reference", "customer", "type"):
            self.fields[name].widget.attrs |= {"autocomplete": "off", "spellcheck": "false"}

    def types(self) -> list[str]:
        """Some of what was sent, by the customer if there is one: suggestions for who has no script."""
        return types_like("", self.data.get("customer", "").strip())

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        start, end = given.get("start"), given.get("end")
        if start and end and start >= end:
            self.add_error("end", f"{end:%Y-%m-%d %H:%M:%S} is not after {start:%Y-%m-%d %H:%M:%S}.")
        if (start or end) and not (given.get("customer") or given.get("reference")):
            self.add_error("customer", "Name a customer, or an event: times are looked up for one customer at once.")
        return given


class ConditionForm(forms.Form):
    property = forms.CharField(
        label="Property", required=False, max_length=200, widget=UnfoldAdminTextInputWidget({"placeholder": "model"})
    )
    operator = forms.ChoiceField(
        label="",
        choices=[
            (Operator.IS, "is"),
            (Operator.IS_NOT, "is not"),
            (Operator.PRESENT, "is there"),
            (Operator.ABSENT, "is missing"),
        ],
        widget=UnfoldAdminSelectWidget,
    )
    value = forms.CharField(
        label="Value", required=False, strip=False, max_length=1_000, widget=UnfoldAdminTextInputWidget
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("value") and not given.get("property"):
            self.add_error("property", f"Which property is “{given['value'][:50]}”?")
        return given

    def condition(self) -> Condition | None:
        given = self.cleaned_data
        return Condition(given["property"], Operator(given["operator"]), given["value"]) if given["property"] else None


_Conditions: Any = formset_factory(ConditionForm, extra=0, max_num=MAX_CONDITIONS)


def forms_of(query: Any) -> tuple[SearchForm, "BaseFormSet[ConditionForm]"]:
    """The forms as the address has them: its conditions are as many as it names, and one more to fill in."""
    named = [(query.get(f"p-{n}-property", ""), n) for n in range(MAX_CONDITIONS)]
    filled = [n for name, n in named if name or query.get(f"p-{n}-value")]
    rows = min(len(filled) + SPARE_CONDITIONS, MAX_CONDITIONS)
    given = {"p-TOTAL_FORMS": str(rows), "p-INITIAL_FORMS": "0"}
    for row in range(rows):
        for field, default in (("property", ""), ("operator", Operator.IS.value), ("value", "")):
            given[f"p-{row}-{field}"] = query.get(f"p-{filled[row]}-{field}", default) if row < len(filled) else default
    return SearchForm(query), _Conditions(given, prefix="p")


def search_of(form: SearchForm, conditions: "BaseFormSet[ConditionForm]") -> Search:
    """What valid forms ask for."""
    given = form.cleaned_data
    wanted = [each.condition() for each in conditions]
    return Search(**given, conditions=tuple(each for each in wanted if each is not None))
