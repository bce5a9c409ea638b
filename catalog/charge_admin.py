"""The operator's page of charges: a flat fee, or the usage of a meter with its matrix of prices."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import TabularInline

from catalog import publishing
from catalog.admin_pages import CataloguePage, charge_text, is_draft
from catalog.cell_prices import price_of
from catalog.forms import ChargeForm, NewUsageChargeForm, RowFormSet, field_of, row_form
from catalog.models import Cell, Charge
from catalog.priceable import priceable
from catalog.pricing.words import in_words, per_many

Kind = Charge.Kind
TERMS = {
    Kind.FLAT: ("name", "code", "product", "amount", "timing"),
    Kind.USAGE: ("name", "code", "product", "meter", "unmatched"),
}
# What a charge keeps once it is made: other usage, or a fee instead of it, is another charge.
KEPT = ("version", "kind", "meter")


class RowInline(TabularInline):  # type: ignore[misc]
    """The matrix: a row for each combination that has a price of its own, a column for each dimension."""

    model = Cell
    formset = RowFormSet
    extra = 2
    hide_title = True
    verbose_name = "price"
    verbose_name_plural = "prices: for each use, the row that names most of its values exactly"
    template_before = "admin/catalog/charge/_values.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cell]:
        rows: QuerySet[Cell] = super().get_queryset(request)
        return rows.filter(price_list=None)

    def get_formset(self, request: HttpRequest, obj: Charge | None = None, **kwargs: Any) -> Any:
        assert obj is not None
        if self.has_change_permission(request, obj):
            kwargs["form"] = row_form(obj)
        kwargs["fields"] = list(kwargs["form"].base_fields) if "form" in kwargs else []
        return super().get_formset(request, obj, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Charge | None = None) -> list[Any]:
        dimensions = _dimensions(obj)
        if not self.has_change_permission(request, obj):
            return [*(_value_of(name) for name in dimensions), "price", "rate"]
        return [*(field_of(name) for name in dimensions), "unit_price", "rate", "position"]

    def get_readonly_fields(self, request: HttpRequest, obj: Charge | None = None) -> list[Any]:
        return ["rate"] if self.has_change_permission(request, obj) else self.get_fields(request, obj)

    def get_max_num(self, request: HttpRequest, obj: Charge | None = None, **kwargs: Any) -> int | None:
        """Usage that nothing tells apart has one price; who may not add has no room for more."""
        return self.max_num if self.max_num is not None or _dimensions(obj) else 1

    def has_add_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        """Who may change a charge may change its prices."""
        open_to_change = obj is None or is_draft(obj.version)
        return open_to_change and bool(request.user.has_perm("catalog.change_charge"))

    def has_delete_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return bool(request.user.has_perm("catalog.view_charge") or request.user.has_perm("catalog.change_charge"))

    @admin.display(description="Price of one unit")
    def price(self, cell: Cell) -> str:
        assert cell.charge.meter is not None
        return in_words(price_of(cell), cell.charge.version.currency, cell.charge.meter.unit)

    @admin.display(description="That is")
    def rate(self, cell: Cell) -> str:
        if not cell.pk or cell.charge.meter is None:
            return "–"
        return per_many(price_of(cell), cell.charge.version.currency, cell.charge.meter.unit)


def _dimensions(charge: Charge | None) -> tuple[str, ...]:
    """What rows of the charge can name."""
    assert charge is not None
    assert charge.meter is not None
    return priceable(charge.meter).dimensions


@cache
def _value_of(dimension: str) -> Callable[[Cell], str]:
    """A column that shows the value of one dimension."""

    @admin.display(description=f"“{dimension}”")
    def value(cell: Cell) -> str:
        return str(cell.match.get(dimension, "* any"))

    return value


@admin.register(Charge)
class ChargeAdmin(CataloguePage):
    form = ChargeForm
    inlines = (RowInline,)
    empty_text = "A charge is one thing that a plan version asks money for. Open a draft version to add one."
    list_display = ("name", "version", "kind", "product", "meter", "price")
    list_filter = ("kind", "version__status", "version__plan", "product")
    search_fields = ("name", "code", "version__plan__name", "meter__name", "meter__code")
    search_help_text = "Name or code of the charge, plan or meter"
    ordering = ("-version_id", "position", "id")
    change_form_before_template = "admin/catalog/charge/_about.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Charge]:
        rows: QuerySet[Charge] = super().get_queryset(request)
        return rows.select_related("version__plan", "product", "meter").prefetch_related("cells")

    @admin.display(description="Price")
    def price(self, charge: Charge) -> str:
        return charge_text(charge)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Charge | None = None) -> dict[str, tuple[str, ...]]:
        return {"code": ("name",)} if obj is None else {}

    def get_fieldsets(self, request: HttpRequest, obj: Charge | None = None) -> Any:
        if obj is None:
            kind = _kind(request)
            price = ("unit_price",) if kind == Kind.USAGE else ()
            return [(None, {"fields": ("version", "kind", *TERMS[kind], *price)})]
        return [(None, {"fields": ("version", *TERMS[Kind(obj.kind)], "position")})]

    def get_form(self, request: HttpRequest, obj: Charge | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001
        if obj is None and _kind(request) == Kind.USAGE:
            kwargs["form"] = NewUsageChargeForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Charge | None = None) -> tuple[str, ...]:
        return () if obj is None else KEPT

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A fee is asked for in advance unless somebody says otherwise."""
        initial = {"kind": _kind(request), "timing": Charge.Timing.ADVANCE}
        return {**initial, **super().get_changeform_initial_data(request)}

    def get_inlines(self, request: HttpRequest, obj: Charge | None) -> Any:
        return self.inlines if obj is not None and obj.kind == Kind.USAGE else ()

    def has_change_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return (obj is None or is_draft(obj.version)) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return (obj is None or is_draft(obj.version)) and bool(super().has_delete_permission(request, obj))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Charge | None = None, **kwargs: Any
    ) -> HttpResponse:
        context["draft"] = obj is None or is_draft(obj.version)
        answer: HttpResponse = super().render_change_form(request, context, *args, obj=obj, **kwargs)
        return answer

    def get_formset_kwargs(self, request: HttpRequest, obj: Charge, inline: Any, prefix: str) -> dict[str, Any]:
        """A link may name the values of a row that is wanted (`?dimension_model=…`): it is the first empty one."""
        given: dict[str, Any] = super().get_formset_kwargs(request, obj, inline, prefix)
        wanted = {name: value for name, value in request.GET.items() if name.startswith(field_of(""))}
        return {**given, "initial": [wanted]} if request.method == "GET" and wanted else given

    def save_model(self, request: HttpRequest, obj: Charge, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        """Nothing yet: the verb takes the charge and its rows at once, in `save_related`."""

    def save_related(self, request: HttpRequest, form: ModelForm, formsets: list[Any], change: bool) -> None:  # noqa: FBT001
        for formset in formsets:
            formset.save(commit=False)  # tells the admin's log what was added, changed and deleted
        given = {name: value for name, value in form.cleaned_data.items() if name not in {"version", "kind"}}
        if change:
            given.pop("meter", None)
            rows = formsets[0].drafted() if formsets else None
            saved = publishing.change_charge(form.instance, **given, rows=rows)
        else:
            saved = _add(form.cleaned_data["version"], _kind(request), given)
        form.instance.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: Charge) -> None:
        publishing.remove_charge(obj)

    def response_add(self, request: HttpRequest, obj: Charge, post_url_continue: str | None = None) -> HttpResponse:
        """A usage charge goes on to its rows, when it has no price yet; everything else back to its version."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            answer: HttpResponse = super().response_add(request, obj, post_url_continue)
            return answer
        if obj.kind == Kind.USAGE and not obj.cells.exists():
            messages.success(request, f"“{obj}” is added. Now write its prices, a row for each combination.")
            return HttpResponseRedirect(reverse("admin:catalog_charge_change", args=[obj.pk]))
        messages.success(request, f"“{obj}” is added.")
        return _to_version(obj) if "_continue" not in request.POST else super().response_add(request, obj)

    def response_change(self, request: HttpRequest, obj: Charge) -> HttpResponse:
        if {"_continue", "_addanother", "_popup"} & request.POST.keys():
            answer: HttpResponse = super().response_change(request, obj)
            return answer
        messages.success(request, f"“{obj}” is saved.")
        return _to_version(obj)


def _kind(request: HttpRequest) -> Charge.Kind:
    """What is being added: the link that led here says it."""
    asked = request.POST.get("kind") or request.GET.get("kind")
    return Kind.FLAT if asked == Kind.FLAT else Kind.USAGE


def _add(version: Any, kind: Charge.Kind, given: dict[str, Any]) -> Charge:
    if kind == Kind.FLAT:
        return publishing.add_flat_charge(version, **given)
    unit_price = given.pop("unit_price")
    return publishing.add_usage_charge(version, **given, rows=[] if unit_price is None else [({}, unit_price)])


def _to_version(charge: Charge) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:catalog_planversion_change", args=[charge.version_id]))
