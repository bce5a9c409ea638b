"""The operator's explorer of events: what came in, found again among millions."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from billing_site.foundation.money import grouped
from meters.corrections.admin import CorrectableAdmin
from meters.corrections.correcting import correction_of
from meters.events.exact_json import to_text
from meters.events.values import as_text
from meters.explorer.exploring import (
    LOOKED_THROUGH,
    TYPES_AT_ONCE,
    Position,
    TooManyTypes,
    customers_like,
    find,
    types_like,
)
from meters.explorer.form import forms_of, search_of
from meters.explorer.scanning import TooMuch, in_time
from meters.measuring import previews, registry
from meters.models import Event

PROPERTIES_SHOWN = 6
TEXT_SHOWN = 60


@admin.register(Event)
class EventAdmin(CorrectableAdmin):
    fields = (
        "reference",
        "shown_customer",
        "type",
        "timestamp",
        "received_at",
        "shown_status",
        "shown_value",
        "subscription",
        "shown_properties",
        "became",
        "counted_as",
    )
    readonly_fields = fields

    def get_urls(self) -> list[URLPattern]:
        suggest = self.admin_site.admin_view(self.suggest)
        return [path("suggest/<str:what>/", suggest, name="meters_event_suggest"), *super().get_urls()]

    def suggest(self, request: HttpRequest, what: str) -> HttpResponse:
        """For the fields of the search: customers, or types (of one customer), that begin with `q`."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        text, customer = request.GET.get("q", "").strip(), request.GET.get("customer", "").strip()
        found = customers_like(text) if what == "customers" else types_like(text, customer)
        return JsonResponse({"options": [{"value": each, "label": each} for each in found]})

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The search, and a page of what it found. Everything that is asked stands in the address."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if "remove" in request.GET:
            return HttpResponseRedirect(_without(request))
        form, conditions = forms_of(request.GET)
        page = None
        if form.is_valid() & conditions.is_valid():
            try:
                with in_time():
                    page = find(search_of(form, conditions), _position(request.GET.get("after", "")))
            except TooMuch:
                form.add_error("customer", "This took too long and was ended: name the customer; that is quick.")
            except TooManyTypes:
                form.add_error("type", f"This customer has more than {TYPES_AT_ONCE} types of event: name one of them.")
        context = {
            **self.admin_site.each_context(request),
            "title": "Events",
            "opts": self.opts,
            "form": form,
            "conditions": conditions,
            "page": page,
            "rows": [_row(event) for event in page.events] if page else [],
            "asked": any(request.GET.values()),
            "looked_through": f"{LOOKED_THROUGH:,}",
            "newest": _address(request, None) if request.GET.get("after") else None,
            "older": _address(request, page.next) if page and page.next else None,
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/meters/event/explorer.html", context)

    @display(description="Customer")
    def shown_customer(self, event: Event) -> SafeString:
        """The reference as it came, and the way to whoever it names."""
        address = f"{reverse('admin:customers_customer_changelist')}?{urlencode({'q': event.customer})}"
        return format_html('<a class="tb-link" dir="auto" href="{}">{}</a>', address, event.customer)

    @display(description="Value")
    def shown_value(self, event: Event) -> str:
        return "–" if event.value is None else grouped(event.value)

    @display(description="Status", label={"succeeded": "success", "failed": "danger"})
    def shown_status(self, event: Event) -> str:
        return event.status

    @display(description="Properties")
    def shown_properties(self, event: Event) -> SafeString:
        return format_html(
            '<pre class="tb-code">{}</pre>', msgspec.json.format(to_text(event.properties).encode(), indent=2).decode()
        )

    @display(description="Counted as")
    def counted_as(self, event: Event) -> SafeString:
        if correction_of(event) is not None:
            return format_html('<p class="tb-quiet">{}</p>', "It does not count any more.")
        rows = [
            {
                "meter": meter,
                "address": reverse("admin:meters_meter_change", args=[meter.id]),
                "read": read,
                "reason": reason,
            }
            for meter in registry.current().by_type.get(event.type, ())
            for read, reason in [previews.reading(meter, event.value, event.status, event.properties)]
        ]
        return render_to_string("admin/meters/event/_counted.html", {"rows": rows})


def _row(event: Any) -> dict[str, Any]:
    return {
        "event": event,
        "value": "" if event.value is None else grouped(event.value),
        "properties": [(name, _brief(value)) for name, value in list(event.properties.items())[:PROPERTIES_SHOWN]],
        "more": max(0, len(event.properties) - PROPERTIES_SHOWN),
    }


def _brief(value: Any) -> str:
    text = as_text(value)
    if text is None:
        text = "none" if value is None else to_text({"": value})[4:-1]
    return text if len(text) <= TEXT_SHOWN else f"{text[:TEXT_SHOWN]}…"


def _without(request: HttpRequest) -> str:
    """The address without the condition that is to be removed, and from the newest on."""
    query = request.GET.copy()
    for name in (
        "after",
        "remove",
        *(f"p-{request.GET['remove']}-{part}" for part in ("property", "operator", "value")),
    ):
        query.pop(name, None)
    return f"?{query.urlencode()}"


def _address(request: HttpRequest, position: Position | None) -> str:
    query = request.GET.copy()
    query.pop("after", None)
    for name in [name for name, value in query.items() if not value]:
        del query[name]
    if position is not None:
        query["after"] = f"{position.timestamp.isoformat()}~{position.id}"
    return f"?{query.urlencode()}"


def _position(text: str) -> Position | None:
    """None for what is no position: then the newest are shown."""
    instant, _, number = text.partition("~")
    try:
        timestamp = datetime.fromisoformat(instant)
    except ValueError:
        return None
    sane = timestamp.utcoffset() == timedelta(0) and number.isascii() and number.isdigit() and len(number) < 19
    return Position(timestamp, int(number)) if sane else None
