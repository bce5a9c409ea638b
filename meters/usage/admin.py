"""The operator's pages of what events were counted as: read-only, and quick however much there is."""

import re
from datetime import UTC
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RangeDateTimeFilter, TextFilter
from unfold.decorators import display
from unfold.utils import parse_datetime_str

from billing_site.foundation.admin_base import BigTableAdmin
from billing_site.foundation.money import grouped
from meters.models import Meter, Series, UsageHour

# Of an hour: the id of its series, and when it was.
_ID = re.compile(r"([0-9]{1,18})-[0-9]{10}")


class UtcRangeFilter(RangeDateTimeFilter):
    """From and to an instant in UTC, both included; half of a bound is no bound."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for side, lookup in (("from", "gte"), ("to", "lte")):
            day, time = (self.used_parameters.get(f"{self.parameter_name}_{side}_{part}") for part in (0, 1))
            instant = parse_datetime_str(f"{day} {time}")
            if instant is not None:
                queryset = queryset.filter(**{f"{self.parameter_name}__{lookup}": instant.replace(tzinfo=UTC)})
        return queryset


class CustomerFilter(TextFilter):
    """By a customer's reference in full: every index begins with it."""

    title = "customer"
    parameter_name = "customer"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(customer=self.value()) if self.value() else queryset


class MeterFilter(admin.SimpleListFilter):
    title = "meter"
    parameter_name = "meter"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(meter.pk), meter.name) for meter in Meter.objects.order_by("name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(meter=int(value)) if value and value.isdigit() else queryset


class ExactSearch(BigTableAdmin):
    """A page whose search takes whole references, which an index finds."""

    search_fields = ("customer",)  # shows the search box
    sortable_by = ()  # no index sorts by another column than the id
    search_help_text = "The customer's reference, in full"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(self.found(term)) if term else queryset), False

    def found(self, term: str) -> Q:
        return Q(customer=term)


@admin.register(Series)
class SeriesAdmin(ExactSearch):
    empty_text = "As soon as a meter counts events, each customer and combination of dimension values has a series."
    list_display = ("customer", "meter", "shown_dimensions", "subscription")
    list_display_links = None
    list_filter = (CustomerFilter, MeterFilter)
    list_filter_submit = True
    list_select_related = ("meter",)
    ordering = ("-id",)

    @display(description="Dimensions")
    def shown_dimensions(self, series: Series) -> str:
        return _dimensions(series)


@admin.register(UsageHour)
class UsageHourAdmin(ExactSearch):
    """A page over a view: it has no index by its id, so an hour is looked up by what the id is made of."""

    empty_text = "As soon as a meter counts events, their quantity stands here by the hour."
    list_display = ("customer", "meter", "shown_dimensions", "hour", "shown_quantity", "shown_events")
    list_display_links = None
    list_filter = (CustomerFilter, MeterFilter, ("hour", UtcRangeFilter))
    list_filter_submit = True
    list_select_related = ("meter",)
    list_before_template = "admin/meters/usagehour/_about.html"
    ordering = ("-series_id", "-hour")
    fields = ("customer", "meter", "subscription", "shown_dimensions", "hour", "shown_quantity", "shown_events")

    def has_view_permission(self, request: HttpRequest, obj: UsageHour | None = None) -> bool:
        return bool(request.user.has_perm("meters.view_bucket"))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> UsageHour | None:
        wanted = _ID.fullmatch(object_id)
        if wanted is None:
            return None
        found: UsageHour | None = self.get_queryset(request).filter(series_id=int(wanted[1]), id=object_id).first()
        return found

    @display(description="Dimensions")
    def shown_dimensions(self, hour: UsageHour) -> str:
        return _dimensions(hour)

    @display(description="Quantity")
    def shown_quantity(self, hour: UsageHour) -> str:
        return "–" if hour.quantity is None else grouped(hour.quantity)

    @display(description="Values")
    def shown_events(self, hour: UsageHour) -> str:
        return f"{hour.events:,}"


def _dimensions(counted: Series | UsageHour) -> str:
    return ", ".join(f"{name} = {value}" for name, value in sorted(counted.dimensions.items())) or "–"
