"""The operator's lists of negotiated terms and of redeemed coupons; both are written on a subscription's page."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from billing_site.foundation.admin_base import ConfigurationAdmin
from billing_site.foundation.periods import local_date
from customers.deals.days import span
from customers.models import Override, Redemption


class DealAdmin(ConfigurationAdmin):
    show_full_result_count = False
    search_fields: Any = ("subscription__reference", "subscription__customer__name")
    search_help_text = "Subscription or customer"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="Subscription", ordering="subscription__reference")
    def shown_subscription(self, row: Override | Redemption) -> SafeString:
        address = reverse("admin:customers_subscription_change", args=[row.subscription_id])
        return format_html('<a class="tb-link" href="{}#terms">{}</a>', address, row.subscription.reference)

    @display(description="Customer", ordering="subscription__customer__name")
    def customer(self, row: Override | Redemption) -> str:
        return str(row.subscription.customer)


@admin.register(Override)
class NegotiatedTermAdmin(DealAdmin):
    empty_text = "Terms of one subscription that are others than its plan's. Negotiate them on its page."
    list_display = ("__str__", "shown_subscription", "customer", "what", "charge", "days", "reason", "created_at")
    list_filter = ("what",)
    list_select_related = ("subscription__customer",)
    fields: Any = ("subscription", "what", "charge", "match", "days", "reason", "created_at")
    readonly_fields = fields

    @display(description="Days", ordering="starts_at")
    def days(self, override: Override) -> str:
        return span(override, override.subscription.timezone)


@admin.register(Redemption)
class RedemptionAdmin(DealAdmin):
    empty_text = "Coupons that subscriptions redeemed. Redeem one on a subscription's page."
    list_display = ("coupon", "shown_subscription", "customer", "redeemed_at", "first_invoice", "until")
    list_filter = ("coupon",)
    list_select_related = ("coupon", "subscription__customer")
    search_fields = (*DealAdmin.search_fields, "coupon__code")
    search_help_text = "Subscription, customer or coupon"
    fields: Any = ("coupon", "subscription", "redeemed_at", "first_invoice", "until")
    readonly_fields = fields

    @display(description="First invoice", ordering="first_at")
    def first_invoice(self, redemption: Redemption) -> str:
        return str(local_date(redemption.first_at, redemption.subscription.timezone))

    @display(description="Until, not included", ordering="until_at")
    def until(self, redemption: Redemption) -> str:
        if redemption.until_at is None:
            return "for ever"
        return str(local_date(redemption.until_at, redemption.subscription.timezone))
