"""What an operator asks of the usage chart. All of it stands in the address, so that a page can be shared."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.http import QueryDict
from django.urls import reverse_lazy
from unfold.widgets import UnfoldAdminSelectWidget

from billing_site.event_ranges import YEARS, Offered, day_field
from billing_site.foundation import clock
from billing_site.foundation.empty_fields import NamedFields
from billing_site.foundation.periods import local_date
from customers.models import Customer
from customers.usage.api import FILTER
from customers.usage.periodic import recorded
from customers.usage.windows import Step
from meters.models import Meter, Series

DAYS_AT_FIRST = 30
VALUES_OFFERED = 200
SERIES_LOOKED_AT = 1_000
NAMES = ("customer", "meter", "first", "last", "window", "split")


class UsageForm(NamedFields, forms.Form):
    customer = forms.CharField(max_length=255, help_text="Reference, alias or name.")
    meter = forms.ChoiceField(widget=UnfoldAdminSelectWidget)
    first = day_field("From")
    last = day_field("To, included")
    window = forms.ChoiceField(
        label="Window", choices=[(step.value, step.value.title()) for step in Step], widget=UnfoldAdminSelectWidget
    )
    split = forms.ChoiceField(label="Split by", required=False, widget=UnfoldAdminSelectWidget)

    def __init__(self, data: Mapping[str, str], customer: Customer | None, meters: Sequence[Meter]) -> None:
        today = local_date(clock.now(), customer.timezone if customer else "UTC")
        at_first = {
            "first": (today - timedelta(days=DAYS_AT_FIRST - 1)).isoformat(),
            "last": today.isoformat(),
            "window": Step.DAY.value,
            "meter": _meter_at_first(customer, meters) if "meter" not in data else "",
        }
        given = {**at_first, **data}
        # Without a customer nothing is asked yet, and nothing is wrong.
        super().__init__(given if customer else None, initial=given, label_suffix="")
        self.fields["customer"].widget = Offered("customer", [])
        self.fields["customer"].widget.attrs |= {"data-suggest": reverse_lazy("usage_customers"), "autocomplete": "off"}
        self._choices("meter", [(meter.code, f"{meter.name} ({meter.unit})") for meter in meters])
        self.dimensions = next((recorded(meter) for meter in meters if meter.code == given["meter"]), [])
        self._choices("split", [("", "–"), *((name, name) for name in self.dimensions)])

    def _choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def clean(self) -> dict[str, Any]:
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        for name, day in (("first", first), ("last", last)):
            if day and day.year not in YEARS:
                self.add_error(name, f"Choose a day from {YEARS[0]} to {YEARS[-1]}.")
        if first and last and first > last:
            self.add_error("last", f"The range ends on {last}, before it begins on {first}.")
        return self.cleaned_data


def tidied(query: QueryDict) -> QueryDict:
    """The one address of what is asked: nothing empty, and `add[model]=x` become one more of `filter[model]`."""
    tidy = QueryDict(mutable=True)
    for name in NAMES:
        text = str(query.get(name, "")).strip()
        if text:
            tidy[name] = text
    for name, values in query.lists():
        if FILTER.fullmatch(name):
            tidy.setlistdefault(name, [])
            tidy.setlist(name, list(dict.fromkeys([*tidy.getlist(name), *values])))
        elif name.startswith("add["):
            added = [value for value in values if value]
            filtered = f"filter{name[3:]}"
            if added and FILTER.fullmatch(filtered):
                tidy.setlist(filtered, list(dict.fromkeys([*query.getlist(filtered), *added])))
    if query.get("format") == "csv":
        tidy["format"] = "csv"
    return tidy


def filters_of(query: QueryDict) -> dict[str, frozenset[str]]:
    """By dimension, the values of which usage is one; an empty one is a missing one."""
    named = {name: FILTER.fullmatch(name) for name in query}
    return {found[1]: frozenset(query.getlist(name)) for name, found in named.items() if found}


def values_seen(customer: Customer, meter: Meter) -> dict[str, list[str]]:
    """By dimension, values that the customer's usage has had: suggestions, not all of them. One query."""
    references = [alias.reference for alias in customer.aliases.all()]
    rows = Series.objects.filter(customer__in=references, meter=meter, generation=meter.generation)
    seen: dict[str, dict[str, None]] = {}
    for dimensions in rows.values_list("dimensions", flat=True)[:SERIES_LOOKED_AT]:
        for name, value in dimensions.items():
            seen.setdefault(name, {})[value] = None
    return {name: sorted(values)[:VALUES_OFFERED] for name, values in seen.items()}


def _meter_at_first(customer: Customer | None, meters: Sequence[Meter]) -> str:
    """One that the customer uses. One query."""
    if customer is not None:
        references = [alias.reference for alias in customer.aliases.all()]
        used = set(Series.objects.filter(customer__in=references).values_list("meter_id", flat=True).distinct())
        meters = [meter for meter in meters if meter.pk in used] or meters
    return meters[0].code if meters else ""
