"""The operator's pages of what models cost: a list, a page for each model, and own costs."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from billing_site.foundation import clock
from billing_site.foundation.admin_base import ReadOnlyAdmin
from billing_site.foundation.errors import Refused
from billing_site.foundation.money import grouped, round_to
from catalog.costs import own_costs, pages, users
from catalog.costs.books import costs_of
from catalog.costs.forms import AliasForm, CostForm, WithdrawForm, initial
from catalog.costs.names import names
from catalog.costs.own_costs import Entry
from catalog.costs.reading import latest_names
from catalog.forms import show_faults
from catalog.models import CostReading, ModelAlias, ModelCost, ProviderModel
from catalog.pricing.margins import RowMargin
from catalog.pricing.model_costs import HOUR, Source
from catalog.pricing.model_names import ModelName

HISTORY_SHOWN = 300
TEMPLATES = "admin/catalog/providermodel"


class ProviderFilter(DropdownFilter):
    title = "provider"
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        found = ProviderModel.objects.order_by("provider").values_list("provider", flat=True).distinct()
        return [(each, each) for each in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ProviderModel]) -> QuerySet[ProviderModel]:
        return queryset.filter(provider=self.value()) if self.value() else queryset


class SourceFilter(admin.SimpleListFilter):
    title = "whose costs"
    parameter_name = "whose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("own", "Own ones"), ("package", "The package's alone"), ("none", "None known")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ProviderModel]) -> QuerySet[ProviderModel]:
        every = ModelCost.objects.filter(model=OuterRef("pk"))
        own = Exists(every.filter(source=Source.OWN))
        asked = {"own": Q(own), "package": ~Q(own) & Q(Exists(every)), "none": ~Q(Exists(every))}
        return queryset.filter(asked.get(self.value() or "", Q()))


class CostChangeList(ChangeList):
    """Costs are read for the rows of the page alone, in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        now = clock.now()
        found = costs_of([row.key for row in self.result_list])
        for row in self.result_list:
            row.steps, row.further = pages.side_by_side(found[row.key], now)


def _column(code: str, title: str) -> Callable[[Any, ProviderModel], SafeString]:
    @display(description=title)
    def column(self: Any, model: Any) -> SafeString:
        return render_to_string(f"{TEMPLATES}/_steps.html", {"steps": model.steps[code]})

    return column


