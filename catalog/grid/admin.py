"""The pages behind the grid of a charge: its rows are read, saved, checked, priced and turned into a file, as JSON.

Reading what was pasted, pricing and checking change nothing: they are open to whoever may look at the charge.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET, require_POST

from billing_site.foundation.api_errors import refusal_status
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.spreadsheets import csv_answer
from catalog.charges.priceable import priceable
from catalog.charges.seen_values import seen_values
from catalog.checks.linting import lint
from catalog.costs.margins import row_margins
from catalog.grid import messages, previewing
from catalog.grid.sheet_reading import Reading, read
from catalog.grid.sheets import write
from catalog.models import Charge, Plan
from catalog.pricing.documents import Unreadable
from catalog.pricing.price import Model, price_faults
from catalog.pricing.words import in_words
from catalog.versions.matrices import read_matrix, set_matrix

Answer = Callable[[Any, HttpRequest, Charge, Mapping[str, Any]], HttpResponse]
COMMAS = (None, "decimal", "thousands")
SCALES = (0, 3, 6)


class GridPages:
    """For the charge's admin."""

    admin_site: Any

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "rows": require_GET(self._page(_rows)),
            "save": require_POST(self._page(_save)),
            "read": require_POST(self._page(_read)),
            "check": require_POST(self._page(_check)),
            "preview": require_POST(self._page(_preview)),
            "file": require_POST(self._page(_file)),
        }
        own = [
            path(f"<int:charge_id>/grid/{name}/", self.admin_site.admin_view(view), name=f"catalog_charge_grid_{name}")
            for name, view in pages.items()
        ]
        return [*own, *super().get_urls()]  # type: ignore[misc]

    def _page(self, answer: Answer) -> Callable[..., HttpResponse]:
        """Finds the charge, reads the body, and turns what is refused into an answer that names the cells."""

        def view(request: HttpRequest, charge_id: int) -> HttpResponse:
            charge = _charge(charge_id)
            if not self.has_view_permission(request, charge):  # type: ignore[attr-defined]
                raise PermissionDenied
            try:
                return answer(self, request, charge, _body(request))
            except Unreadable as error:
                return _refused(charge, Refused(*error.faults))
            except Refused as refused:
                return _refused(charge, refused)

        return view


def _rows(admin: Any, request: HttpRequest, charge: Charge, given: Mapping[str, Any]) -> HttpResponse:
    """All rows in every currency, and values that usage has had."""
    assert charge.meter is not None
    seen = seen_values(charge.meter, priceable(charge.meter))
    return JsonResponse({"lists": messages.lists_to_json(read_matrix(charge)), "values": seen})


def _save(admin: Any, request: HttpRequest, charge: Charge, given: Mapping[str, Any]) -> HttpResponse:
    """{"lists": [{"currency", "stamp", "rows"}]}: all of it is saved, or nothing."""
    if not request.user.has_perm("catalog.change_charge"):  # type: ignore[union-attr]
        raise PermissionDenied
    lists = messages.lists_from_json(given.get("lists"), charge.version.currency)
    try:
        saved = set_matrix(charge, lists)
    except Refused as refused:
        return _refused(charge, refused, {each.currency: each.rows for each in lists})
    count = sum(len(each.rows) for each in lists)
    admin.log_change(request, charge, f"Saved {count:,} rows of prices.")
    return JsonResponse({"stamps": {each.currency: each.stamp for each in saved}})


def _read(admin: Any, request: HttpRequest, charge: Charge, given: Mapping[str, Any]) -> HttpResponse:
    """{"text", "start", "models", "comma", "scale"}: what was pasted, or a file, as rows."""
    assert charge.meter is not None
    models = given.get("models", [])
    known = isinstance(models, list) and all(each in set(Model) for each in models)
    start, comma, scale = given.get("start", 0), given.get("comma"), given.get("scale", 0)
    names = priceable(charge.meter).dimensions
    if not (known and comma in COMMAS and scale in SCALES and start in range(len(names) + 2)):
        raise Refused(Fault("request_invalid", "What was pasted cannot be read like this.", ""))
    how = Reading(names, start, [Model(each) for each in models], comma, scale)
    return JsonResponse(messages.sheet_to_json(read(str(given.get("text", "")), how)))


def _check(admin: Any, request: HttpRequest, charge: Charge, given: Mapping[str, Any]) -> HttpResponse:
    """{"rows", "currency"} as they are in the grid, saved or not: what to look at, and what rows could be added for."""
    rows, unreadable = messages.readable(given.get("rows"))
    linted = lint(charge, _currency(charge, given), rows)
    return JsonResponse(messages.linted_to_json(linted, unreadable))


def _preview(admin: Any, request: HttpRequest, charge: Charge, given: Mapping[str, Any]) -> HttpResponse:
    """{"match", "price", "currency", "quantities", "events"}: what they cost, by the code that bills."""
    assert charge.meter is not None
    price = messages.price_from_json(given, "price")
    if faults := list(price_faults(price, "price")):
        raise Refused(*faults)
    wanted = given.get("quantities") or []
    of = previewing.asked(wanted) if isinstance(wanted, list) and wanted else previewing.quantities(price)
    count = previewing.events(given.get("events", 1))
    currency, unit, known = _currency(charge, given), charge.meter.unit, priceable(charge.meter)
    margins = row_margins(charge, [messages.row_from_json(given, price)]) if price.model == Model.COST_PLUS else []
    cost = margins[0].cost if margins else None
    in_credits = charge.version.plan.consumption == Plan.Consumption.CREDITS
    how = previewing.How("" if in_credits else currency, unit, bool(known.dimensions), cost)
    said = [
        {"quantity": each.quantity, "amount": each.amount, "steps": each.steps}
        for each in previewing.preview(price, of, count, how)
    ]
    words = in_words(price, "credits" if in_credits else currency, unit)
    return JsonResponse({"words": f"{words}; {margins[0].at}" if margins else words, "lines": said})


def _file(admin: Any, request: HttpRequest, charge: Charge, given: Mapping[str, Any]) -> HttpResponse:
    """{"rows", "currency"} as they are in the grid, as CSV."""
    assert charge.meter is not None
    rows = messages.rows_from_json(given.get("rows"))
    return csv_answer(write(priceable(charge.meter).dimensions, rows), f"{charge.code}.csv")


def _currency(charge: Charge, given: Mapping[str, Any]) -> str:
    """One that the version has prices in. Raises Refused."""
    currency = str(given.get("currency", ""))
    if currency not in charge.version.currencies():
        raise Refused(Fault("currency_unknown", "The version has no prices in this currency.", "currency"))
    return currency


def _charge(charge_id: int) -> Charge:
    parts = ("meter__dimensions", "meter__bands", "meter__values", "version__price_lists")
    found = Charge.objects.select_related("meter", "version__plan").prefetch_related(*parts).filter(pk=charge_id)
    charge = found.exclude(meter=None).first()
    if charge is None:
        raise Http404("There is no such usage charge.")
    return charge


def _body(request: HttpRequest) -> Mapping[str, Any]:
    if request.method == "GET":
        return {}
    try:
        given = json.loads(request.body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, Mapping):
        raise Refused(Fault("request_invalid", "The request is no JSON object.", ""))
    return given


def _refused(charge: Charge, refused: Refused, rows: Mapping[str, Any] | None = None) -> HttpResponse:
    assert charge.meter is not None
    errors = messages.faults_to_json(refused.faults, priceable(charge.meter), rows or {}, charge.version.currency)
    return JsonResponse({"errors": errors}, status=refusal_status(refused))
