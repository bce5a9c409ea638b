"""What the pages of the catalogue have in common."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from billing_site.foundation.admin_base import ConfigurationAdmin
from billing_site.foundation.errors import Refused
from billing_site.foundation.money import show
from catalog.charges.cell_prices import price_of
from catalog.charges.row_checks import words
from catalog.models import Cell, Charge, PlanVersion
from catalog.pricing.words import in_words, per_many


class CataloguePage(ConfigurationAdmin):
    """What a verb refuses after its form was found good is said. (Somebody was faster.)"""

    show_full_result_count = False

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


def is_draft(version: PlanVersion | None) -> bool:
    return version is not None and version.status == PlanVersion.Status.DRAFT


def own_rows(charge: Charge) -> list[Cell]:
    """The rows of the version's own currency. No query when they are prefetched."""
    return [cell for cell in charge.cells.all() if cell.price_list_id is None]


def charge_text(charge: Charge) -> str:
    """What a charge costs, in a few words. Reads its rows and its meter: prefetch them for a list."""
    currency = charge.version.currency
    if charge.meter is None:
        assert charge.amount is not None
        return f"{show(charge.amount, currency)} {charge.get_timing_display().partition(',')[0].lower()}"
    cells = own_rows(charge)
    if len(cells) == 1:
        return in_words(price_of(cells[0]), currency, charge.meter.unit)
    return f"{len(cells)} prices per {charge.meter.unit}" if cells else "no price yet"


def price_list(charge: Charge) -> list[tuple[str, str]]:
    """Every price of a charge: what it is for (nothing, for a fee), and the price. Prefetch its rows and its meter."""
    if charge.meter is None:
        return [("", charge_text(charge))]
    currency, unit = charge.version.currency, charge.meter.unit
    return [(words(cell.match), per_many(price_of(cell), currency, unit)) for cell in own_rows(charge)]
