"""The operator's page of plan versions: terms, charges, and the way to publish, clone and retire them."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from billing_site.foundation.errors import Fault, Refused
from catalog.admin_pages import CataloguePage, charge_texts, is_draft, with_counts
from catalog.documents import exporting
from catalog.features.given_admin import GivesFeatures
from catalog.models import Charge, Plan, PlanVersion, PriceList
from catalog.plans import earlier
from catalog.plans.version_forms import PriceListForm, PriceListFormSet, VersionForm
from catalog.versions import publishing
from catalog.versions.drafting import TERMS
from catalog.versions.price_tables import price_tables

STATUS_LABELS = {"Draft": "warning", "Published": "success", "Retired": "info"}
BASICS = (("currency", "interval"), "grace")
# What the way of paying of its plan asks of a version beside that.
PREPAID = {
    Plan.Consumption.METERED: (),
    Plan.Consumption.BALANCE: ("when_empty",),
    Plan.Consumption.CREDITS: ("when_empty", "included_credits", "credit_price"),
}
Verb = Callable[[PlanVersion], PlanVersion]
# Which buttons a version has, by its status.
ACTIONS = {"draft": ("publish", "clone"), "published": ("clone", "retire"), "retired": ("clone",)}


class PriceListInline(TabularInline):  # type: ignore[misc]
    """The further currencies of a version, with the sums over all usage in each."""

    model = PriceList
    form = PriceListForm
    formset = PriceListFormSet
    extra = 0
    verbose_name = "further currency"
    verbose_name_plural = "further currencies: each charge then needs its prices in it"

    def get_fields(self, request: HttpRequest, obj: PlanVersion | None = None) -> list[str]:
        if obj is not None and obj.plan.consumption == Plan.Consumption.CREDITS:
            return ["currency", "credit_price"]
        return ["currency", "minimum", "cap"]

    def has_add_permission(self, request: HttpRequest, obj: PlanVersion | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: PlanVersion | None = None) -> bool:
        return is_draft(obj) and bool(request.user.has_perm("catalog.change_planversion"))

    def has_delete_permission(self, request: HttpRequest, obj: PlanVersion | None = None) -> bool:
        return self.has_change_permission(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: PlanVersion | None = None) -> bool:
        return bool(request.user.has_perm("catalog.view_planversion")) or self.has_change_permission(request, obj)


@admin.register(PlanVersion)
class PlanVersionAdmin(GivesFeatures, CataloguePage):
    """A draft's terms are changed here; a version that was published is only looked at."""

    form = VersionForm
    inlines = (PriceListInline,)
    empty_text = "A version is a plan's price list: its currency, how often it is billed, and what it charges."
    list_display = ("__str__", "shown_status", "offered_in", "interval", "charge_count", "subscribers", "published_at")
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
        return with_counts(rows).prefetch_related("price_lists")

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def shown_status(self, version: PlanVersion) -> str:
        return version.get_status_display()

    @display(description="Charges", ordering="charge_count")
    def charge_count(self, version: Any) -> int:
        return int(version.charge_count)

    @display(description="Currencies")
    def offered_in(self, version: PlanVersion) -> str:
        return ", ".join(version.currencies())

    @display(description="Subscriptions", ordering="running_count")
    def subscribers(self, version: Any) -> str:
        ended = f", {version.ended_count:,} ended" if version.ended_count else ""
        return f"{version.running_count:,}{ended}"

    def get_fieldsets(self, request: HttpRequest, obj: PlanVersion | None = None) -> Any:
        basics = (None, {"fields": ("plan", *BASICS)})
        if obj is None:
            return [basics]
        instants = [name for name in ("published_at", "retired_at") if getattr(obj, name)]
        status = ("Status", {"fields": ("shown_status", *instants)})
        return [basics, *_terms_of(obj.plan), status]

    def get_inlines(self, request: HttpRequest, obj: PlanVersion | None) -> Any:
        return () if obj is None else self.inlines

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
        found = PlanVersion.objects.filter(pk=int(object_id) if object_id.isdecimal() else 0)
        version: Any = with_counts(found).first()
        context = {
            "running": version.running_count if version else 0,
            "ended": version.ended_count if version else 0,
            "draft": is_draft(version),
            "earlier": earlier.of(version) if version and version.status == PlanVersion.Status.PUBLISHED else (),
            "charges": charge_texts(_charges(version)) if version else [],
            "may_charge": is_draft(version) and request.user.has_perm("catalog.add_charge"),
            **self.given_context(request, version),
        }
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})
        return answer

    def save_model(self, request: HttpRequest, obj: PlanVersion, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        terms = {name: getattr(obj, name) for name in TERMS if name in form.cleaned_data}
        saved = publishing.change_version(obj, **terms) if change else publishing.draft_version(obj.plan, **terms)
        obj.__dict__.update(saved.__dict__)

    def save_related(self, request: HttpRequest, form: ModelForm, formsets: list[Any], change: bool) -> None:  # noqa: FBT001
        for formset in formsets:
            formset.save(commit=False)  # tells the admin's log what was added, changed and deleted
            formset.save_lists()

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
        said = "{0} is published. Customers can be subscribed to it now."
        done = self._do(request, version, _as_seen(request, publishing.publish), said)
        if done is not None:
            return done
        seen = _tag(version)  # before the rest is read: what changes in between is not published unseen
        draft = is_draft(version)
        context = {"review": publishing.review(version), "draft": draft, "seen": seen}
        context["tables"] = price_tables(version) if draft else []
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
        done = self._do(request, version, _as_seen(request, publishing.retire), "{0} is retired.")
        if done is not None:
            return done
        about = (
            f"No new subscription can be made on {version} any more. Those that are there keep it and are billed by it"
            " as before. This cannot be taken back; a clone can be published instead."
        )
        context = {"about": about, "verb": "Retire", "seen": _tag(version)}
        return self._page(request, version, f"Retire {version}", "confirm.html", context)

    def _found(self, request: HttpRequest, object_id: str) -> PlanVersion:
        number = int(object_id) if object_id.isdecimal() else 0
        version = get_object_or_404(PlanVersion.objects.select_related("plan"), pk=number)
        if not self.has_view_permission(request, version):
            raise PermissionDenied
        return version

    def _do(self, request: HttpRequest, version: PlanVersion, verb: Verb, said: str) -> HttpResponse | None:
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


def _terms_of(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    """The further terms that make sense in the way the plan is paid for."""
    prepaid = PREPAID[Plan.Consumption(plan.consumption)]
    found: list[tuple[str, dict[str, Any]]] = []
    if plan.consumption != Plan.Consumption.CREDITS:
        about = "Over all usage of a full period; part of it for part of a period."
        found.append(("Minimum and cap", {"fields": (("minimum", "cap"), "commitment_product"), "description": about}))
    if prepaid:
        found.append((f"Paid for beforehand, by {plan.consumption}", {"fields": prepaid}))
    return found


def _tag(version: PlanVersion) -> str:
    """What changes with anything that the version says, as it stands in the database now."""
    return exporting.tag_of(exporting.WHOLE.get(pk=version.pk))


def _as_seen(request: HttpRequest, verb: Verb) -> Verb:
    """The verb, which is refused when the version is another by now than the page that was looked at showed."""

    def checked(version: PlanVersion) -> PlanVersion:
        with transaction.atomic():
            PlanVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
            if request.POST.get("seen") != _tag(version):
                message = (
                    f"Nothing was done: somebody has changed {version} since you opened this page. It shows now how"
                    " it stands; look at it again before you go on."
                )
                raise Refused(Fault("changed_meanwhile", message, ""))
            return verb(version)

    return checked


def _charges(version: PlanVersion) -> list[Charge]:
    return list(version.charges.select_related("version__plan", "meter", "product"))


def _to(version: PlanVersion) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:catalog_planversion_change", args=[version.pk]))
