"""The pages behind the grid of a charge: its rows are read, saved, checked, priced and turned into a file, as JSON.

Reading what was pasted, pricing and checking change nothing: they are open to whoever may look at the charge.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_GET, require_POST

from billing_site.foundation.api_errors import refusal_status
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.shaped_bodies import once_each
from billing_site.foundation.spreadsheets import csv_answer
from catalog.charges.priceable import priceable
from catalog.charges.seen_values import seen_values
from catalog.checks.linting import lint, used
from catalog.costs.margins import margins_now
from catalog.grid import messages, previewing
from catalog.grid.sheet_reading import Reading, read
from catalog.grid.sheets import write
from catalog.models import Charge, Plan
from catalog.pricing.documents import Unreadable
from catalog.pricing.price import Model, price_faults
from catalog.pricing.words import counted, in_words
from catalog.versions.matrices import ListRows, read_matrix, set_matrix
from catalog.writing import Gathered

Answer = Callable[[Any, HttpRequest, Charge, Mapping[str, Any]], HttpResponse]


class GridPages:
    """For the charge's admin."""

    admin_site: Any

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "rows": require_GET(self._page(_rows)),
            "save": require_POST(self._page(_save)),
            "read": require_POST(self._page(_read)),
            "prices": require_POST(self._page(_prices)),
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
    """{"lists": [{"currency", "stamp", "rows"}], "form": the page's fields as its form sends them}: all of it is saved,
    or nothing. `goto`: where saving the form leads.
    """
    if not request.user.has_perm("catalog.change_charge"):  # type: ignore[union-attr]
        raise PermissionDenied
    asked = messages.SAVE.read(given)
    lists: list[ListRows] = []
    saved: list[ListRows] = []
    wrong = Gathered()  # of the fields and of the rows at once: who mends the ones need not come back for the others
    with wrong.at(""):
        lists = messages.lists_from_json(asked["lists"], charge.version.currency)
    form = _form(admin, request, charge, asked["form"]) if asked["form"] else None
    try:
        with transaction.atomic():
            if form is not None:
                with wrong.at(""):
                    _save_form(admin, request, form)
            with wrong.at(""):
                saved = set_matrix(charge, lists)
            if wrong.faults:
                raise Refused(*dict.fromkeys(wrong.faults))
            count = sum(len(each.rows) for each in lists)
            admin.log_change(request, charge, f"Saved {counted(count, 'row')} of prices.")
    except Refused as refused:
        return _refused(charge, refused, {each.currency: each.rows for each in lists})
    said = {"stamps": {each.currency: each.stamp for each in saved}}
    return JsonResponse(said if form is None else {**said, "goto": _saved(admin, request, form)})


def _form(admin: Any, request: HttpRequest, charge: Charge, fields: str) -> Any:
    """The page's form with what stands in its fields; `request` looks from now on as if the page itself had sent it."""
    request.POST = QueryDict(fields)  # type: ignore[assignment]
    request.path = reverse("admin:catalog_charge_change", args=[charge.pk])
    charge = admin.get_object(request, str(charge.pk))
    return admin.get_form(request, charge, change=True)(request.POST, instance=charge)


def _save_form(admin: Any, request: HttpRequest, form: Any) -> None:
    """As the page's own button does. Raises Refused; a fault's field is “form.code” or the like, or “form”."""
    if not form.is_valid():
        places = {name: "form" if name == NON_FIELD_ERRORS else f"form.{name}" for name in form.errors}
        wrong = ((places[name], each) for name, errors in form.errors.as_data().items() for each in errors)
        raise Refused(*(Fault(str(each.code), " ".join(each.messages), place) for place, each in wrong))
    admin.save_related(request, form, [], change=True)
    admin.log_change(request, form.instance, admin.construct_change_message(request, form, []))


def _saved(admin: Any, request: HttpRequest, form: Any) -> str:
    """Where the page's own button leads; what it says is said there."""
    answer = admin.response_change(request, form.instance)
    return str(answer.get("Location", request.path))


def _read(admin: Any, request: HttpRequest, charge: Charge, given: Mapping[str, Any]) -> HttpResponse:
    """{"text", "start", "models", "comma", "scale", "currency"}: what was pasted, or a file, as rows."""
    assert charge.meter is not None
    names = priceable(charge.meter).dimensions
    asked = messages.pasted(len(names) + 2).read(given)
    models = [Model(each) for each in asked["models"]]
    how = Reading(names, asked["start"], models, asked["comma"], asked["scale"], asked["currency"])
    return JsonResponse(messages.sheet_to_json(read(asked["text"], how)))


def _prices(admin: Any, request: HttpRequest, charge: Charge, given: Mapping[str, Any]) -> HttpResponse:
    """{"texts": [{"model", "text", "scale", "comma"}]}: what was typed into cells, as prices."""
    return JsonResponse({"prices": messages.prices_to_json(messages.PRICES.read(given)["texts"])})


def _check(admin: Any, request: HttpRequest, charge: Charge, given: Mapping[str, Any]) -> HttpResponse:
    """{"rows", "currency"} as they are in the grid, saved or not: what to look at, and what rows could be added for.

    “so_far”: by the usage of this month so far, instead of that of the last one.
    """
    assert charge.meter is not None
    asked = messages.CHECK.read(given)
    rows, unreadable = messages.readable(asked["rows"])
    linted = lint(charge, _currency(charge, asked), rows, used(charge.meter, so_far=asked["so_far"]))
    return JsonResponse(messages.linted_to_json(linted, unreadable))


def _preview(admin: Any, request: HttpRequest, charge: Charge, given: Mapping[str, Any]) -> HttpResponse:
    """{"match", "price", "currency", "quantities", "events"}: what they cost, by the code that bills."""
    assert charge.meter is not None
    asked = messages.PREVIEW.read(given)
    price = messages.price_from_json(asked, "price")
    if faults := list(price_faults(price, "price")):
        raise Refused(*faults)
    of = previewing.asked(asked["quantities"]) if asked["quantities"] else previewing.quantities(price)
    count = previewing.events(asked["events"])
    currency, unit, known = _currency(charge, asked), charge.meter.unit, priceable(charge.meter)
    row = messages.row_from_json(asked, price)
    margins = margins_now(charge, [row]) if price.model == Model.COST_PLUS else []
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
    """{"rows"} as they are in the grid, as CSV that spreadsheets take for what it is."""
    assert charge.meter is not None
    rows = messages.rows_from_json(messages.FILE.read(given)["rows"])
    return csv_answer(write(priceable(charge.meter).dimensions, rows), f"{charge.code}.csv", mark=True)


def _currency(charge: Charge, given: Mapping[str, Any]) -> str:
    """One that the version has prices in. Raises Refused."""
    currency: str = given["currency"]
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
        given = json.loads(request.body, object_pairs_hook=once_each)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, Mapping):
        raise Refused(Fault("request_invalid", "The request is no JSON object.", ""))
    return given


def _refused(charge: Charge, refused: Refused, rows: Mapping[str, Any] | None = None) -> HttpResponse:
    assert charge.meter is not None
    errors = messages.faults_to_json(refused.faults, priceable(charge.meter), rows or {}, charge.version.currency)
    return JsonResponse({"errors": errors}, status=refusal_status(refused))
