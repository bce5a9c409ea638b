"""The operator's pages of what events were counted as: read-only, and quick however much there is."""

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
from meters.models import Bucket, Meter, Series


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
    path = "meter"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(meter.pk), meter.name) for meter in Meter.objects.order_by("name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(**{self.path: int(value)}) if value and value.isdigit() else queryset


class BucketMeterFilter(MeterFilter):
    path = "series__meter"


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


@admin.register(Bucket)
class BucketAdmin(ExactSearch):
    empty_text = "As soon as a meter counts events, their quantity stands here by the hour."
    list_display = ("customer", "meter", "shown_dimensions", "hour", "shown_quantity", "shown_events")
    list_display_links = None
    list_filter = (CustomerFilter, BucketMeterFilter, ("hour", UtcRangeFilter))
    list_filter_submit = True
    list_select_related = ("series__meter",)
    list_before_template = "admin/meters/bucket/_about.html"
    ordering = ("-id",)

    @display(description="Meter")
    def meter(self, bucket: Bucket) -> str:
        return str(bucket.series.meter)

    @display(description="Dimensions")
    def shown_dimensions(self, bucket: Bucket) -> str:
        return _dimensions(bucket.series)

    @display(description="Quantity")
    def shown_quantity(self, bucket: Bucket) -> str:
        return "–" if bucket.quantity is None else grouped(bucket.quantity)

    @display(description="Values")
    def shown_events(self, bucket: Bucket) -> str:
        return f"{bucket.events:,}"


def _dimensions(series: Series) -> str:
    return ", ".join(f"{name} = {value}" for name, value in sorted(series.dimensions.items())) or "–"