@admin.register(ProviderModel)
class ProviderModelAdmin(ReadOnlyAdmin):
    """Whoever may add recorded costs may record own ones, withdraw them, and give models further names."""

    empty_text = (
        "What model providers charge is read from the package genai-prices, by “manage.py model_costs import” or within"
        " ten minutes by the worker. Own costs, and those of models that you run yourself, are recorded here."
    )
    list_display = ("shown_name", "input", "output", "cache_read", "cache_write", "further")
    list_filter = (ProviderFilter, SourceFilter)
    list_filter_submit = True
    list_before_template = f"{TEMPLATES}/_about.html"
    list_per_page = 50
    ordering = ("name",)
    sortable_by = ("shown_name",)
    search_fields = ("name",)
    search_help_text = "A model's name in any form: gpt-4o, azure/openai/gpt-4o, bedrock/anthropic.claude-…"
    show_full_result_count = False
    input = _column("input", "Input")
    output = _column("output", "Output")
    cache_read = _column("cache_read", "Cache read")
    cache_write = _column("cache_write", "Cache write")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CostChangeList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("catalog.add_modelcost"))  # type: ignore[union-attr]

    @display(description="Model", ordering="name")
    def shown_name(self, model: ProviderModel) -> str:
        return model.name

    @display(description="Further")
    def further(self, model: Any) -> str:
        return " · ".join(model.further)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        asked = request.GET.get("q", "")
        meant = names().resolve(asked)
        context = {
            "latest": CostReading.objects.filter(outcome__in=["changed", "same"]).order_by("recorded_at", "id").last(),
            "failed": _failed_since(),
            "asked": asked.strip(),
            "meant": ProviderModel.objects.filter(name=str(meant)).first() if meant else None,
            "like": names().closest(asked) if asked and not meant else [],
        }
        answer: HttpResponse = super().changelist_view(request, {**context, **(extra_context or {})})
        return answer

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """What has the text in its name, and before it the model that the text means."""
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        meant = names().resolve(term)
        found = queryset.filter(Q(name__icontains=term) | Q(name=str(meant) if meant else ""))
        first = Case(When(name=str(meant), then=Value(0)), default=Value(1))
        return found.order_by(first, "name"), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("add/", view(self.record_page), name="catalog_providermodel_add"),
            path("<int:pk>/withdraw/<int:cost>/", view(self.withdraw_page), name="catalog_providermodel_withdraw"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        model = self._found(request, int(object_id) if object_id.isdecimal() and len(object_id) < 19 else 0)
        form = AliasForm(request.POST if request.POST.get("do") == "name" else None, label_suffix="")
        if request.method == "POST" and (done := self._name(request, model, form)):
            return done
        return TemplateResponse(request, f"{TEMPLATES}/page.html", self._page(request, model, form))

    def record_page(self, request: HttpRequest) -> HttpResponse:
        """An own cost: first what it would change is shown, then it is recorded as it was shown."""
        self._check_may_record(request)
        asked = request.GET.get("model", "")
        model = ProviderModel.objects.filter(pk=int(asked) if asked.isdecimal() and len(asked) < 19 else 0).first()
        hour = own_costs.full_hour(clock.now() + HOUR / 2)
        form = CostForm(request.POST or None, initial=initial(model, hour, request.GET), label_suffix="")
        preview = pages.preview(form.entry) if form.is_bound and form.is_valid() else None
        if preview and request.POST.get("shown") == str(preview.entry) and "record" in request.POST:
            recorded = own_costs.record_cost(preview.entry, by=str(request.user))
            messages.success(request, f"Recorded: it holds from {recorded.effective_from:%Y-%m-%d %H:%M} UTC on.")
            return _to(recorded.model)
        context = {**self._context(request, "Record an own cost"), "form": form, "preview": preview, "model": model}
        if preview:
            context |= {"before": _told(preview.before), "after": _told(preview.after), "next": _told(preview.next)}
            context["uses"] = _uses(preview.name, preview.entry)
        return TemplateResponse(request, f"{TEMPLATES}/record.html", context)

    def withdraw_page(self, request: HttpRequest, pk: int, cost: int) -> HttpResponse:
        self._check_may_record(request)
        model = self._found(request, pk)
        found = get_object_or_404(ModelCost.objects.select_related("model"), pk=cost, model=model)
        form = WithdrawForm(request.POST or None, label_suffix="")
        if request.method == "POST" and form.is_valid():
            try:
                own_costs.withdraw_cost(found, form.cleaned_data["note"], by=str(request.user))
            except Refused as refused:
                show_faults(form, refused.faults)
            else:
                messages.success(request, "Withdrawn: what held before it holds on.")
                return _to(model)
        context = {**self._context(request, f"Withdraw a cost of {model}"), "form": form, "model": model}
        return TemplateResponse(request, f"{TEMPLATES}/withdraw.html", {**context, "cost": pages.shown(found.row)})

    def _name(self, request: HttpRequest, model: ProviderModel, form: AliasForm) -> HttpResponse | None:
        """Give the model a further name, or take one away. None: show the page again, with what is wrong."""
        self._check_may_record(request)
        try:
            if "forget" in request.POST:
                own_costs.forget_name(request.POST["forget"], by=str(request.user))
            elif form.is_valid():
                own_costs.name_model(form.cleaned_data["alias"], model, by=str(request.user))
            else:
                return None
        except Refused as refused:
            if form.is_bound:
                show_faults(form, refused.faults)
                return None
            messages.error(request, str(refused))
        return _to(model)

    def _page(self, request: HttpRequest, model: ProviderModel, form: AliasForm) -> dict[str, Any]:
        now = clock.now()
        costs = costs_of([model.key])[model.key]
        standing, book = costs.in_force(), names()
        history = ModelCost.objects.filter(model=model).order_by("-recorded_at", "-id")[: HISTORY_SHOWN + 1]
        aliases = ModelAlias.objects.filter(model=model).order_by("alias").values_list("alias", flat=True).distinct()
        return {
            **self._context(request, str(model)),
            "original": model,
            "model": model,
            "costs": pages.table(costs, now),
            "coming": pages.coming(costs, now),
            "course": pages.course(costs, now),
            "history": [
                {**pages.shown(each.row), "cost": each, "stands": each.pk in standing}
                for each in history[:HISTORY_SHOWN]
            ],
            "more": len(history) > HISTORY_SHOWN,
            "aliases": [alias for alias in aliases if book.resolve(alias) == model.key],
            "rule": pages.rule(model.provider, model.model, latest_names()),
            "uses": _uses(model.key),
            "form": form,
            "may": self.has_add_permission(request),
        }

    def _found(self, request: HttpRequest, pk: int) -> ProviderModel:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(ProviderModel, pk=pk)

    def _check_may_record(self, request: HttpRequest) -> None:
        if not self.has_add_permission(request):
            raise PermissionDenied

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        request.current_app = self.admin_site.name
        return {**self.admin_site.each_context(request), "title": title, "opts": self.opts}


def _failed_since() -> CostReading | None:
    """The last try, when it was in vain."""
    last = CostReading.objects.order_by("recorded_at", "id").last()
    return last if last is not None and last.outcome in ("away", "refused") else None


def _uses(model: ModelName, entry: Entry | None = None) -> list[dict[str, Any]]:
    """Who is affected; with an entry, what it makes of their margins."""
    uses = users.uses_of(model)
    found = users.becomes(uses, model, entry) if entry else {}
    return [
        {
            "charge": use.charge,
            "margins": [grouped(each) for each in use.margins],
            "priced": use.priced,
            "apart": use.apart,
            "agreed": use.agreed,
            "negotiated": [grouped(each) for each in use.agreed.margins],
            "comparable": use.comparable,
            "asked": use.charge.pk in found,
            "becomes": _becomes(found.get(use.charge.pk)),
        }
        for use in uses
    ]


def _becomes(found: users.Becomes | None) -> dict[str, str] | None:
    if found is None:
        return None
    at = found.after or found.before
    return {"before": _percent(found.before), "after": _percent(found.after), "at": at.at if at else ""}


def _percent(margin: RowMargin | None) -> str:
    """To a tenth; a cost of nothing has no margin."""
    if margin is None:
        return "not known"
    return "no cost" if margin.percent is None else f"{grouped(round_to(margin.percent, 1))} %"


def _told(row: Any) -> dict[str, Any] | None:
    return pages.shown(row) if row is not None else None


def _to(model: ProviderModel) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:catalog_providermodel_change", args=[model.pk]))
