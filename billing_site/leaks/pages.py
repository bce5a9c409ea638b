"""Usage that earns nothing, on one page: how much there is of each kind, what it may be worth, and how to mend it."""

from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from billing_site.foundation.errors import Refused
from billing_site.leaks.over_limit import meters_with_most_series, over_limits
from billing_site.leaks.refused import failed_uploads, refused_events, unread_values
from billing_site.leaks.sections import Section
from billing_site.leaks.unattributed import unknown_customers, unknown_types
from billing_site.leaks.unbilled import held_invoices, priced_at_nothing, unpriced_usage
from catalog.grid.row_forms import field_of
from catalog.models import Charge
from catalog.versions import publishing
from meters.backfills.admin import ask_a_worker
from meters.definitions import metering
from meters.models import Meter

INSTANTS = ("Last event", "Last", "Begun", "Since", "Period end")


# Who may look at a kind, and how it is looked for.
SECTIONS: Sequence[tuple[str, Callable[[HttpRequest], Iterator[Section]]]] = (
    ("customers.view_unknowncustomer", unknown_customers),
    ("meters.view_unknowntype", unknown_types),
    ("catalog.view_charge", unpriced_usage),
    ("invoicing.view_invoice", held_invoices),
    ("invoicing.view_invoice", priced_at_nothing),
    ("meters.view_event", unread_values),
    ("meters.view_refusal", refused_events),
    ("meters.view_upload", failed_uploads),
    ("meters.view_overlimit", over_limits),
    ("meters.view_series", meters_with_most_series),
)


def page(request: HttpRequest) -> HttpResponse:
    """Every kind that this user may look at."""
    makers = [make for permission, make in SECTIONS if request.user.has_perm(permission)]
    if not makers:
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Leaks",
        "instants": INSTANTS,
        "sections": [section for make in makers for section in make(request)],
    }
    return TemplateResponse(request, "admin/leaks.html", context)


def may_see(request: HttpRequest) -> bool:
    """Whether there is anything on the page for this user."""
    return any(request.user.has_perm(permission) for permission, _ in SECTIONS)


@require_POST
def clone_for_row(request: HttpRequest) -> HttpResponse:
    """Clone the version of a charge, and go on to the charge of the clone with the wanted row filled in."""
    if not (request.user.has_perm("catalog.add_planversion") and request.user.has_perm("catalog.change_charge")):
        raise PermissionDenied
    key = request.POST.get("charge", "")
    charge = get_object_or_404(Charge.objects.select_related("version"), pk=int(key) if key.isdecimal() else 0)
    try:
        draft = publishing.clone_version(charge.version)
    except Refused as refused:
        messages.error(request, str(refused))
        return HttpResponseRedirect(reverse("leaks"))
    messages.success(
        request, f"{draft} is a copy of {charge.version}. Give the new row a price, save, then publish it."
    )
    copy = Charge.objects.get(version=draft, code=charge.code)
    wanted = {name: value for name, value in request.POST.items() if name.startswith(field_of(""))}
    return HttpResponseRedirect(f"{reverse('admin:catalog_charge_change', args=[copy.pk])}?{urlencode(wanted)}")


@require_POST
def count_anew(request: HttpRequest) -> HttpResponse:
    """Have a meter counted anew by the limit of series that it has now."""
    if not request.user.has_perm("meters.change_meter"):
        raise PermissionDenied
    key = request.POST.get("meter", "")
    meter = get_object_or_404(Meter, pk=int(key) if key.isdecimal() else 0)
    metering.recount(meter, request.user)
    ask_a_worker(request, meter)
    messages.success(
        request,
        f"{meter} is counted anew, which its page shows. Customers that are beyond its limit then as well are listed "
        "here again.",
    )
    return HttpResponseRedirect(reverse("leaks"))
