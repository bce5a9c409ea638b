"""The first page of the admin: what to do next in a new installation, then how things stand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from billing_site.foundation import clock
from billing_site.foundation.models import ApiKey
from billing_site.foundation.money import show
from catalog.models import Charge, Plan, PlanVersion, Product
from customers.accounts.unknown import unknown_customers
from customers.models import Customer, Subscription, UnknownCustomer
from invoicing.models import Invoice
from meters.explorer.unknown import unknown_types
from meters.models import Event, Meter, UnknownType

COUNT_UP_TO = 1_000
EVENTS_UP_TO = 1_000_000
# Ids and times of arrival run together but for transactions that overlap: look this many ids further back.
OVERLAP = 20_000


@dataclass(frozen=True)
class Step:
    """Something to do once. `link` is None when this user has no page for it."""

    title: str
    text: str
    done: bool
    link: str | None


@dataclass(frozen=True)
class Figure:
    """A number, and where it leads. `alarm`: somebody should look at it when it is not zero."""

    title: str
    value: str
    link: str | None
    alarm: bool = False


@dataclass(frozen=True)
class LastInvoice:
    number: str
    customer: str
    total: str
    finalized_at: Any
    link: str | None


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's dashboard callback: adds what templates/admin/index.html shows, as far as this user may see it."""
    steps = _steps(request)
    left = [step for step in steps if not step.done]
    return {
        **context,
        "title": "Welcome" if left else "How things stand",
        "steps": steps if left else [],
        "steps_done": len(steps) - len(left),
        "next_step": left[0] if left else None,
        "figures": _figures(request) if Event.objects.exists() or Customer.objects.exists() else [],
        "last_invoices": _last_invoices(request),
    }


def _steps(request: HttpRequest) -> list[Step]:
    rows: Sequence[tuple[str, str, QuerySet[Any], type[Model], str]] = (
        (
            "Make a meter",
            "It says which events are counted, and by which properties.",
            Meter.objects.all(),
            Meter,
            "add",
        ),
        (
            "Make a product",
            "The name under which something stands on an invoice.",
            Product.objects.all(),
            Product,
            "add",
        ),
        ("Make a plan", "A name under which price lists follow each other.", Plan.objects.all(), Plan, "add"),
        (
            "Price it",
            "Add a version to the plan, and charges to the version.",
            Charge.objects.all(),
            PlanVersion,
            "changelist",
        ),
        (
            "Publish the version",
            "From then on its prices never change; new prices are a new version.",
            PlanVersion.objects.exclude(status=PlanVersion.Status.DRAFT),
            PlanVersion,
            "changelist",
        ),
        (
            "Create a customer",
            "Its reference is the id that your events carry.",
            Customer.objects.all(),
            Customer,
            "add",
        ),
        (
            "Subscribe the customer",
            "To the published version, from a date on.",
            Subscription.objects.all(),
            Subscription,
            "add",
        ),
        (
            "Make an API key",
            "With the scope “ingest”, for the program that sends events.",
            ApiKey.objects.all(),
            ApiKey,
            "add",
        ),
        (
            "Send events",
            "POST them to /v1/events; the page of a new API key shows how.",
            Event.objects.all(),
            Event,
            "changelist",
        ),
    )
    return [Step(title, text, rows.exists(), _link(request, model, page)) for title, text, rows, model, page in rows]


def _link(request: HttpRequest, model: type[Model], page: str = "changelist", query: str = "") -> str | None:
    """The address of an admin page that exists and that this user may open."""
    registered = admin.site._registry.get(model)
    if registered is None:
        return None
    may = registered.has_add_permission if page == "add" else registered.has_view_permission
    try:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}")
    except NoReverseMatch:
        return None
    return address + query if may(request) else None


def _figures(request: HttpRequest) -> list[Figure]:
    drafts = Invoice.objects.filter(status=Invoice.Status.DRAFT)
    held = drafts.exclude(hold_reason="")
    rows: Sequence[tuple[str, str, type[Model], str, bool]] = (
        ("Events received today (UTC)", _events_today(), Event, "", False),
        ("Customers", _count(Customer.objects.all()), Customer, "", False),
        ("Open drafts", _count(drafts.filter(hold_reason="")), Invoice, "?status__exact=draft", False),
        ("Held invoices", _count(held), Invoice, "?held=yes", True),
        ("Unknown customers", _count(unknown_customers()), UnknownCustomer, "", True),
        ("Unknown event types", _count(unknown_types()), UnknownType, "", True),
    )
    return [
        Figure(title, value, _link(request, model, query=query), alarm and value != "0")
        for title, value, model, query, alarm in rows
        if _may_see(request, model)
    ]


def _may_see(request: HttpRequest, model: type[Model]) -> bool:
    return request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}")


def _count(rows: QuerySet[Any], limit: int = COUNT_UP_TO) -> str:
    """How many, as text, without counting beyond what anybody reads."""
    count = rows.order_by()[: limit + 1].count()
    return f"{count:,}" if count <= limit else f"more than {limit:,}"


def _events_today() -> str:
    """Found by id, since events have no index on their arrival: the ids of today are a range at the end."""
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    newest = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
    first = _first(
        lambda low: Event.objects.filter(id__gte=low).order_by("id").values_list("id", "received_at").first(),
        newest,
        midnight,
    )
    return _count(Event.objects.filter(id__gte=first - OVERLAP, received_at__gte=midnight), EVENTS_UP_TO)


def _first(at: Callable[[int], Any], newest: int, since: Any) -> int:
    """The lowest id from which on rows arrived `since` then, by halving: 30 look-ups in a billion."""
    low, high = 0, newest + 1
    while low < high:
        middle = (low + high) // 2
        row = at(middle)
        if row is None or row[1] >= since:
            high = middle
        else:
            low = row[0] + 1
    return low


def _last_invoices(request: HttpRequest) -> list[LastInvoice]:
    if not _may_see(request, Invoice):
        return []
    rows = Invoice.objects.filter(status=Invoice.Status.FINALIZED).select_related("customer").order_by("-id")[:5]
    page = _link(request, Invoice)
    return [
        LastInvoice(
            invoice.number,
            invoice.customer.name,
            show(invoice.total, invoice.currency),
            invoice.finalized_at,
            page and reverse("admin:invoicing_invoice_change", args=[invoice.pk]),
        )
        for invoice in rows
    ]
