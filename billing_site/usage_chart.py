"""The usage of a customer by window of time and dimension: a chart, and the numbers that it is drawn from."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

from billing_site.foundation.errors import Refused
from billing_site.foundation.money import grouped, plain
from billing_site.foundation.periods import in_zone
from billing_site.usage_form import UsageForm, filters_of, tidied, values_seen
from customers.models import Customer
from customers.subscriptions.finding import customers_like
from customers.usage import as_csv as usage_csv
from customers.usage.charting import Chart, Figure, Line, chart
from customers.usage.pages import Asked, ask
from customers.usage.periodic import beside_counting, chosen_meters
from customers.usage.windows import Step

TEMPLATE = "admin/usage_chart.html"
_LABELS = {Step.HOUR: "%Y-%m-%d %H:%M", Step.DAY: "%Y-%m-%d", Step.WEEK: "%Y-%m-%d", Step.MONTH: "%Y-%m"}


def may_see(request: HttpRequest) -> bool:
    return request.user.has_perms(("customers.view_customer", "meters.view_bucket"))


def page(request: HttpRequest) -> HttpResponseBase:
    """The form, and with a customer the chart and its table; `format=csv` sends all values, not the leading alone."""
    if not may_see(request):
        raise PermissionDenied
    query = tidied(request.GET)
    meters = chosen_meters(())
    text = query.get("customer", "")
    found = customers_like(text)
    customer = found[0] if len(found) == 1 else None
    if customer is not None and text not in [alias.reference for alias in customer.aliases.all()]:
        query["customer"] = customer.reference
    if sorted(query.lists()) != sorted(request.GET.lists()):
        return HttpResponseRedirect(f"?{query.urlencode()}" if query else request.path)
    form = UsageForm({name: str(query[name]) for name in query if name in UsageForm.base_fields}, customer, meters)
    context = {
        **admin.site.each_context(request),
        "title": "Usage",
        "form": form,
        "meters": meters,
        "asked": text,
        "candidates": [(each, _with(query, customer=each.reference)) for each in found] if customer is None else [],
    }
    if customer is None or not meters or not form.is_valid():
        return TemplateResponse(request, TEMPLATE, context)
    try:
        asked = _asked(form, customer, query)
        if query.get("format") == "csv":
            return _csv(asked)
        context["filters"] = _filters(form, customer, asked, query)
        drawn, context["counting"] = beside_counting(asked.meters, lambda told: chart(asked, told))
        context |= _shown(drawn, asked, query)
    except Refused as refused:
        context["refused"] = str(refused)
    context["csv"] = _with(query, format="csv")
    return TemplateResponse(request, TEMPLATE, context)


def customers(request: HttpRequest) -> HttpResponse:
    """For the field of the customer: whom the beginning of a reference, or a part of a name, may mean."""
    if not may_see(request):
        raise PermissionDenied
    found = customers_like(request.GET.get("q", "").strip())
    return JsonResponse({"options": [{"value": each.reference, "label": each.name} for each in found]})


def _asked(form: UsageForm, customer: Customer, query: QueryDict) -> Asked:
    given = form.cleaned_data
    return ask(
        [customer.reference],
        [given["meter"]],
        given["first"].isoformat(),
        (given["last"] + timedelta(days=1)).isoformat(),
        given["window"],
        [given["split"]] if given["split"] else [],
        filters_of(query),
    )


def _filters(form: UsageForm, customer: Customer, asked: Asked, query: QueryDict) -> list[dict[str, Any]]:
    """For each dimension: the values that are chosen, and those that may be."""
    offered = values_seen(customer, asked.meters[0])
    return [
        {"name": name, "chosen": query.getlist(f"filter[{name}]"), "offered": offered.get(name, [])}
        for name in form.dimensions
    ]


def _shown(drawn: Chart, asked: Asked, query: QueryDict) -> dict[str, Any]:
    lines = [(line, _name(line, query, drawn.split)) for line in drawn.lines]
    if drawn.others:
        lines.append((drawn.others, {"text": f"{drawn.other_values:,} others", "plain": True}))
    columns = [drawn.all, *(line for line, _ in lines)]
    labels = _labels(drawn, asked.step or Step.DAY)
    return {
        "chart": drawn,
        "total": _cell(drawn.all.total),
        "lines": [
            {**name, "total": _cell(line.total), "share": _share(line.total, drawn), "number": number}
            for number, (line, name) in enumerate(lines)
        ],
        "rows": [
            {"label": label, "start": start, "cells": [_cell(line.figures[number]) for line in columns]}
            for number, (label, start) in enumerate(labels)
        ],
        "kind": "stack" if drawn.stacks else "lines",
        "first": asked.start,
    }


def _name(line: Line, query: QueryDict, split: str) -> dict[str, Any]:
    """How a line is called, and the address that shows it alone."""
    alone = query.copy()
    alone.setlist(f"filter[{split}]", [line.value or ""])
    return {"text": line.value, "plain": not line.value, "alone": f"?{alone.urlencode()}"} | (
        {} if line.value else {"text": "missing" if line.value is None else "empty text"}
    )


def _cell(figure: Figure | None) -> dict[str, str] | None:
    if figure is None:
        return None
    return {"value": plain(figure.quantity), "text": grouped(figure.quantity), "events": f"{figure.events:,}"}


def _share(figure: Figure | None, drawn: Chart) -> str:
    """In percent of all, where quantities add up."""
    whole = drawn.all.total
    if not drawn.stacks or figure is None or whole is None or not whole.quantity:
        return ""
    return f"{100 * figure.quantity / whole.quantity:.1f} %"


def _labels(drawn: Chart, step: Step) -> list[tuple[str, str]]:
    """Of each window, by the customer's clocks; with their offset when two would be called the same."""
    starts = [in_zone(window.start, drawn.customer.timezone) for window in drawn.windows]
    labels = [format(start, _LABELS[step]) for start in starts]
    if len(set(labels)) < len(labels):
        labels = [format(start, f"{_LABELS[step]} %z") for start in starts]
    return list(zip(labels, (start.isoformat() for start in starts), strict=True))


def _csv(asked: Asked) -> StreamingHttpResponse:
    answer = StreamingHttpResponse(usage_csv.lines(asked), content_type="text/csv; charset=utf-8; header=present")
    answer["Content-Disposition"] = 'attachment; filename="usage.csv"'
    return answer


def _with(query: QueryDict, **changes: str) -> str:
    changed = query.copy()
    for name, value in changes.items():
        changed[name] = value
    return f"?{changed.urlencode()}"
