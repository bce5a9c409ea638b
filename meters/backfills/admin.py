"""On the pages of meters: how many stored events there are, how far they are counted, going on when that failed."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from kombu.exceptions import OperationalError as BrokerAway
from unfold.decorators import display

from billing_site.foundation import clock
from billing_site.foundation.admin_base import ConfigurationAdmin
from billing_site.foundation.errors import Refused
from meters import tasks
from meters.backfills import backfilling, leases
from meters.backfills.progress import AT_WORK, progress
from meters.measuring import previews
from meters.models import Backfill, Meter


class CountingAdmin(ConfigurationAdmin):
    """What the page of meters has of the counting of stored events."""

    change_form_outer_before_template = "admin/meters/meter/_counting_outer.html"

    class Media:
        css = {"all": ["meters/upload.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Meter]:
        at_work = Backfill.objects.filter(status__in=AT_WORK).select_related("meter")
        found: QuerySet[Meter] = super().get_queryset(request)
        return found.prefetch_related(Prefetch("backfills", queryset=at_work, to_attr="at_work"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("stored/", view(self.stored_part), name="meters_meter_stored"),
            path("<int:pk>/counting/", view(self.counting_part), name="meters_meter_counting"),
            path("<int:pk>/resume/", view(self.resume_view), name="meters_meter_resume"),
            *super().get_urls(),
        ]

    def stored_part(self, request: HttpRequest) -> HttpResponse:
        """How many events of a type there are, asked for when somebody has typed it."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        context = stored(request.GET.get("event_type", ""))
        return TemplateResponse(request, "admin/meters/meter/_stored.html", context)

    def counting_part(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The bar, asked for by the page every second while the work goes on."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        meter = get_object_or_404(Meter, pk=pk)
        return TemplateResponse(request, "admin/meters/meter/_counting.html", self.counting_of(request, meter))

    def resume_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Go on where it failed."""
        meter = get_object_or_404(Meter, pk=pk)
        if not self.has_change_permission(request, meter):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            backfilling.resume(meter)
        except Refused as refused:
            messages.error(request, str(refused))
        else:
            ask_a_worker(request, meter)
        return to(meter)

    def counting_of(self, request: HttpRequest, meter: Meter) -> dict[str, Any]:
        """What the part shows: the latest job, when there was one."""
        job = Backfill.objects.filter(meter=meter).select_related("meter", "asked_by").order_by("-id").first()
        return {
            "meter": meter,
            "job": job,
            "counting": None if job is None else progress(job, clock.now()),
            "in_work": job is not None and job.status in leases.IN_WORK,
            "may": self.has_change_permission(request, meter),
        }

    def response_post_save_add(self, request: HttpRequest, obj: Meter) -> HttpResponse:
        return self._after(request, obj) or super().response_post_save_add(request, obj)

    def response_post_save_change(self, request: HttpRequest, obj: Meter) -> HttpResponse:
        return self._after(request, obj) or super().response_post_save_change(request, obj)

    def _after(self, request: HttpRequest, meter: Meter) -> HttpResponse | None:
        """To the meter's page, when there is something to watch on it."""
        return to(meter) if Backfill.objects.filter(meter=meter, status__in=AT_WORK).exists() else None

    @display(description="Stored events")
    def shown_counting(self, meter: Meter) -> str:
        job: Backfill
        for job in getattr(meter, "at_work", ()):
            return render_to_string(
                "admin/meters/meter/_counting_cell.html", {"job": job, "counting": progress(job, clock.now())}
            )
        return "–"


def stored(event_type: str) -> dict[str, Any]:
    """How many events of a type there are, for the page to say."""
    return {"event_type": event_type, "there": previews.there(event_type) if event_type else None}


def ask_a_worker(request: HttpRequest, meter: Meter) -> None:
    """As soon as this is committed, rather than when beat comes by."""

    def ask() -> None:
        try:
            tasks.ask_for(meter)
        except BrokerAway:
            messages.warning(request, "The queue (Redis) cannot be reached; beat takes up the work when it is back.")

    transaction.on_commit(ask)


def to(meter: Meter) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:meters_meter_change", args=[meter.pk]))
