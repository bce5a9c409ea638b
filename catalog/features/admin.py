"""The operator's page of features."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display

from catalog.admin_pages import NamedPage
from catalog.features import featuring
from catalog.features.forms import FeatureForm, FiltersField
from catalog.features.models import Feature
from catalog.pricing.words import counted

Kind = Feature.Kind
FIELDS = {
    Kind.SWITCH: (),
    Kind.NUMBER: ("meter", "window", "filters", "several"),
    Kind.LIST: ("allowed",),
}
KIND_LABELS = {"Switch": "info", "Number": "success", "List": "warning"}
# What a number of each kind is for, on the page where one is chosen.
KINDS = (
    (Kind.SWITCH, "Switch", "toggle_on", "On or off: single sign-on, an audit log, priority support."),
    (Kind.NUMBER, "Number", "speed", "How much: 1,000,000 tokens a month, 60 calls an hour, 5 seats."),
    (Kind.LIST, "List", "checklist", "Which ones: the models, regions or exports that may be used."),
)


@admin.register(Feature)
class FeatureAdmin(NamedPage):
    form = FeatureForm
    empty_text = (
        "A feature is something that customers may do, or how much of it: plan versions give it, your program asks."
    )
    list_display = ("name", "code", "shown_kind", "counts", "given_by")
    list_filter = ("kind", "meter")
    list_select_related = ("meter",)
    search_fields = ("name", "code")
    search_help_text = "Name or code"
    change_form_before_template = "admin/catalog/feature/_about.html"

    class Media:
        css = {"all": ["catalog/features.css"]}
        js = ("catalog/feature_kinds.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Feature]:
        rows: QuerySet[Feature] = super().get_queryset(request)
        published = Q(values__version__status="published")
        return rows.annotate(version_count=Count("values", filter=published))

    @display(description="Kind", ordering="kind", label=KIND_LABELS)
    def shown_kind(self, feature: Feature) -> str:
        return feature.get_kind_display().partition(":")[0]

    @display(description="Counts")
    def counts(self, feature: Feature) -> str:
        if feature.kind == Kind.LIST:
            return counted(len(feature.allowed), "value")
        if feature.meter is None:
            return "–"
        window = feature.get_window_display().partition(",")[0].lower()
        filters = FiltersField().prepare_value(feature.filters).replace("\n", "; ")
        return f"{feature.meter} in each {window}" + (f", {filters}" if filters else "")

    @display(description="Published versions", ordering="version_count")
    def given_by(self, feature: Any) -> int:
        return int(feature.version_count)

    def get_fieldsets(self, request: HttpRequest, obj: Feature | None = None) -> Any:
        kind = _kind(request, obj)
        names = (
            ("kind", "name", "code", "description") if obj is None else ("name", "code", "shown_kind", "description")
        )
        titles = {Kind.NUMBER: "What the number counts", Kind.LIST: "What can be in the list"}
        fields = tuple(
            "shown_filters" if name == "filters" and obj and obj.frozen_at else name for name in FIELDS[kind]
        )
        return [(None, {"fields": names}), *([(titles[kind], {"fields": fields})] if fields else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: Feature | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        kept = ("code", "meter", "window", "shown_filters", "several") if obj.frozen_at else ()
        return ("shown_kind", *kept)

    @display(description="Only usage with")
    def shown_filters(self, feature: Feature) -> str:
        return FiltersField().prepare_value(feature.filters) or "all usage"

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().get_changeform_initial_data(request), "kind": _kind(request)}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Feature | None = None, **kwargs: Any
    ) -> HttpResponse:
        context |= {"kinds": KINDS, "kind": _kind(request, obj)}
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    def save_model(self, request: HttpRequest, obj: Feature, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        given = dict(form.cleaned_data)
        if change:
            saved = featuring.change_feature(obj, **{name: given[name] for name in form.changed_data})
        else:
            saved = featuring.create_feature(**given)
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: Feature) -> None:
        featuring.delete_feature(obj)


def _kind(request: HttpRequest, feature: Feature | None = None) -> Feature.Kind:
    """The feature's, or what is being added: the link that led here says it."""
    if feature is not None:
        return Kind(feature.kind)
    asked = request.POST.get("kind") or request.GET.get("kind")
    return Kind(asked) if asked in Kind.values else Kind.SWITCH
