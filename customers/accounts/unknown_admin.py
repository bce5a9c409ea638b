"""The operator's page of references that came on events and mean no customer."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from unfold.decorators import action, display

from billing_site.foundation.admin_base import ReadOnlyAdmin
from billing_site.foundation.errors import Refused
from catalog.pricing.words import counted
from customers.accounts.unknown import seen, unknown_customers
from customers.models import UnknownCustomer
from customers.subscriptions import subscribing
from customers.subscriptions.finding import customers_like
from customers.subscriptions.forms import AttachForm, NewCustomerForm


class SeenChangeList(ChangeList):
    """What was seen is read for the rows of the page alone."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        found = seen([row.customer for row in self.result_list])
        for row in self.result_list:
            row.seen = found[row.customer]  # what the columns below show


@admin.register(UnknownCustomer)
class UnknownCustomerAdmin(ReadOnlyAdmin):
    list_display = ("customer", "types", "events", "first_seen_at", "last_event_at")
    list_display_links = None
    empty_text = "Events under a reference that no customer has are listed here. So far there are none."
    search_fields = ("customer",)
    search_help_text = "Reference, as it stands on the events"
    show_full_result_count = False
    list_per_page = 50
    list_before_template = "admin/customers/unknowncustomer/_about.html"
    actions = ("create_customers",)
    actions_row = ("create_customer", "attach")

    class Media:
        js = ("foundation/suggest.js",)

    def get_urls(self) -> list[URLPattern]:
        offered = path("offered/", self.admin_site.admin_view(self.offered), name="customers_unknowncustomer_offered")
        return [offered, *super().get_urls()]

    def offered(self, request: HttpRequest) -> HttpResponse:
        """For the dialog that attaches: whom the beginning of a reference, or a part of a name, may mean."""
        if not self.has_attach_permission(request):
            raise PermissionDenied
        found = customers_like(request.GET.get("q", "").strip())
        return JsonResponse({"options": [{"value": each.reference, "label": each.name} for each in found]})

    def get_queryset(self, request: HttpRequest) -> QuerySet[UnknownCustomer]:
        return unknown_customers()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SeenChangeList

    def has_create_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("customers.add_customer")

    def has_attach_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("customers.change_customer")

    @display(description="Event types")
    def types(self, row: UnknownCustomer) -> str:
        return ", ".join(row.seen.types)

    @display(description="Events")
    def events(self, row: UnknownCustomer) -> str:
        return row.seen.events_text()

    @display(description="Last event")
    def last_event_at(self, row: UnknownCustomer) -> Any:
        return row.seen.last_at

    @action(description="Create a customer for each, in USD and UTC", permissions=["create"])
    def create_customers(self, request: HttpRequest, rows: QuerySet[UnknownCustomer]) -> None:
        created = 0
        for row in rows:
            try:
                subscribing.create_customer(reference=row.customer, name=row.customer)
                created += 1
            except Refused as refused:
                messages.error(request, f"“{row.customer}”: {refused}")
        if created:
            messages.success(request, f"{counted(created, 'customer')} created. Give them names and plans.")

    @action(
        description="Create a customer",
        permissions=["create"],
        dialog={
            "title": "Create a customer",
            "description": "It gets the reference that the events carry; what has come already is its usage.",
            "form_class": NewCustomerForm,
            "form_submit_text": "Create",
        },
    )
    def create_customer(self, request: HttpRequest, form: NewCustomerForm, object_id: str) -> HttpResponse:
        row = get_object_or_404(UnknownCustomer, pk=object_id)
        given = {name: form.cleaned_data[name] for name in ("name", "currency", "timezone")}
        try:
            customer = subscribing.create_customer(reference=row.customer, **given)
        except Refused as refused:
            return self._again(request, form, refused)
        messages.success(request, f"“{customer}” is created. Subscribe it to a plan to bill its usage.")
        return _go_to(reverse("admin:customers_customer_change", args=[customer.pk]))

    @action(
        description="Attach to a customer",
        permissions=["attach"],
        dialog={
            "title": "Attach to a customer",
            "description": "The reference becomes an alias of a customer that is there already.",
            "form_class": AttachForm,
            "form_submit_text": "Attach",
        },
    )
    def attach(self, request: HttpRequest, form: AttachForm, object_id: str) -> HttpResponse:
        row = get_object_or_404(UnknownCustomer, pk=object_id)
        customer = form.cleaned_data["customer"]
        try:
            subscribing.add_alias(customer, row.customer)
        except Refused as refused:
            return self._again(request, form, refused)
        messages.success(request, f"“{row.customer}” means “{customer}” from now on, and for what has come already.")
        return _go_to(reverse("admin:customers_customer_change", args=[customer.pk]))

    def _again(self, request: HttpRequest, form: Any, refused: Refused) -> HttpResponse:
        """Somebody was faster, or the reference cannot be a customer's own: say so on the list."""
        messages.error(request, str(refused))
        return _go_to(reverse("admin:customers_unknowncustomer_changelist"))


def _go_to(address: str) -> HttpResponse:
    """What htmx, which sent the dialog, follows."""
    return HttpResponse(headers={"HX-Redirect": address})
