"""The operator's page of customers."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.forms import BaseModelFormSet, ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import action, display

from billing_site.foundation import clock
from billing_site.foundation.admin_base import ConfigurationAdmin
from billing_site.foundation.money import grouped
from billing_site.foundation.periods import Alignment, Interval, Schedule, local_date
from customers.accounts.subscription_admin import next_invoice
from customers.entitlements.entitled_admin import OverrideInline, ShowsEntitlements
from customers.models import Alias, Contact, Customer, Subscription
from customers.subscriptions import checks, subscribing
from customers.subscriptions.forms import AliasForm, CustomerForm, RefusalsShown
from customers.subscriptions.registering import remove_alias
from customers.usage import periodic


class AliasInline(TabularInline):
    """References are added and taken away; one that is there stays as it is, to the letter."""

    model = Alias
    form = AliasForm
    extra = 0
    hide_title = True
    tab = True
    verbose_name_plural = "aliases (other references on events)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alias]:
        rows: QuerySet[Alias] = super().get_queryset(request)
        return rows.filter(own=False)

    def has_change_permission(self, request: HttpRequest, obj: Customer | None = None) -> bool:
        return False


class ContactInline(TabularInline):
    model = Contact
    extra = 0
    hide_title = True
    tab = True


class SubscriptionInline(TabularInline):
    model = Subscription
    extra = 0
    hide_title = True
    tab = True
    fields = ("link", "version", "days", "state", "next_invoice")
    readonly_fields = fields
    ordering = ("-starts_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        rows: QuerySet[Subscription] = super().get_queryset(request)
        return rows.select_related("version__plan")

    def has_add_permission(self, request: HttpRequest, obj: Customer | None = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission

    @display(description="Subscription")
    def link(self, subscription: Subscription) -> SafeString:
        address = reverse("admin:customers_subscription_change", args=[subscription.pk])
        return format_html('<a class="tb-link" href="{}">{}</a>', address, subscription.reference)

    @display(description="Days")
    def days(self, subscription: Subscription) -> str:
        return checks.span(subscription)

    @display(description="State")
    def state(self, subscription: Subscription) -> str:
        return subscription.state_at(clock.now())

    @display(description="Next invoice")
    def next_invoice(self, subscription: Subscription) -> str:
        return next_invoice(subscription)


@admin.register(Customer)
class CustomerAdmin(ShowsEntitlements, RefusalsShown, ConfigurationAdmin):
    empty_text = "Whoever is billed: by the reference that usage events carry, in one currency."
    form = CustomerForm
    inlines = (SubscriptionInline, OverrideInline, AliasInline, ContactInline)
    list_display = ("name", "reference", "currency", "timezone", "running", "created_at")
    list_filter = ("currency", "country")
    ordering = ("reference",)  # the model's own is not applied to rows that are grouped to be counted
    search_fields = ("name", "reference", "aliases__reference", "email")
    search_help_text = "Name, reference, alias or e-mail"
    show_full_result_count = False
    actions_detail = ("usage_chart", "subscribe", "grant")
    readonly_fields = ("usage_this_month", "entitlements")

    class Media:
        css = {"all": ["catalog/features.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: Customer | None = None) -> Any:
        who = (None, {"fields": ("name", "reference", ("currency", "timezone"))})
        bill = ("On the invoice", {"fields": ("email", "tax_id", "address", "country")})
        if obj is None:
            return [who, bill]
        used = ("Usage this month", {"fields": ("usage_this_month",)})
        return [who, used, ("What it may", {"fields": ("entitlements",)}), bill]

    def get_inlines(self, request: HttpRequest, obj: Customer | None) -> Any:
        return self.inlines if obj is not None else (AliasInline, ContactInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Customer]:
        now = clock.now()
        running = Q(subscriptions__starts_at__lte=now) & (
            Q(subscriptions__ends_at=None) | Q(subscriptions__ends_at__gt=now)
        )
        rows: QuerySet[Customer] = super().get_queryset(request)
        return rows.annotate(running_count=Count("subscriptions", filter=running, distinct=True))

    def save_model(self, request: HttpRequest, obj: Customer, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        if change:
            subscribing.change_customer(obj, **{name: form.cleaned_data[name] for name in form.changed_data})
        else:
            obj.__dict__.update(subscribing.create_customer(**form.cleaned_data).__dict__)

    def save_formset(self, request: HttpRequest, form: Any, formset: BaseModelFormSet, change: bool) -> None:  # noqa: FBT001
        rows = formset.save(commit=False)
        if formset.model is not Alias:
            formset.save()
            return
        for alias in rows:
            subscribing.add_alias(form.instance, alias.reference)
        for alias in formset.deleted_objects:
            remove_alias(alias)

    @display(description="Subscriptions", ordering="running_count")
    def running(self, customer: Customer) -> int:
        return int(getattr(customer, "running_count", 0))

    @display(description="By meter")
    def usage_this_month(self, customer: Customer) -> SafeString:
        """Of the calendar month that it is at the customer's, whoever is billed for it."""
        now = clock.now()
        today = local_date(now, customer.timezone)
        month = Schedule(Interval.MONTH, Alignment.CALENDAR, today, customer.timezone).period_at(now)
        used, counting = periodic.beside_counting(
            periodic.chosen_meters(()), lambda told: periodic.used(customer, month, counting=told)
        )
        rows = [{"meter": row.meter, "quantity": grouped(row.quantity), "events": f"{row.events:,}"} for row in used]
        first = local_date(month.start, customer.timezone)
        context = {"rows": rows, "first": first, "until": today, "counting": counting}
        return render_to_string("admin/customers/customer/_usage.html", context)

    @action(description="Usage chart", permissions=["usage_chart"], icon="monitoring")
    def usage_chart(self, request: HttpRequest, object_id: str) -> HttpResponse:
        customer = Customer.objects.filter(pk=object_id).first()
        query = urlencode({"customer": customer.reference} if customer else {})
        return HttpResponseRedirect(f"{reverse('usage_chart')}?{query}")

    def has_usage_chart_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perms(("customers.view_customer", "meters.view_bucket"))

    @action(description="Subscribe to a plan", permissions=["subscribe"], icon="add")
    def subscribe(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:customers_subscription_add')}?customer={int(object_id)}")

    def has_subscribe_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """By a method: a permission by its name would be looked up in the database by every system check."""
        return request.user.has_perm("customers.add_subscription")
