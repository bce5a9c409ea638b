"""The operator's page of overrides: granted, ended, and looked at. None is ever edited."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.decorators import display

from billing_site.foundation import clock
from billing_site.foundation.admin_base import ConfigurationAdmin
from billing_site.foundation.periods import local_date
from catalog.models import Feature
from customers.entitlements import entitling
from customers.entitlements.forms import EndOverrideForm, GrantForm, grant_form
from customers.models import Customer, EntitlementOverride
from customers.subscriptions.forms import RefusalsShown

STATE_LABELS = {"active": "success", "scheduled": "info", "ended": "warning"}


def state_of(override: EntitlementOverride) -> str:
    """Today, at the customer's."""
    return override.state_on(entitling.today(override.customer))


class StateFilter(admin.SimpleListFilter):
    """By the day that it is in UTC: a customer's own may be a day off."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("scheduled", "Scheduled"), ("active", "Active"), ("ended", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[EntitlementOverride]) -> QuerySet[EntitlementOverride]:
        today = local_date(clock.now(), "UTC")
        ended = Q(ends_on__lte=today) | Q(ends_on=F("starts_on"))
        states = {
            "scheduled": Q(starts_on__gt=today) & ~ended,
            "active": Q(starts_on__lte=today) & (Q(ends_on=None) | Q(ends_on__gt=today)),
            "ended": ended,
        }
        state = states.get(self.value() or "")
        return queryset if state is None else queryset.filter(state)


@admin.register(EntitlementOverride)
class OverrideAdmin(RefusalsShown, ConfigurationAdmin):
    empty_text = "An override gives one customer another value of a feature than its plans do, for some days."
    list_display = ("feature", "customer", "shown_value", "starts_on", "ends_on", "shown_state")
    list_filter = (StateFilter, "feature")
    list_select_related = ("customer", "feature__meter")
    search_fields = ("customer__name", "customer__reference", "feature__name", "feature__code")
    search_help_text = "The customer's name or reference, or the feature's name or code"
    autocomplete_fields = ("customer",)
    show_full_result_count = False
    granted = ("customer", "feature", "shown_value", "starts_on", "shown_state", "reason")
    readonly_fields = ("shown_value", "shown_state")

    class Media:
        css = {"all": ["catalog/features.css"]}

    @display(description="Value")
    def shown_value(self, override: EntitlementOverride) -> str:
        return override.value_words

    @display(description="State", label=STATE_LABELS)
    def shown_state(self, override: EntitlementOverride) -> str:
        return state_of(override)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: EntitlementOverride | None = None) -> bool:
        ended = isinstance(obj, EntitlementOverride) and state_of(obj) == "ended"
        return not ended and bool(super().has_change_permission(request, obj))

    def get_queryset(self, request: HttpRequest) -> QuerySet[EntitlementOverride]:
        rows: QuerySet[EntitlementOverride] = super().get_queryset(request)
        return rows.select_related("customer", "feature__meter")

    def get_form(
        self,
        request: HttpRequest,
        obj: EntitlementOverride | None = None,
        change: bool = False,  # noqa: FBT001
        **kwargs: Any,
    ) -> Any:
        feature = None if obj else _feature(request)
        kwargs["form"] = EndOverrideForm if feature is None else grant_form(feature)
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: EntitlementOverride | None = None) -> Any:
        if obj is None and _feature(request) is not None:
            return [(None, {"fields": ("customer", "value", ("starts_on", "ends_on"), "reason")})]
        if obj is None:  # who names no feature chooses one first, on a page of its own
            return [(None, {"fields": ("ends_on",)})]
        return [(None, {"fields": self.granted}), ("End", {"fields": ("ends_on",)})]

    def get_readonly_fields(self, request: HttpRequest, obj: EntitlementOverride | None = None) -> Any:
        return () if obj is None else self.granted

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The form depends on the feature: who names none chooses one first."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        feature = _feature(request)
        if feature is None:
            return self._choose(request)
        context = {"title": f"Grant “{feature}”", **(extra_context or {})}
        answer: HttpResponse = super().add_view(request, form_url, context)
        return answer

    def _choose(self, request: HttpRequest) -> HttpResponse:
        customer = request.GET.get("customer", "")
        kept = {"customer": customer} if customer.isdecimal() else {}
        features = [
            (feature, f"?{urlencode({**kept, 'feature': feature.pk})}")
            for feature in Feature.objects.order_by("name", "code").select_related("meter")
        ]
        context = {**self.admin_site.each_context(request), "title": "Grant what?", "opts": self.opts}
        shown = {"features": features, "customer": Customer.objects.filter(pk=kept.get("customer", 0)).first()}
        return TemplateResponse(request, "admin/customers/entitlementoverride/choose.html", {**context, **shown})

    def save_model(
        self,
        request: HttpRequest,
        obj: EntitlementOverride,
        form: ModelForm,
        change: bool,  # noqa: FBT001
    ) -> None:
        if not change:
            assert isinstance(form, GrantForm)
            obj.__dict__.update(entitling.grant(**form.terms()).__dict__)
        elif form.has_changed():
            entitling.end_override(obj, form.cleaned_data["ends_on"])

    def response_add(
        self, request: HttpRequest, obj: EntitlementOverride, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Back to the customer, who has it now."""
        messages.success(request, f"“{obj}” is granted to {obj.customer}.")
        return HttpResponseRedirect(reverse("admin:customers_customer_change", args=[obj.customer_id]))


def _feature(request: HttpRequest) -> Feature | None:
    """The one that the link which led here names; a form is sent back to that address."""
    asked = request.GET.get("feature", "")
    return Feature.objects.select_related("meter").filter(pk=asked).first() if asked.isdecimal() else None
