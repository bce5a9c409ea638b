"""The operator's page of charges: a flat fee, or the usage of a meter with its matrix of prices."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from billing_site.foundation.money import show
from catalog.admin_pages import CataloguePage, charge_texts, clamped, is_draft
from catalog.charges.checks import SUMS
from catalog.grid.admin import GridPages
from catalog.grid.charge_forms import COST, SUMS_OF, ChargeForm, NewUsageChargeForm, charge_form
from catalog.grid.page import grid_config
from catalog.grid.row_admin import PLAIN, RowInline, listed
from catalog.grid.row_forms import field_of
from catalog.models import Charge
from catalog.versions import publishing
from catalog.versions.charging import drafted

Kind = Charge.Kind
TERMS = {
    Kind.FLAT: ("name", "code", "product", "amount", "timing"),
    Kind.USAGE: ("name", "code", "product", "meter", "unmatched"),
}
# What a charge keeps once it is made: other usage, or a fee instead of it, is another charge.
KEPT = ("version", "kind", "meter")


class PricedList(ChangeList):
    """The list says what each charge costs: the rows that are alone are read for its page, and no others."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        prices = {charge.pk: price for charge, price in charge_texts(self.result_list)}
        for charge in self.result_list:
            charge.price_text = prices[charge.pk]


