"""How calls went, by customer and type: error rate, and what failed calls used. Failed calls are never billed."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from billing_site.event_ranges import RangeForm
from billing_site.failed_costs import Spent, Stream, failed_costs
from billing_site.foundation.money import grouped, plain, round_to
from billing_site.foundation.spreadsheets import csv_answer, harmless
from catalog.pricing.combining import add_up
from meters.explorer.outcomes import Outcomes, error_rate, outcomes
from meters.explorer.scanning import TooMuch
from meters.measuring.extraction import Definition
from meters.models import Meter

SHOWN = 200
SHOWN_PLACES = 4


def page(request: HttpRequest) -> HttpResponse:
    """The form, and what it asks for; at first the last 7 days of everything. `format=csv` sends all rows."""
    if not request.user.has_perm("meters.view_event"):
        raise PermissionDenied
    form = RangeForm(request.GET) if "first" in request.GET else RangeForm()
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Failed calls", "form": form}
    if form.is_bound and form.is_valid():
        chosen = form.chosen()
        try:
            costs = failed_costs()
            rows, meters = outcomes(chosen.part, costs.note)
            spent = costs.spent()
            if request.GET.get("format") == "csv":
                return _csv(rows, meters, spent)
            query = request.GET.copy()
            query["format"] = "csv"
            context |= {"timezone": chosen.timezone, "csv": query.urlencode(), **_shown(rows, meters, spent)}
        except TooMuch as error:
            context["refused"] = str(error)
    return TemplateResponse(request, "admin/calls.html", context)


def _shown(rows: list[Outcomes], meters: list[Definition], spent: Mapping[Stream, Spent]) -> dict[str, Any]:
    units = {row.pk: f"{row.name} ({row.unit})" for row in Meter.objects.filter(pk__in=[each.id for each in meters])}
    succeeded, failed = sum(row.succeeded for row in rows), sum(row.failed for row in rows)
    return {
        "counted": True,
        "columns": [units[each.id] for each in meters],
        "rows": [_row(row, meters, spent) for row in rows[:SHOWN]],
        "costs": bool(spent),
        "cost": _usd(add_up(each.amount for each in spent.values())),
        "unknown": any(each.unknown for each in spent.values()),
        "left": max(0, len(rows) - SHOWN),
        "succeeded": f"{succeeded:,}",
        "failed": f"{failed:,}",
        "rate": f"{error_rate(succeeded, failed)} %" if rows else "–",
    }


def _usd(amount: Decimal) -> str:
    """To a hundredth of a cent: one failed call costs little."""
    return f"{round_to(amount, SHOWN_PLACES):,f}"


def _row(row: Outcomes, meters: list[Definition], spent: Mapping[Stream, Spent]) -> dict[str, Any]:
    cost = spent.get((row.customer, row.type))
    used = [row.failed_quantities.get(each.id) for each in meters]
    return {
        "customer": row.customer,
        "type": row.type,
        "succeeded": f"{row.succeeded:,}",
        "failed": f"{row.failed:,}",
        "rate": f"{row.error_rate} %",
        "cost": "–" if cost is None else _usd(cost.amount),
        "unknown": grouped(cost.unknown) if cost and cost.unknown else "",
        "quantities": ["–" if quantity is None else grouped(quantity) for quantity in used],
    }


def _csv(rows: list[Outcomes], meters: list[Definition], spent: Mapping[Stream, Spent]) -> HttpResponse:
    """A line for each customer and type; in a column for each meter, what it would have read of failed calls."""
    names = (
        "customer",
        "type",
        "succeeded",
        "failed",
        "error_rate_percent",
        "failed_cost_usd",
        "failed_of_unknown_cost",
    )
    lines: list[Sequence[object]] = [(*names, *(f"failed.{each.code}" for each in meters))]
    for row in rows:
        used = [row.failed_quantities.get(each.id) for each in meters]
        quantities = ["" if quantity is None else plain(quantity) for quantity in used]
        cost = spent.get((row.customer, row.type))
        told = ("", "") if cost is None else (plain(cost.amount), plain(cost.unknown))
        start = (harmless(row.customer), harmless(row.type), row.succeeded, row.failed, row.error_rate, *told)
        lines.append((*start, *quantities))
    return csv_answer(lines, "calls.csv")
