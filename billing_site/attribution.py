"""Whose tag used how much: usage by any property that events carry, as a page and as CSV."""

from collections.abc import Iterator, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from billing_site.event_ranges import Chosen, Offered, RangeForm
from billing_site.foundation.money import grouped, plain
from billing_site.foundation.spreadsheets import csv_answer, harmless
from meters.explorer.attribution import Attribution, Tagged, attribute
from meters.explorer.scanning import TooMuch
from meters.models import Event, Meter

SHOWN = 200
NAMES_FROM = 500
NAMES_OFFERED = 50


class AttributionForm(RangeForm):
    property = forms.CharField(
        max_length=255, help_text="For example team or feature; “a.b” reads b inside a. It need not be a dimension."
    )
    field_order = ("property", "customer", "type", "first", "last")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["property"].widget = Offered("property", _names())


def page(request: HttpRequest) -> HttpResponse:
    """The form, and with a property what it asks for; `format=csv` sends all of it, a row for each value and meter."""
    if not request.user.has_perm("meters.view_event"):
        raise PermissionDenied
    form = AttributionForm(request.GET if "property" in request.GET else None)
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Attribution", "form": form}
    if form.is_valid():
        chosen = form.chosen()
        try:
            found = attribute(chosen.part, form.cleaned_data["property"])
        except TooMuch as error:
            return TemplateResponse(request, "admin/attribution.html", {**context, "refused": str(error)})
        if request.GET.get("format") == "csv":
            return _csv(found, form.cleaned_data["property"])
        context |= _shown(request, found, chosen)
    return TemplateResponse(request, "admin/attribution.html", context)


def _names() -> list[str]:
    """The properties of the newest events, for the field to suggest."""
    names: set[str] = set()
    for properties in Event.objects.order_by("-id").values_list("properties", flat=True)[:NAMES_FROM]:
        names.update(properties)
    return sorted(names)[:NAMES_OFFERED]


def _shown(request: HttpRequest, found: Attribution, chosen: Chosen) -> dict[str, Any]:
    units = _units(found)
    query = request.GET.copy()
    query["format"] = "csv"
    return {
        "found": found,
        "timezone": chosen.timezone,
        "columns": [f"{units[each.id][0]} ({units[each.id][1]})" for each in found.meters],
        "rows": [_row(row, found) for row in found.rows[:SHOWN]],
        "total": _row(found.total, found),
        "left": len(found.rows) - SHOWN if len(found.rows) > SHOWN else 0,
        "left_out": ", ".join(units[each.id][0] for each in found.left_out),
        "csv": query.urlencode(),
    }


def _row(row: Tagged, found: Attribution) -> dict[str, Any]:
    quantities = [row.quantities.get(each.id) for each in found.meters]
    return {
        "value": row.value,
        "events": f"{row.events:,}",
        "quantities": ["–" if quantity is None else grouped(quantity) for quantity in quantities],
    }


def _units(found: Attribution) -> dict[int, tuple[str, str]]:
    ids = [each.id for each in (*found.meters, *found.left_out)]
    return {key: (name, unit) for key, name, unit in Meter.objects.filter(pk__in=ids).values_list("pk", "name", "unit")}


def _csv(found: Attribution, name: str) -> HttpResponse:
    rows: list[Sequence[object]] = [("property", "value", "has_value", "events", "meter", "unit", "quantity")]
    units = _units(found)
    for row in found.rows:
        start = (harmless(name), harmless(row.value or ""), str(row.value is not None).lower(), row.events)
        rows += [(*start, *cells) for cells in _quantities(row, found, units)]
    return csv_answer(rows, "attribution.csv")


def _quantities(row: Tagged, found: Attribution, units: dict[int, tuple[str, str]]) -> Iterator[Sequence[str]]:
    """One line for each meter that read something; one without a meter when none did."""
    read = [each for each in found.meters if each.id in row.quantities]
    for each in read:
        yield each.code, harmless(units[each.id][1]), plain(row.quantities[each.id])
    if not read:
        yield "", "", ""
