"""How calls went, by customer and type: error rate, and what failed calls used. Failed calls are never billed."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from billing_site.event_ranges import RangeForm
from billing_site.foundation.money import grouped, plain
from billing_site.foundation.spreadsheets import csv_answer, harmless
from meters.extraction import Definition
from meters.models import Meter
from meters.outcomes import Outcomes, error_rate, outcomes
from meters.scanning import TooMuch

SHOWN = 200


def page(request: HttpRequest) -> HttpResponse:
    """The form, and what it asks for; at first the last 7 days of everything. `format=csv` sends all rows."""
    if not request.user.has_perm("meters.view_event"):
        raise PermissionDenied
    form = RangeForm(request.GET) if "first" in request.GET else RangeForm()
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Failed calls", "form": form}
    if form.is_bound and form.is_valid():
        chosen = form.chosen()
        try:
            rows, meters = outcomes(chosen.part)
            if request.GET.get("format") == "csv":
                return _csv(rows, meters)
            query = request.GET.copy()
            query["format"] = "csv"
            context |= {"timezone": chosen.timezone, "csv": query.urlencode(), **_shown(rows, meters)}
        except TooMuch as error:
            context["refused"] = str(error)
    return TemplateResponse(request, "admin/calls.html", context)


def _shown(rows: list[Outcomes], meters: list[Definition]) -> dict[str, Any]:
    units = {row.pk: f"{row.name} ({row.unit})" for row in Meter.objects.filter(pk__in=[each.id for each in meters])}
    succeeded, failed = sum(row.succeeded for row in rows), sum(row.failed for row in rows)
    return {
        "counted": True,
        "columns": [units[each.id] for each in meters],
        "rows": [_row(row, meters) for row in rows[:SHOWN]],
        "left": max(0, len(rows) - SHOWN),
        "succeeded": f"{succeeded:,}",
        "failed": f"{failed:,}",
        "rate": f"{error_rate(succeeded, failed)} %" if rows else "–",
    }


def _row(row: Outcomes, meters: list[Definition]) -> dict[str, Any]:
    used = [row.failed_quantities.get(each.id) for each in meters]
    return {
        "customer": row.customer,
        "type": row.type,
        "succeeded": f"{row.succeeded:,}",
        "failed": f"{row.failed:,}",
        "rate": f"{row.error_rate} %",
        "quantities": ["–" if quantity is None else grouped(quantity) for quantity in used],
    }


def _csv(rows: list[Outcomes], meters: list[Definition]) -> HttpResponse:
    """A line for each customer and type; in a column for each meter, what it would have read of failed calls."""
    names = ("customer", "type", "succeeded", "failed", "error_rate_percent")
    lines: list[Sequence[object]] = [(*names, *(f"failed.{each.code}" for each in meters))]
    for row in rows:
        used = [row.failed_quantities.get(each.id) for each in meters]
        quantities = ["" if quantity is None else plain(quantity) for quantity in used]
        start = (harmless(row.customer), harmless(row.type), row.succeeded, row.failed, row.error_rate)
        lines.append((*start, *quantities))
    return csv_answer(lines, "calls.csv")
