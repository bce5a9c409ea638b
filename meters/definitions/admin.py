"""The operator's page of meters."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import TabularInline
from unfold.decorators import action, display

from billing_site.foundation.errors import Refused
from meters.backfills.admin import CountingAdmin, ask_a_worker, stored
from meters.definitions import metering
from meters.definitions.drafts import MeterDraft
from meters.definitions.forms import (
    BandForm,
    BandFormSet,
    DimensionFormSet,
    FilterForm,
    FilterFormSet,
    MeterForm,
    PartFormSet,
    ValueForm,
    ValueFormSet,
)
from meters.measuring import previews, registry
from meters.measuring.bands import band_names
from meters.models import Dimension, Meter, MeterBand, MeterFilter, MeterValue

COUNTED = (
    *("code", "event_type", "aggregation", "value_kind", "recurring", "label_dimension", "unit", "rounding"),
    "rounding_places",
)
# In the browser's words, of the form's fields; a frozen meter's page has none of them.
WEIGHTED = "typeof aggregation == 'undefined' || aggregation == 'weighted_sum'"
ROUNDED = "typeof rounding == 'undefined' || rounding != 'none'"
PARTS = {MeterValue: "values", Dimension: "dimensions", MeterBand: "bands", MeterFilter: "filters"}


class PartInline(TabularInline):
    """Part of what a meter counts: a frozen meter's stay as they are."""

    extra = 0
    hide_title = True

    def has_add_permission(self, request: HttpRequest, obj: Meter | None = None) -> bool:
        return bool(_open(obj) and super().has_add_permission(request, obj))

    def has_change_permission(self, request: HttpRequest, obj: Meter | None = None) -> bool:
        return bool(_open(obj) and super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Meter | None = None) -> bool:
        return bool(_open(obj) and super().has_delete_permission(request, obj))


class ValueInline(PartInline):
    model = MeterValue
    form = ValueForm
    formset = ValueFormSet
    fields = ("label", "property", "plus")
    verbose_name = "value"
    verbose_name_plural = "values: which properties are read (none: the event's own value; a count reads none)"


class DimensionInline(PartInline):
    model = Dimension
    formset = DimensionFormSet
    fields = ("name", "property", "status")
    verbose_name_plural = "dimensions: what the quantity is told apart by, and priced by"


class BandInline(PartInline):
    model = MeterBand
    form = BandForm
    formset = BandFormSet
    fields = ("name", "properties", "thresholds", "named")
    readonly_fields = ("named",)
    verbose_name_plural = "bands: dimensions that say how large an event is, for prices that step with its size"

    @display(description="Tells apart")
    def named(self, band: MeterBand) -> str:
        """The values that price rows name; of a new band they are there once it is saved."""
        return ", ".join(f"“{each}”" for each in band_names(band.thresholds)) if band.pk else "–"


class FilterInline(PartInline):
    model = MeterFilter
    form = FilterForm
    formset = FilterFormSet
    fields = ("property", "operator", "values")
    verbose_name = "filter"
    verbose_name_plural = "filters: an event counts when all of them hold"


class FrozenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open: can be changed"), ("frozen", "Frozen: a published version uses it")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(frozen_at__isnull=self.value() == "open") if self.value() else queryset


