"""The operator's page of subscriptions."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from billing_site.foundation import clock
from billing_site.foundation.admin_base import ConfigurationAdmin
from billing_site.foundation.errors import Refused
from billing_site.foundation.periods import local_date
from catalog.admin_pages import clamped
from customers.deals import page_admin as deal_page_admin
from customers.models import Subscription
from customers.subscriptions import checks, moving, planned_moves, subscribing
from customers.subscriptions.forms import MOVE_DIALOG, EndForm, MoveForm, RefusalsShown, SubscribeForm

STATE_LABELS = {"active": "success", "scheduled": "info", "ended": "warning"}


def next_invoice(subscription: Subscription) -> str:
    """The local day on which something is invoiced next."""
    if subscription.due_at is None:
        return "none: all is invoiced"
    return str(local_date(subscription.due_at, subscription.timezone))


def move(request: HttpRequest, form: MoveForm, back: str) -> HttpResponse:
    """Do what the dialog says, or say why not; htmx, which sent it, goes back to the page."""
    subscription = form.subscription()
    assert subscription is not None  # its versions were offered
    try:
        subscribing.move_to_version(subscription, form.cleaned_data["version"])
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"“{subscription}” is on {subscription.version} now, which prices its drafts.")
        for warning in moving.warnings(subscription, subscription.version):
            messages.warning(request, warning)
    return HttpResponse(headers={"HX-Redirect": back})


class MoveFilter(admin.SimpleListFilter):
    title = "planned move"
    parameter_name = "move"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waits to be moved"), ("refused", "Could not be moved")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        found = {"waiting": planned_moves.waiting, "refused": planned_moves.refused}.get(self.value() or "")
        return queryset if found is None else queryset.filter(found())


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("scheduled", "Scheduled"), ("active", "Active"), ("ended", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        now = clock.now()
        states = {
            "scheduled": Q(starts_at__gt=now),
            "active": Q(starts_at__lte=now) & (Q(ends_at=None) | Q(ends_at__gt=now)),
            "ended": Q(ends_at__lte=now),
        }
        state = states.get(self.value() or "")
        return queryset if state is None else queryset.filter(state)


@admin.register(Subscription)
class SubscriptionAdmin(RefusalsShown, ConfigurationAdmin):
    """A subscription is made and ended here. Its other terms never change: what was invoiced rests on them."""

    empty_text = "A subscription puts a customer on a published plan version, from a day on."
    list_display = ("reference", "shown_customer", "shown_version", "days", "state", "next_invoice", "planned_move")
    list_filter = (StateFilter, MoveFilter, "alignment", "version__plan")
    list_select_related = ("customer", "version__plan")
    search_fields = ("reference", "customer__name", "customer__reference")
    search_help_text = "Reference, or the customer's name or reference"
    autocomplete_fields = ("customer",)
    show_full_result_count = False
    actions_detail = ("move_to_version",)
    made = ("customer", "version", "alignment", "reference", "named_events_only")
    readonly_fields = ("days", "state", "next_invoice", "timezone")
    change_form_before_template = "admin/customers/subscription/_moves.html"
    change_form_outer_after_template = "admin/customers/subscription/_deals.html"

    class Media:
        css = {"all": ["customers/deals.css", "catalog/names.css"]}

    def get_form(
        self,
        request: HttpRequest,
        obj: Subscription | None = None,
        change: bool = False,  # noqa: FBT001
        **kwargs: Any,
    ) -> Any:
        kwargs["form"] = SubscribeForm if obj is None else EndForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Subscription | None = None) -> Any:
        if obj is None:
            days = ("starts_on", "ends_on")
            fields = ("customer", "version", days, "alignment", "reference", "named_events_only")
            return [(None, {"fields": fields})]
        end = ("ends_on",) if self.has_change_permission(request, obj) else ()
        terms = (*self.made[:3], "timezone", "days", *self.made[3:])
        return [(None, {"fields": terms}), ("State", {"fields": ("state", "next_invoice", *end)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Subscription | None = None) -> Any:
        return self.readonly_fields if obj is None else (*self.readonly_fields, *self.made)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        return planned_moves.with_next_move(super().get_queryset(request))

    def get_urls(self) -> list[URLPattern]:
        return [*deal_page_admin.urls(), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        rows = Subscription.objects.select_related("customer", "version__plan")
        subscription = rows.filter(pk=object_id).first() if object_id.isdecimal() else None
        shown: dict[str, Any] = {}
        if subscription is not None:
            moves = planned_moves.of(subscription)
            shown = {"moves": [each for each in moves if each.open], "past": [each for each in moves if not each.open]}
            shown |= deal_page_admin.context_of(request, subscription)
        answer: HttpResponse = super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})
        return answer

    def save_model(self, request: HttpRequest, obj: Subscription, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        if not change:
            assert isinstance(form, SubscribeForm)
            obj.__dict__.update(subscribing.subscribe(**form.terms()).__dict__)
        elif form.has_changed():
            subscribing.end_subscription(obj, form.cleaned_data["ends_on"])

    def has_move_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return str(object_id).isdecimal() and request.user.has_perm("customers.change_subscription")

    @action(description="Move to version …", permissions=["move"], dialog=MOVE_DIALOG)
    def move_to_version(self, request: HttpRequest, form: MoveForm, object_id: str) -> HttpResponse:
        return move(request, form, reverse("admin:customers_subscription_change", args=[object_id]))

    @display(description="Customer", ordering="customer")
    def shown_customer(self, subscription: Subscription) -> SafeString:
        return clamped(subscription.customer)

    @display(description="Version", ordering="version")
    def shown_version(self, subscription: Subscription) -> SafeString:
        return clamped(subscription.version)

    @display(description="Days", ordering="starts_at")
    def days(self, subscription: Subscription) -> str:
        return checks.span(subscription)

    @display(description="State", label=STATE_LABELS)
    def state(self, subscription: Subscription) -> str:
        return subscription.state_at(clock.now())

    @display(description="Next invoice", ordering="due_at")
    def next_invoice(self, subscription: Subscription) -> str:
        return next_invoice(subscription)

    @display(description="Planned move")
    def planned_move(self, subscription: Subscription) -> str:
        return planned_moves.in_short(subscription)
