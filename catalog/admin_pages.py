"""What the pages of the catalogue have in common."""

from collections.abc import Collection
from typing import Any

from django.contrib import messages
from django.db.models import Count, Min, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing_site.foundation.admin_base import ConfigurationAdmin
from billing_site.foundation.errors import Refused
from catalog.charges.cell_prices import price_of
from catalog.charges.priced_in import sum_in, unit_of
from catalog.models import Cell, Charge, PlanVersion
from catalog.pricing.words import counted, in_words, shown_per


class CataloguePage(ConfigurationAdmin):
    """What a verb refuses after its form was found good is said. (Somebody was faster.)"""

    show_full_result_count = False

    class Media:
        css = {"all": ["catalog/names.css"]}

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except Refused as refused:
            messages.error(request, str(refused))
            return HttpResponseRedirect(request.get_full_path())
        return answer

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        except Refused as refused:
            messages.error(request, str(refused))
            return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))
        return answer


class NamedPage(CataloguePage):
    """What has a name, and a code that is made from it while it is new."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001
        kwargs["help_texts"] = {"code": "A short name for programs, which stays when the name is changed."}
        return super().get_form(request, obj, change=change, **kwargs)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, tuple[str, ...]]:
        return {"code": ("name",)} if obj is None else {}


def clamped(name: object) -> SafeString:
    """A name in a list: three lines of it, and the whole of it as its title."""
    return format_html('<span class="tb-clamp" dir="auto" title="{0}">{0}</span>', name)


def is_draft(version: PlanVersion | None) -> bool:
    return version is not None and version.status == PlanVersion.Status.DRAFT


def with_counts(versions: "QuerySet[PlanVersion]") -> "QuerySet[PlanVersion]":
    """Versions with how many charges they have, and by how many subscriptions they are used: running ones, for which
    something is still to be invoiced, and ended ones. Each is counted for itself, so that none multiplies another.
    """
    here = PlanVersion.objects.filter(pk=OuterRef("pk")).order_by()
    running, ended = (here.filter(subscriptions__due_at__isnull=over) for over in (False, True))
    return versions.annotate(
        charge_count=_count(here, "charges"),
        running_count=_count(running, "subscriptions"),
        ended_count=_count(ended, "subscriptions"),
    )


def _count(rows: "QuerySet[PlanVersion]", what: str) -> Coalesce:
    return Coalesce(Subquery(rows.values("pk").annotate(counted=Count(what)).values("counted")), 0)


def charge_texts(charges: Collection[Charge]) -> list[tuple[Charge, str]]:
    """What each charge costs, in a few words, in its version's own currency. Reads their plans and meters.

    Two queries, which count rows and read only those that are alone: there may be thousands of the others.
    """
    rows = Cell.objects.filter(charge__in=charges, price_list=None).order_by().values_list("charge")
    counts = {charge: (count, first) for charge, count, first in rows.annotate(Count("pk"), Min("pk"))}
    alone = Cell.objects.filter(pk__in=[first for count, first in counts.values() if count == 1])
    cells = {cell.charge_id: cell for cell in alone}
    return [(each, _text(each, counts.get(each.pk, (0, 0))[0], cells.get(each.pk))) for each in charges]


def _text(charge: Charge, count: int, only: Cell | None) -> str:
    if charge.meter is None:
        return f"{sum_in(charge.amount, unit_of(charge))} {charge.get_timing_display().partition(',')[0].lower()}"
    if only is not None:
        price = price_of(only)
        return in_words(price, unit_of(charge), charge.meter.unit, shown_per([price]))
    return f"{counted(count, 'price')} per {charge.meter.unit}" if count else "no price yet"