@admin.register(Meter)
class MeterAdmin(CountingAdmin):
    form = MeterForm
    conditional_fields = {"value_kind": WEIGHTED, "recurring": WEIGHTED, "rounding_places": ROUNDED}
    inlines = (ValueInline, DimensionInline, BandInline, FilterInline)
    empty_text = "A meter says which events are counted or added up, and what the quantity is told apart by."
    actions_detail = ("usage_chart",)
    list_display = ("name", "code", "event_type", "aggregation", "unit", "state", "shown_counting")
    list_filter = (FrozenFilter, "aggregation")
    search_fields = ("name", "code", "event_type")
    search_help_text = "Name, code or event type"
    change_form_before_template = "admin/meters/meter/_frozen.html"
    change_form_after_template = "admin/meters/meter/_preview.html"
    fieldsets = (
        (None, {"fields": ("name", "code", "description")}),
        (
            "What it counts",
            {"fields": ("event_type", "aggregation", "value_kind", "recurring", "label_dimension", "unit")},
        ),
        ("Rounding, before it is priced", {"fields": ("rounding", "rounding_places")}),
        ("Limit", {"fields": ("series_limit",)}),
    )

    def get_prepopulated_fields(self, request: HttpRequest, obj: Meter | None = None) -> dict[str, tuple[str, ...]]:
        return {"code": ("name",)} if obj is None else {}

    def get_readonly_fields(self, request: HttpRequest, obj: Meter | None = None) -> tuple[str, ...]:
        return () if _open(obj) else COUNTED

    def has_delete_permission(self, request: HttpRequest, obj: Meter | None = None) -> bool:
        """What is frozen, or has counted, stays."""
        stays = obj is not None and (not _open(obj) or obj.series.exists())
        return not stays and bool(super().has_delete_permission(request, obj))

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """What the verb refuses after the forms were found good is said: somebody was faster."""
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except Refused as refused:
            messages.error(request, str(refused))
            return HttpResponseRedirect(request.get_full_path())
        return answer

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Meter | None = None, **kwargs: Any
    ) -> HttpResponse:
        event_type = request.GET.get("event_type", "") if obj is None else obj.event_type
        context |= stored(event_type if _open(obj) else "")
        if obj is not None:
            context |= self.counting_of(request, obj)
            context["events_read"] = previews.latest(registry.definition(obj))
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    def save_model(self, request: HttpRequest, obj: Meter, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        """Nothing yet: the verb takes the meter and its parts at once, in `save_related`."""

    def save_related(self, request: HttpRequest, form: ModelForm, formsets: list[PartFormSet], change: bool) -> None:  # noqa: FBT001
        for formset in formsets:
            formset.save(commit=False)  # tells the admin's log what was added, changed and deleted
        if change:
            before = Meter.objects.get(pk=form.instance.pk)
            parts = self._parts(request, before, formsets)
            draft = replace(metering.draft_of(before), **form.cleaned_data, **parts)
            meter = metering.change(before, draft, request.user)
        else:
            draft = MeterDraft(**form.cleaned_data, **self._parts(request, None, formsets))
            meter = metering.create(draft, request.user)
        ask_a_worker(request, meter)
        form.instance.__dict__.update(meter.__dict__)

    def _parts(self, request: HttpRequest, obj: Meter | None, formsets: list[PartFormSet]) -> dict[str, Any]:
        """The parts that this person may change, as the forms have them."""
        inlines = self.get_inline_instances(request, obj)
        return {
            PARTS[inline.model]: formset.drafted()
            for formset, inline in zip(formsets, inlines, strict=True)
            if inline.has_add_permission(request, obj) or inline.has_change_permission(request, obj)
        }

    def delete_model(self, request: HttpRequest, obj: Meter) -> None:
        metering.delete(obj)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        except Refused as refused:
            messages.error(request, str(refused))
            return HttpResponseRedirect(reverse("admin:meters_meter_changelist"))
        return answer

    @action(description="Usage chart", permissions=["usage_chart"], icon="monitoring")
    def usage_chart(self, request: HttpRequest, object_id: str) -> HttpResponse:
        meter = Meter.objects.filter(pk=object_id).first()
        query = urlencode({"meter": meter.code} if meter else {})
        return HttpResponseRedirect(f"{reverse('usage_chart')}?{query}")

    def has_usage_chart_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(("customers.view_customer", "meters.view_bucket"))

    @display(description="State", label={"frozen": "info", "open": "success"})
    def state(self, meter: Meter) -> str:
        return "open" if _open(meter) else "frozen"


def _open(meter: Meter | None) -> bool:
    return meter is None or meter.frozen_at is None
