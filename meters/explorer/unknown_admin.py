"""The operator's page of event types that no meter reads."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from unfold.decorators import action, display

from billing_site.foundation.admin_base import ReadOnlyAdmin
from meters.explorer.unknown import seen, unknown_types
from meters.models import UnknownType


class SeenChangeList(ChangeList):
    """What was seen is read for the rows of the page alone."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        found = seen([row.type for row in self.result_list])
        for row in self.result_list:
            row.seen = found[row.type]


@admin.register(UnknownType)
class UnknownTypeAdmin(ReadOnlyAdmin):
    list_display = ("type", "customers", "events", "first_seen_at", "last_event_at")
    list_display_links = None
    empty_text = "Events of a type that no meter reads are listed here. So far there are none."
    search_fields = ("type",)
    search_help_text = "Type, as it stands on the events"
    show_full_result_count = False
    list_per_page = 50
    list_before_template = "admin/meters/unknowntype/_about.html"
    actions_row = ("make_meter",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[UnknownType]:
        return unknown_types()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SeenChangeList

    def has_make_meter_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("meters.add_meter"))  # type: ignore[union-attr]

    @display(description="Customers")
    def customers(self, row: UnknownType) -> str:
        return f"{row.seen.customers:,}"

    @display(description="Events")
    def events(self, row: UnknownType) -> str:
        return row.seen.events_text()

    @display(description="Last event")
    def last_event_at(self, row: UnknownType) -> Any:
        return row.seen.last_at

    @action(description="Make a meter of it", permissions=["make_meter"])
    def make_meter(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = get_object_or_404(UnknownType, pk=object_id)
        return HttpResponseRedirect(f"{reverse('admin:meters_meter_add')}?{urlencode({'event_type': row.type})}")
