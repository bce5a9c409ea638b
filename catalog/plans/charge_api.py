"""The API's charges of a version."""

from typing import Any

from django.db.models import QuerySet
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation import etags
from billing_site.foundation.shape_kinds import by_name, storable
from billing_site.foundation.shaped_bodies import body, json_body, unreadable
from billing_site.foundation.shapes import Shape, Simple, Unreadable, at
from catalog.documents import plan as documents
from catalog.documents.charge_filling import Filling, fill_charge, fill_list, no_list, priced
from catalog.documents.known import known_of, known_products, unknown
from catalog.documents.shapes import CHARGE, LISTED_CHARGE
from catalog.models import Charge, PlanVersion
from catalog.plans.api import CHARGES
from catalog.plans.serializers import ChargeSerializer, ChargesSerializer
from catalog.plans.view_api import VersionView, closest, version_of
from catalog.versions import publishing
from catalog.writing import Gathered, refuse

STAYS = "stays as it is; another one is another charge"
LISTED = by_name(Simple(LISTED_CHARGE.read_some, LISTED_CHARGE.schema(whole=False)), "price lists")
CHANGE: Shape = CHARGE.without("kind", "meter", only_read={"kind": STAYS, "meter": STAYS}).with_kinds(lists=LISTED)
SHOWN = CHARGES.select_related("product", "meter", "version").prefetch_related("version__price_lists")


class Charges(VersionView):
    """What a version charges for, in the order of the invoice."""

    serializer_class = ChargeSerializer

    @extend_schema(
        operation_id="list_charges",
        summary="List the charges of a version, with every price",
        responses=ChargesSerializer,
    )
    def get(self, request: Request, code: str, number: int) -> Response:
        version = version_of(self.get_queryset(), code, number)
        charges = SHOWN.filter(version=version)
        return Response({"data": self.get_serializer(charges, many=True).data, "next": None})

    @extend_schema(
        operation_id="create_charge",
        summary="Add a charge to a draft, with its rows",
        request=json_body(CHARGE),
        responses={201: ChargeSerializer},
        parameters=etags.ASKED,
    )
    def post(self, request: Request, code: str, number: int) -> Response:
        version = self.held(request, code, number)
        given = body(CHARGE.read, request)
        _check(given, None)
        wanted, gathered = documents.charge_document(given), Gathered()
        fill_charge(version, given["code"], None, wanted, None, _filling(version, wanted, gathered), "")
        refuse(gathered.faults)
        made = SHOWN.get(version=version, code=given["code"])
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)


class OneCharge(VersionView):
    """One charge. Rows that are given replace those that are there, in that currency."""

    serializer_class = ChargeSerializer

    @extend_schema(operation_id="retrieve_charge", summary="Retrieve a charge, with every price")
    def get(self, request: Request, code: str, number: int, charge: str) -> Response:
        version = version_of(self.get_queryset(), code, number)
        return Response(self.get_serializer(_find(SHOWN, version, charge)).data)

    @extend_schema(
        operation_id="change_charge",
        summary="Change a charge of a draft: the fields that are given",
        request=json_body(CHANGE, whole=False),
        parameters=etags.ASKED,
    )
    def patch(self, request: Request, code: str, number: int, charge: str) -> Response:
        version = self.held(request, code, number)
        found = _find(Charge.objects.all(), version, charge)
        given = body(CHANGE.read_some, request)
        _check(given, found.kind)
        _change(version, found, given)
        return Response(self.get_serializer(SHOWN.get(pk=found.pk)).data)

    @extend_schema(
        operation_id="delete_charge",
        summary="Charge for this no more in a draft",
        responses={204: None},
        parameters=etags.ASKED,
    )
    def delete(self, request: Request, code: str, number: int, charge: str) -> Response:
        version = self.held(request, code, number)
        publishing.remove_charge(_find(Charge.objects.all(), version, charge))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _check(given: dict[str, Any], kind: str | None) -> None:
    faults = list(documents.charge_faults(given, kind=kind))
    if faults:
        raise unreadable(Unreadable(faults))


def _filling(version: PlanVersion, wanted: documents.ChargeDocument, gathered: Gathered) -> Filling:
    lists = {each.currency: each for each in version.price_lists.all()}
    return Filling(known_of([wanted]), lists, lists.keys(), gathered)


def _change(version: PlanVersion, charge: Charge, given: dict[str, Any]) -> None:
    """By the verbs, each fault at its place in the body."""
    lists, gathered = given.pop("lists", {}), Gathered()
    terms = {name: value for name, value in given.items() if value is not None or name not in ("position", "timing")}
    if charge.kind == documents.FLAT:
        terms = {name: value for name, value in terms.items() if name in ("code", *documents.terms_of(charge.kind))}
    if "rows" in terms:
        terms["rows"] = priced(terms["rows"])
    if "product" in terms:
        code = terms["product"]
        terms["product"] = known_products([code]).get(code)
        if terms["product"] is None:
            gathered.add(unknown("product", code, "product"), "")
            del terms["product"]
    if terms:
        with gathered.at(""):
            publishing.change_charge(charge, **terms)
    there = {each.currency: each for each in version.price_lists.all()}
    for currency, listed in lists.items():
        place = at("lists", currency)
        rows = listed.pop("rows", None)
        if currency in there:
            fill_list(charge, there[currency], listed, rows, gathered, place)
        else:
            gathered.add(no_list(currency), place)
    refuse(gathered.faults)


def _find(charges: "QuerySet[Charge]", version: PlanVersion, code: str) -> Charge:
    found = charges.filter(version=version, code=code).first() if storable(code) else None
    if found is None:
        codes = list(version.charges.values_list("code", flat=True))
        raise NotFound(closest(f"charge of {version}", code, codes), code="charge_unknown")
    return found


of_version = "plans/<str:code>/versions/<int:number>/charges"
urlpatterns = [
    path(of_version, Charges.as_view(), name="charges"),
    path(f"{of_version}/<str:charge>", OneCharge.as_view(), name="charge"),
]