@admin.register(Charge)
class ChargeAdmin(GridPages, CataloguePage):
    form = ChargeForm
    inlines = (RowInline,)
    empty_text = "A charge is one thing that a plan version asks money for. Open a draft version to add one."
    list_display = ("shown_name", "shown_version", "kind", "shown_product", "shown_meter", "price")
    list_filter = ("kind", "version__status", "version__plan", "product")
    search_fields = ("name", "code", "version__plan__name", "meter__name", "meter__code")
    search_help_text = "Name or code of the charge, plan or meter"
    ordering = ("-version_id", "position", "id")
    change_form_outer_before_template = "admin/catalog/charge/_grid.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Charge]:
        rows: QuerySet[Charge] = super().get_queryset(request)
        return rows.select_related("version__plan", "product", "meter")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PricedList

    @admin.display(description="Name", ordering="name")
    def shown_name(self, charge: Charge) -> SafeString:
        return clamped(charge.name)

    @admin.display(description="Version", ordering="version")
    def shown_version(self, charge: Charge) -> SafeString:
        return clamped(charge.version)

    @admin.display(description="Product", ordering="product")
    def shown_product(self, charge: Charge) -> SafeString:
        return clamped(charge.product)

    @admin.display(description="Meter", ordering="meter")
    def shown_meter(self, charge: Charge) -> SafeString | None:
        return None if charge.meter is None else clamped(charge.meter)

    @admin.display(description="Price")
    def price(self, charge: Any) -> SafeString:
        return clamped(charge.price_text)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Charge | None = None) -> dict[str, tuple[str, ...]]:
        return {"code": ("name",)} if obj is None else {}

    def get_fieldsets(self, request: HttpRequest, obj: Charge | None = None) -> Any:
        kind = _kind(request) if obj is None else Kind(obj.kind)
        if obj is None:
            price = ("unit_price",) if kind == Kind.USAGE else ()
            first = ("version", "kind", *TERMS[kind], *price)
        else:
            first = ("version", *TERMS[kind], "position")
        in_lists = self._in_lists(request, obj) if obj else ()
        if kind == Kind.FLAT:
            return [(None, {"fields": (*first, *in_lists)})]
        further = [
            ("Allowance, minimum and cap", {"fields": ("included", "minimum", "cap", *in_lists)}),
            ("What a unit costs you", {"fields": COST}),
        ]
        return [(None, {"fields": first}), *(further if obj else further[:1])]

    def _in_lists(self, request: HttpRequest, charge: Charge) -> tuple[str, ...]:
        """The fields of sums in further currencies; who may not change them reads them in one."""
        currencies = charge.version.currencies()[1:]
        if not self.has_change_permission(request, charge):
            return ("in_further_currencies",) if currencies else ()
        return tuple(f"{name}_in_{currency}" for name in SUMS_OF[charge.kind] for currency in currencies)

    @admin.display(description="In further currencies")
    def in_further_currencies(self, charge: Charge) -> str:
        said = [
            f"{SUMS[name]} {show(amount, each.price_list.currency)}"
            for each in charge.amounts.select_related("price_list")
            for name in SUMS_OF[charge.kind]
            if (amount := getattr(each, name)) is not None
        ]
        return ", ".join(said) or "–"

    def get_form(self, request: HttpRequest, obj: Charge | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001
        if obj is None and _kind(request) == Kind.USAGE:
            kwargs["form"] = NewUsageChargeForm
        elif obj is not None and self.has_change_permission(request, obj):
            kwargs["form"] = charge_form(obj)
        return super().get_form(request, obj, change=change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Charge | None = None) -> tuple[str, ...]:
        return ("in_further_currencies",) if obj is None else (*KEPT, "in_further_currencies")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A fee is asked for in advance unless somebody says otherwise."""
        initial = {"kind": _kind(request), "timing": Charge.Timing.ADVANCE}
        return {**initial, **super().get_changeform_initial_data(request)}

    def get_inlines(self, request: HttpRequest, obj: Charge | None) -> Any:
        """Rows are loaded and posted as plain fields only when that is asked for: there may be thousands."""
        return self.inlines if obj is not None and obj.kind == Kind.USAGE and PLAIN in request.GET else ()

    def has_change_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return (obj is None or is_draft(obj.version)) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Charge | None = None) -> bool:
        return (obj is None or is_draft(obj.version)) and bool(super().has_delete_permission(request, obj))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Charge | None = None, **kwargs: Any
    ) -> HttpResponse:
        context["draft"] = obj is None or is_draft(obj.version)
        if obj is not None and obj.kind == Kind.USAGE:
            context["currencies"] = obj.version.currencies()
            context["plain"] = PLAIN in request.GET
            context["plain_currency"] = listed(request) or obj.version.currency
            context["grid"] = grid_config(obj, may_change=self.has_change_permission(request, obj))
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
        skipped = {"version", "kind", *(["meter"] if change else [])}
        given = {name: form.cleaned_data[name] for name in _own_fields(form) if name not in skipped}
        if change:
            saved = publishing.change_charge(form.instance, **given)
            self._save_in_lists(saved, form, formsets, listed(request))
        else:
            saved = _add(form.cleaned_data["version"], _kind(request), given)
        form.instance.__dict__.update(saved.__dict__)

    def _save_in_lists(self, charge: Charge, form: ModelForm, formsets: list[Any], currency: str) -> None:
        """The sums in further currencies, and the rows of the one whose fields were there."""
        lists = {each.currency: each for each in charge.version.price_lists.all()}
        for each, amounts in form.amounts().items():  # type: ignore[attr-defined]
            if any(f"{name}_in_{each}" in form.changed_data for name in amounts):
                publishing.set_amounts(charge, lists[each], **amounts)
        for formset in formsets:
            publishing.set_rows(charge, lists[currency] if currency else None, drafted(formset.drafted()))

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
        if "_continue" in request.POST and PLAIN in request.GET:
            messages.success(request, f"“{obj}” is saved.")
            return HttpResponseRedirect(f"{request.path}?{PLAIN}={request.GET[PLAIN]}")
        if {"_continue", "_addanother", "_popup"} & request.POST.keys():
            answer: HttpResponse = super().response_change(request, obj)
            return answer
        messages.success(request, f"“{obj}” is saved.")
        return _to_version(obj)


def _own_fields(form: ModelForm) -> list[str]:
    """The charge's own fields, and the price that a new one may be given; sums in price lists aside."""
    return [name for name in form.cleaned_data if "_in_" not in name]


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
