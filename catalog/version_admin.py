"""The operator's page of plan versions: terms, charges, and the way to publish, clone and retire them."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from billing_site.foundation.errors import Refused
from catalog import publishing
from catalog.admin_pages import CataloguePage, charge_text, is_draft, price_list
from catalog.forms import VersionForm
from catalog.models import PlanVersion

STATUS_LABELS = {"Draft": "warning", "Published": "success", "Retired": "info"}
TERMS = ("currency", "interval", "grace")
# Which buttons a version has, by its status.
ACTIONS = {"draft": ("publish", "clone"), "published": ("clone", "retire"), "retired": ("clone",)}


@admin.register(PlanVersion)
class PlanVersionAdmin(CataloguePage):
    """A draft's terms are changed here; a version that was published is only looked at."""

    form = VersionForm
    empty_text = "A version is a plan's price list: its currency, how often it is billed, and what it charges."
    list_display = ("__str__", "shown_status", "currency", "interval", "charge_count", "published_at")
    list_filter = ("status", "currency", "interval", "plan")
    list_select_related = ("plan",)
    search_fields = ("plan__name", "plan__code")
    search_help_text = "Name or code of the plan"
    actions_detail = ("publish", "clone", "retire")
    change_form_before_template = "admin/catalog/planversion/_status.html"
    change_form_outer_after_template = "admin/catalog/planversion/_charges.html"
    readonly_fields = ("shown_status", "published_at", "retired_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlanVersion]:
        rows: QuerySet[PlanVersion] = super().get_queryset(request)
        return rows.annotate(charge_count=Count("charges"))

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def shown_status(self, version: PlanVersion) -> str:
        return version.get_status_display()

    @display(description="Charges", ordering="charge_count")
    def charge_count(self, version: Any) -> int:
        return int(version.charge_count)

    def get_fieldsets(self, request: HttpRequest, obj: PlanVersion | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": ("plan", *TERMS)})]
        instants = [name for name in ("published_at", "retired_at") if getattr(obj, name)]
        return [(None, {"fields": ("plan", *TERMS)}), ("Status", {"fields": ("shown_status", *instants)})]

    def get_readonly_fields(self, request: HttpRequest, obj: PlanVersion | None = None) -> tuple[str, ...]:
        return self.readonly_fields if obj is None else (*self.readonly_fields, "plan")

    def has_change_permission(self, request: HttpRequest, obj: PlanVersion | None = None) -> bool:
        fixed = isinstance(obj, PlanVersion) and not is_draft(obj)
        return not fixed and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: PlanVersion | None = None) -> bool:
        fixed = isinstance(obj, PlanVersion) and not is_draft(obj)
        return not fixed and bool(super().has_delete_permission(request, obj))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """The buttons that make sense in the version's status."""
        version = PlanVersion.objects.filter(pk=object_id).first() if str(object_id).isdecimal() else None
        names = {f"catalog_planversion_{name}" for name in ACTIONS[version.status]} if version else set()
        return [each for each in super().get_actions_detail(request, object_id) if each.action_name in names]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        version = PlanVersion.objects.filter(pk=object_id).first() if object_id.isdecimal() else None
        context = {
            "draft": is_draft(version),
            "charges": [(charge, charge_text(charge)) for charge in _charges(version)] if version else [],
            "may_charge": is_draft(version) and request.user.has_perm("catalog.add_charge"),
        }
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})
        return answer

    def save_model(self, request: HttpRequest, obj: PlanVersion, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        terms = {name: getattr(obj, name) for name in TERMS}
        saved = publishing.change_version(obj, **terms) if change else publishing.draft_version(obj.plan, **terms)
        obj.__dict__.update(saved.__dict__)

    def delete_model(self, request: HttpRequest, obj: PlanVersion) -> None:
        publishing.delete_version(obj)

    def response_add(
        self, request: HttpRequest, obj: PlanVersion, post_url_continue: str | None = None
    ) -> HttpResponse:
        """On to the new draft: the next thing to do is to add what it charges."""
        messages.success(request, f"{obj} is a draft now. Add what it charges, then publish it.")
        return _to(obj)

    # What a button leads to: a page that says what will happen, and does it when asked.

    def has_publish_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("catalog.publish_planversion")

    def has_clone_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("catalog.add_planversion")

    @action(description="Publish…", permissions=["publish"], icon="publish", variant=ActionVariant.PRIMARY)
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = self._found(request, object_id)
        done = self._do(
            request, version, publishing.publish, "{0} is published. Customers can be subscribed to it now."
        )
        if done is not None:
            return done
        prices = [(charge, price_list(charge)) for charge in _charges(version)]
        context = {"review": publishing.review(version), "draft": is_draft(version), "prices": prices}
        return self._page(request, version, f"Publish {version}", "publish.html", context)

    @action(description="Clone…", permissions=["clone"], icon="content_copy")
    def clone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = self._found(request, object_id)
        done = self._do(request, version, publishing.clone_version, "{0} is a copy. Change it, then publish it.")
        if done is not None:
            return done
        about = (
            f"A new draft of {version.plan} will be made that charges exactly what {version} charges."
            " You can change it before you publish it. Nothing changes for anybody who is subscribed."
        )
        return self._page(request, version, f"Clone {version}", "confirm.html", {"about": about, "verb": "Clone"})

    @action(description="Retire…", permissions=["publish"], icon="archive")
    def retire(self, request: HttpRequest, object_id: str) -> HttpResponse:
        version = self._found(request, object_id)
        done = self._do(request, version, publishing.retire, "{0} is retired.")
        if done is not None:
            return done
        about = (
            f"No new subscription can be made on {version} any more. Those that are there keep it and are billed by it"
            " as before. This cannot be taken back; a clone can be published instead."
        )
        return self._page(request, version, f"Retire {version}", "confirm.html", {"about": about, "verb": "Retire"})

    def _found(self, request: HttpRequest, object_id: str) -> PlanVersion:
        number = int(object_id) if object_id.isdecimal() else 0
        version = get_object_or_404(PlanVersion.objects.select_related("plan"), pk=number)
        if not self.has_view_permission(request, version):
            raise PermissionDenied
        return version

    def _do(
        self, request: HttpRequest, version: PlanVersion, verb: Callable[[PlanVersion], PlanVersion], said: str
    ) -> HttpResponse | None:
        """Asked for by POST: do it and go to the version that came of it. None: show the page and what was refused."""
        if request.method != "POST":
            return None
        try:
            outcome = verb(version)
        except Refused as refused:
            for fault in refused.faults:
                messages.error(request, fault.message)
            return None
        self.log_change(request, outcome, said.format(outcome))
        messages.success(request, said.format(outcome))
        return _to(outcome)

    def _page(
        self, request: HttpRequest, version: PlanVersion, title: str, template: str, context: dict[str, Any]
    ) -> HttpResponse:
        shown = {**self.admin_site.each_context(request), "title": title, "opts": self.opts}
        shown |= {"original": version, "version": version}
        return TemplateResponse(request, f"admin/catalog/planversion/{template}", {**shown, **context})


def _charges(version: PlanVersion) -> Any:
    return version.charges.select_related("version", "meter", "product").prefetch_related("cells")


def _to(version: PlanVersion) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:catalog_planversion_change", args=[version.pk]))
