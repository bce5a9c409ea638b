"""Which events a page looks at: a customer or all, a type or all, and days. Shared by pages that read raw events."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from billing_site.foundation import clock
from billing_site.foundation.empty_fields import NamedFields
from billing_site.foundation.periods import Period, local_date, midnight
from customers.models import Alias
from meters.explorer.scanning import Part
from meters.models import Stream

TYPES_OFFERED = 200
DAYS_AT_MOST = 366
YEARS = range(1970, 2200)


@dataclass(frozen=True)
class Chosen:
    """The events, and the timezone whose days bound them: the customer's, or UTC."""

    part: Part
    timezone: str


class Offered(UnfoldAdminTextInputWidget):
    """A text field that suggests `offered`; anything else may be typed. The page writes the list."""

    def __init__(self, name: str, offered: list[str]) -> None:
        self.name, self.offered = f"offered_{name}", offered
        super().__init__(attrs={"list": self.name})


def day_field(label: str) -> forms.DateField:
    widget = UnfoldAdminTextInputWidget(attrs={"type": "date"})
    return forms.DateField(label=label, widget=widget, input_formats=["%Y-%m-%d"])


class RangeForm(NamedFields, forms.Form):
    """Bound: what was asked for. Unbound: the last 7 days of everything."""

    customer = forms.CharField(
        required=False,
        max_length=255,
        widget=UnfoldAdminTextInputWidget,
        help_text="Reference or alias. Empty: all customers.",
    )
    type = forms.CharField(required=False, max_length=255, help_text="Event type. Empty: all types.")
    first = day_field("From")
    last = day_field("To, included")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        types = Stream.objects.order_by("type").values_list("type", flat=True).distinct()
        self.fields["type"].widget = Offered("type", list(types[:TYPES_OFFERED]))
        today = local_date(clock.now(), "UTC")
        self.initial = {"first": today - timedelta(days=6), "last": today, **self.initial}

    def clean_customer(self) -> str:
        reference = str(self.cleaned_data["customer"])
        if not reference or Alias.objects.filter(reference=reference).exists():
            return reference
        if Stream.objects.filter(customer=reference).exists():
            return reference
        raise ValidationError(f"No customer and no event has the reference “{reference}”.", "customer_unknown")

    def clean(self) -> dict[str, Any]:
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        for name, day in (("first", first), ("last", last)):
            if day and day.year not in YEARS:
                self.add_error(name, f"Choose a day from {YEARS[0]} to {YEARS[-1]}.")
        if first and last and first > last:
            self.add_error("last", f"The range ends on {last}, before it begins on {first}.")
        elif first and last and (last - first).days >= DAYS_AT_MOST:
            self.add_error("last", f"The range has {(last - first).days + 1} days; choose at most {DAYS_AT_MOST}.")
        return self.cleaned_data

    def chosen(self) -> Chosen:
        """Once the form is valid."""
        given = self.cleaned_data
        references, timezone = _references(given["customer"])
        start = midnight(given["first"], timezone)
        period = Period(start, midnight(given["last"] + timedelta(days=1), timezone))
        return Chosen(Part(period, references, (given["type"],) if given["type"] else None), timezone)


def _references(reference: str) -> tuple[tuple[str, ...] | None, str]:
    """All references of the customer that has this one, and its timezone; none: nobody's own."""
    if not reference:
        return None, "UTC"
    alias = Alias.objects.filter(reference=reference).select_related("customer").first()
    if alias is None:
        return (reference,), "UTC"
    return tuple(alias.customer.aliases.values_list("reference", flat=True)), alias.customer.timezone
