"""The operator's page of plans, with their versions."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from billing_site.foundation.errors import Refused
from catalog.admin_pages import NamedPage, with_counts
from catalog.forms import NewPlanForm, show_faults
from catalog.models import Plan, PlanVersion
from catalog.versions import publishing
from meters.models import CODE

TERMS = ("consumption", "margin_floor")
PUBLISHED = Q(versions__status=PlanVersion.Status.PUBLISHED)


@admin.register(Plan)
class PlanAdmin(NamedPage):
    """A plan is a name; what it costs stands in its versions."""

    empty_text = "A plan is the name under which your prices follow each other, version by version."
    list_display = ("name", "code", "offered", "drafts")
    search_fields = ("name", "code")
    search_help_text = "Name or code"
    fields = ("name", "code", "description", "consumption", "margin_floor")
    actions_detail = ("clone",)
    change_form_outer_after_template = "admin/catalog/plan/_versions.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        rows: QuerySet[Plan] = super().get_queryset(request)
        newest = Max("versions__number", filter=PUBLISHED)
        return rows.annotate(newest=newest, draft_count=Count("versions", filter=Q(versions__status="draft")))

    @display(description="Newest published version", ordering="newest")
    def offered(self, plan: Any) -> str:
        return f"v{plan.newest}" if plan.newest else "none"

    @display(description="Drafts", ordering="draft_count")
    def drafts(self, plan: Any) -> int:
        return int(plan.draft_count)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        number = int(object_id) if object_id.isdecimal() else 0
        versions = with_counts(PlanVersion.objects.filter(plan_id=number))
        context = {
            "versions": versions.order_by("-number").prefetch_related("price_lists"),
            "may_draft": _may_draft(request),
        }
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})
        return answer

    def get_form(self, request: HttpRequest, obj: Plan | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001
        if obj is None and _may_draft(request):
            kwargs["form"] = NewPlanForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Plan | None = None) -> Any:
        plan = (None, {"fields": self.fields})
        first = ("Its first version, a draft", {"fields": (("currency", "interval"), "grace")})
        return [plan, first] if obj is None and _may_draft(request) else [plan]

    def save_model(self, request: HttpRequest, obj: Plan, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        if change:
            publishing.change_plan(obj)
            return
        with transaction.atomic():
            given = {name: getattr(obj, name) for name in ("code", "name", "description", *TERMS)}
            made = publishing.create_plan(**given)
            obj.__dict__.update(made.__dict__)
            if isinstance(form, NewPlanForm):
                publishing.draft_version(obj, **form.terms())

    def has_clone_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("catalog.add_plan") and _may_draft(request)

    @action(description="Clone…", permissions=["clone"], icon="content_copy")
    def clone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask what the copy is called, and make it."""
        plan = get_object_or_404(Plan, pk=int(object_id) if object_id.isdecimal() else 0)
        form = CloneForm(request.POST or None, initial={"name": f"{plan.name} copy", "code": f"{plan.code}-copy"})
        if request.method == "POST" and form.is_valid():
            try:
                made = publishing.clone_plan(plan, **form.cleaned_data)
            except Refused as refused:
                show_faults(form, refused.faults)
            else:
                self.log_addition(request, made, f"Copied from {plan}.")
                messages.success(
                    request, f"“{made}” charges what “{plan}” does, in a draft. Change it, then publish it."
                )
                return HttpResponseRedirect(reverse("admin:catalog_plan_change", args=[made.pk]))
        context = {**self.admin_site.each_context(request), "title": f"Clone {plan}", "opts": self.opts}
        context |= {"original": plan, "plan": plan, "form": form}
        return TemplateResponse(request, "admin/catalog/plan/clone.html", context)

    def response_add(self, request: HttpRequest, obj: Plan, post_url_continue: str | None = None) -> HttpResponse:
        """On to the draft: the next thing to do is to add what it charges."""
        draft = obj.versions.first()
        if draft is None or "_addanother" in request.POST or "_popup" in request.POST:
            answer: HttpResponse = super().response_add(request, obj, post_url_continue)
            return answer
        messages.success(request, f"{draft} is a draft now. Add what it charges, then publish it.")
        return HttpResponseRedirect(reverse("admin:catalog_planversion_change", args=[draft.pk]))


class CloneForm(forms.Form):
    """What another plan is called."""

    name = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, help_text="As you and your team call it.")
    code = forms.CharField(
        max_length=100,
        validators=[CODE],
        widget=UnfoldAdminTextInputWidget,
        help_text="A short name for programs, for example chatbot-2027.",
    )


def _may_draft(request: HttpRequest) -> bool:
    return request.user.has_perm("catalog.add_planversion")
