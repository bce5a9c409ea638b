"""The API's versions of a plan: made, changed and thrown away as drafts."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Prefetch
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation import etags
from billing_site.foundation.errors import Refused
from billing_site.foundation.shape_kinds import by_name, whole_number
from billing_site.foundation.shaped_bodies import body, json_body
from billing_site.foundation.shapes import Field, Shape, Simple, at
from catalog.documents import exporting
from catalog.documents.known import unknown
from catalog.documents.shapes import GIVEN, TERMS
from catalog.models import Feature, Plan, PlanVersion, Product
from catalog.plans.api import CHARGES
from catalog.plans.serializers import WholeVersionSerializer
from catalog.plans.view_api import MAX_NUMBER, VersionView, View, find, version_of
from catalog.versions import publishing
from catalog.writing import Gathered, refuse

CLONE_OF = Field(whole_number(1, MAX_NUMBER), "Begin with what this version charges.", default=None, nullable=True)
GIVEN_OR_NOT = Simple(
    lambda given, place: None if given is None else GIVEN.read(given, place), {**GIVEN.schema(), "nullable": True}
)
FEATURES = Field(
    by_name(GIVEN_OR_NOT, "features by code"), "What it gives of those that are named; null: nothing of that one.", {}
)
VERSION = Shape(TERMS.what, {**TERMS.fields, "features": FEATURES}, TERMS.only_read)
NEW_VERSION = Shape(TERMS.what, {"clone_of": CLONE_OF, **VERSION.fields}, TERMS.only_read)
SHOWN = PlanVersion.objects.select_related("plan", "commitment_product").prefetch_related(
    "price_lists", Prefetch("charges", CHARGES), "feature_values__feature"
)


class Versions(View):
    """Versions are numbered 1, 2, 3 … within their plan. `GET /v1/plans/{code}?status=draft` shows drafts."""

    queryset = PlanVersion.objects.all()
    serializer_class = WholeVersionSerializer

    @extend_schema(
        operation_id="create_version",
        summary="Begin a draft: empty, or a clone of another version",
        request=json_body(NEW_VERSION, whole=False),
        responses={201: WholeVersionSerializer},
    )
    def post(self, request: Request, code: str) -> Response:
        plan = find(Plan.objects.select_for_update(no_key=True), code, "plan")
        given = body(NEW_VERSION.read_some, request)
        original, features = given.pop("clone_of", None), given.pop("features", {})
        terms, gathered = terms_of(given), Gathered()
        if original is None:
            draft = publishing.draft_version(plan, **terms)
        else:
            draft = publishing.clone_version(version_of(PlanVersion.objects.select_related("plan"), code, original))
            publishing.change_version(draft, **terms)
        give(draft, features, gathered)
        refuse(gathered.faults)
        shown = SHOWN.get(pk=draft.pk)
        return Response(self.get_serializer(shown).data, status=status.HTTP_201_CREATED)


class OneVersion(VersionView):
    """One version with its charges and every price. A published one never changes: clone it."""

    serializer_class = WholeVersionSerializer

    @extend_schema(
        operation_id="retrieve_version",
        summary="Retrieve a version, whatever its status",
        parameters=etags.ANSWERED,
    )
    def get(self, request: Request, code: str, number: int) -> Response:
        version = version_of(SHOWN, code, number)
        return Response(self.get_serializer(version).data, headers=etags.header(exporting.tag_of(version)))

    @extend_schema(
        operation_id="change_version",
        summary="Change the terms of a draft: the fields that are given",
        request=json_body(VERSION, whole=False),
        parameters=etags.ASKED,
    )
    def patch(self, request: Request, code: str, number: int) -> Response:
        version = self.held(request, code, number)
        given, gathered = body(VERSION.read_some, request), Gathered()
        features = given.pop("features", {})
        with gathered.at(""):
            publishing.change_version(version, **terms_of(given))
        give(version, features, gathered)
        refuse(gathered.faults)
        return Response(self.get_serializer(SHOWN.get(pk=version.pk)).data)

    @extend_schema(
        operation_id="delete_version", summary="Throw a draft away", responses={204: None}, parameters=etags.ASKED
    )
    def delete(self, request: Request, code: str, number: int) -> Response:
        publishing.delete_version(self.held(request, code, number))
        return Response(status=status.HTTP_204_NO_CONTENT)


def give(version: PlanVersion, features: Mapping[str, Any], gathered: Gathered) -> None:
    """What a draft gives of features, by code; None: nothing."""
    there = {each.code: each for each in Feature.objects.filter(code__in=features)}
    for code in features:
        if code not in there:
            gathered.add(unknown("feature", code, ""), at("features", code))
    values = {there[code]: given and given["value"] for code, given in features.items() if code in there}
    if values:
        with gathered.at("features"):
            publishing.set_feature_values(version, values)


def terms_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a shape has read, as the verbs take it. Raises Refused for a product that is not there."""
    terms = dict(given)
    if "grace_seconds" in terms:
        terms["grace"] = timedelta(seconds=terms.pop("grace_seconds"))
    if (code := terms.get("commitment_product")) is not None:
        product = Product.objects.filter(code=code).first()
        if product is None:
            raise Refused(unknown("product", code, "commitment_product"))
        terms["commitment_product"] = product
    return terms


of_plan = "plans/<str:code>/versions"
urlpatterns = [
    path(of_plan, Versions.as_view(), name="versions"),
    path(f"{of_plan}/<int:number>", OneVersion.as_view(), name="version"),
]
