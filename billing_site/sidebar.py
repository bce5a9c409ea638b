"""The sidebar of the admin, in the order of the house: usage, prices, customers, invoices, access."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from billing_site import usage_chart
from billing_site.leaks import pages as leaks


@dataclass(frozen=True)
class Item:
    """A page of the admin: `address` is its name in the admin's URLs, `model` whose view permission opens it.

    `own`: a page of the site itself, whose address has its name outside of the admin's. Without a model, any page of
    the admin opens it.
    """

    title: str
    icon: str
    address: str
    model: str
    own: bool = False


GROUPS: dict[str, list[Item]] = {
    "Events & usage": [
        Item("Meters", "speed", "meters_meter_changelist", "meters.meter"),
        Item("Events", "bolt", "meters_event_changelist", "meters.event"),
        Item("Corrections", "edit_note", "meters_correction_changelist", "meters.correction"),
        Item("Attribution", "sell", "attribution", "meters.event", own=True),
        Item("Failed calls", "error", "calls", "meters.event", own=True),
        Item("Uploads", "upload_file", "meters_upload_changelist", "meters.upload"),
        Item("Usage by hour", "bar_chart", "meters_usagehour_changelist", "meters.usagehour"),
        Item("Series", "stacked_line_chart", "meters_series_changelist", "meters.series"),
        Item(
            "Unknown types",
            "help",
            "meters_unknowntype_changelist",
            "meters.unknowntype",
        ),
    ],
    "Catalogue": [
        Item("Products", "inventory_2", "catalog_product_changelist", "catalog.product"),
        Item("Plans", "sell", "catalog_plan_changelist", "catalog.plan"),
        Item(
            "Versions",
            "difference",
            "catalog_planversion_changelist",
            "catalog.planversion",
        ),
        Item("Charges", "payments", "catalog_charge_changelist", "catalog.charge"),
        Item("Coupons", "confirmation_number", "catalog_coupon_changelist", "catalog.coupon"),
        Item("Model costs", "price_change", "catalog_providermodel_changelist", "catalog.providermodel"),
        Item("Features", "checklist", "catalog_feature_changelist", "catalog.feature"),
    ],
    "Customers": [
        Item("Customers", "group", "customers_customer_changelist", "customers.customer"),
        Item(
            "Subscriptions",
            "autorenew",
            "customers_subscription_changelist",
            "customers.subscription",
        ),
        Item("Moves of subscriptions", "move_up", "customers_planmove_changelist", "customers.planmove"),
        Item("Negotiated terms", "handshake", "customers_override_changelist", "customers.override"),
        Item("Redeemed coupons", "redeem", "customers_redemption_changelist", "customers.redemption"),
        Item(
            "Overrides",
            "key",
            "customers_entitlementoverride_changelist",
            "customers.entitlementoverride",
        ),
        Item(
            "Unknown customers",
            "person_search",
            "customers_unknowncustomer_changelist",
            "customers.unknowncustomer",
        ),
    ],
    "Invoicing": [
        Item(
            "Invoices",
            "receipt_long",
            "invoicing_invoice_changelist",
            "invoicing.invoice",
        ),
        Item("Runs", "play_circle", "invoicing_run_changelist", "invoicing.run"),
        Item(
            "Late usage",
            "schedule",
            "invoicing_lateusage_changelist",
            "invoicing.lateusage",
        ),
        Item("Late problems", "error", "invoicing_lateproblem_changelist", "invoicing.lateproblem"),
        Item(
            "Number series",
            "tag",
            "invoicing_numberseries_changelist",
            "invoicing.numberseries",
        ),
    ],
    "Access": [
        Item("API keys", "key", "foundation_apikey_changelist", "foundation.apikey"),
        Item("Users", "person", "auth_user_changelist", "auth.user"),
        Item("Groups", "groups", "auth_group_changelist", "auth.group"),
        Item("History", "history", "history", "", own=True),
    ],
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups that hold a page which this user may see. A page that does not exist is left out."""
    groups = [
        {
            "title": title,
            "separator": True,
            "items": [entry for item in items if (entry := _entry(item, request))],
        }
        for title, items in GROUPS.items()
    ]
    first = [{"title": "First page", "icon": "home", "link": reverse("admin:index")}]
    if leaks.may_see(request):
        first.append({"title": "Leaks", "icon": "water_drop", "link": reverse("leaks")})
    if usage_chart.may_see(request):
        first.append({"title": "Usage", "icon": "monitoring", "link": reverse("usage_chart")})
    return [{"items": first}, *(group for group in groups if group["items"])]


def _entry(item: Item, request: HttpRequest) -> dict[str, Any] | None:
    try:
        link = reverse(item.address if item.own else f"admin:{item.address}")
    except NoReverseMatch:
        return None
    return {"title": item.title, "icon": item.icon, "link": link} if may_see(item, request) else None


def may_see(item: Item, request: HttpRequest) -> bool:
    pages = {model._meta.label_lower: page for model, page in admin.site._registry.items()}
    if item.model:
        return item.model in pages and pages[item.model].has_view_permission(request)
    return any(page.has_view_permission(request) for page in pages.values())
