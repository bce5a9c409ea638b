"""What a customer may, on its page: values, what is used of them, and what it was granted."""

from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import action, display

from billing_site.foundation import clock
from billing_site.foundation.money import grouped
from billing_site.foundation.periods import in_zone
from catalog.features.values import UNLIMITED, words
from customers.entitlements import holders
from customers.entitlements.admin import state_of
from customers.entitlements.reading import Entitlement, entitlements
from customers.models import Customer, EntitlementOverride


class OverrideInline(TabularInline):
    model = EntitlementOverride
    extra = 0
    hide_title = True
    tab = True
    fields = ("link", "value_words", "starts_on", "ends_on", "state", "reason")
    readonly_fields = fields
    verbose_name_plural = "overrides"

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).select_related("feature__meter", "customer")

    def has_add_permission(self, request: HttpRequest, obj: Customer | None = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission

    @display(description="Feature")
    def link(self, override: EntitlementOverride) -> SafeString:
        address = reverse("admin:customers_entitlementoverride_change", args=[override.pk])
        return format_html('<a class="tb-link" href="{}">{}</a>', address, override.feature)

    @display(description="Value")
    def value_words(self, override: EntitlementOverride) -> str:
        return override.value_words

    @display(description="State")
    def state(self, override: EntitlementOverride) -> str:
        return state_of(override)


class ShowsEntitlements:
    """Mix into the page of customers."""

    @display(description="Now")
    def entitlements(self, customer: Customer) -> SafeString:
        now = clock.now()
        holder = holders.find(customer.reference, now)
        found = [] if holder is None else entitlements(holder, now)
        rows = [_row(each, customer.timezone) for each in found]
        return render_to_string("admin/customers/customer/_entitlements.html", {"rows": rows})

    @action(description="Grant…", permissions=["grant"], icon="key")
    def grant(self, request: HttpRequest, object_id: str) -> HttpResponse:
        address = reverse("admin:customers_entitlementoverride_add")
        return HttpResponseRedirect(f"{address}?customer={int(object_id)}")

    def has_grant_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("customers.add_entitlementoverride")


def _row(each: Entitlement, timezone: str) -> dict[str, Any]:
    feature = each.feature
    return {
        "name": feature.name,
        "code": feature.code,
        "value": words(feature.kind, each.value, feature.unit),
        "unlimited": each.value is UNLIMITED,
        "source": each.source.value,
        "used": None if each.used is None else grouped(each.used),
        "remaining": None if each.remaining is None else grouped(each.remaining),
        "percent": _percent(each),
        "resets_at": None if each.window is None else f"{in_zone(each.window.end, timezone):%Y-%m-%d at %H:%M}",
        "still_counting": each.still_counting,
    }


def _percent(each: Entitlement) -> int | None:
    """How full a bar is; None without a limit. Only what is used up fills it."""
    if each.used is None or not isinstance(each.value, Decimal):
        return None
    if each.used >= each.value:
        return 100
    return max(0, int(each.used * 100 / each.value))
