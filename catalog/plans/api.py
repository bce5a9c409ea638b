"""The API's plans, and their documents."""

from typing import Any

from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation.pagination import KeysetPagination
from billing_site.foundation.parameters import PAGE
from billing_site.foundation.shaped_bodies import body, json_body
from catalog.documents.shapes import PLAN
from catalog.models import Charge, Plan, PlanVersion
from catalog.plans.serializers import PlanSerializer, WholePlanSerializer
from catalog.plans.view_api import MAX_NUMBER, View, find
from catalog.versions import publishing

# Each may have thousands of rows.
VERSIONS_AT_ONCE = 10
CHARGES = Charge.objects.select_related("product", "meter").prefetch_related(
    "cells", "amounts", "meter__dimensions", "meter__bands", "meter__values"
)
STATUS = OpenApiParameter(
    "status",
    str,
    description="Which versions: draft, published, retired, or several of them, separated by commas; published when"
    " left out.",
)
BEFORE = OpenApiParameter(
    "before", int, description="Only versions of lower numbers: `next` of the answer before; the newest when left out."
)


class Plans(View):
    """Plans, in the order of their codes."""

    queryset = Plan.objects.all()
    serializer_class = PlanSerializer
    pagination_class = KeysetPagination
    query_parameters = ("status", *PAGE)
    keyset = "code"

    @extend_schema(
        operation_id="list_plans",
        summary="List plans with their versions",
        parameters=[STATUS],
        responses=PlanSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        plans = self.get_queryset().prefetch_related(Prefetch("versions", _asked(request)))
        page = self.paginate_queryset(plans)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="create_plan",
        summary="Create a plan",
        description="It has no versions yet: create one, or put the plan's document.",
        request=json_body(PLAN),
        responses={201: PlanSerializer},
    )
    def post(self, request: Request) -> Response:
        plan = publishing.create_plan(**body(PLAN.read, request))
        return Response(self.get_serializer(plan).data, status=status.HTTP_201_CREATED)


class OnePlan(View):
    """One plan. Its name is that of all its versions; what it costs stands in them."""

    queryset = Plan.objects.all()
    serializer_class = WholePlanSerializer
    query_parameters = ("status", "before")

    @extend_schema(
        operation_id="retrieve_plan",
        summary="Retrieve a plan: its versions, their charges and every price",
        description=f"The newest {VERSIONS_AT_ONCE} of them; `next` leads to older ones.",
        parameters=[STATUS, BEFORE],
    )
    def get(self, request: Request, code: str) -> Response:
        asked, before = _asked(request), _before(request)
        plan = find(self.get_queryset(), code, "plan")
        numbers = asked.filter(plan=plan, number__lt=before).values_list("number", flat=True)
        found = list(numbers[: VERSIONS_AT_ONCE + 1])
        shown = found[:VERSIONS_AT_ONCE]
        whole = asked.filter(number__in=shown).select_related("commitment_product")
        versions = whole.prefetch_related("price_lists", Prefetch("charges", CHARGES), "feature_values__feature")
        prefetch_related_objects([plan], Prefetch("versions", versions))
        more = {"next": shown[-1] if len(found) > len(shown) else None}
        return Response(self.get_serializer(plan, context={**self.get_serializer_context(), **more}).data)

    @extend_schema(
        operation_id="change_plan",
        summary="Change a plan: the fields that are given",
        description="The answer shows its published versions.",
        request=json_body(PLAN, whole=False),
        responses=PlanSerializer,
    )
    def patch(self, request: Request, code: str) -> Response:
        plan = find(self.get_queryset().select_for_update(no_key=True), code, "plan")
        changed = publishing.change_plan(plan, **body(PLAN.read_some, request))
        offered = Prefetch("versions", _of(PlanVersion.Status.PUBLISHED))
        return Response(PlanSerializer(Plan.objects.prefetch_related(offered).get(pk=changed.pk)).data)

    @extend_schema(
        operation_id="delete_plan",
        summary="Delete a plan of which nothing was published, with its drafts",
        responses={204: None},
    )
    def delete(self, request: Request, code: str) -> Response:
        publishing.delete_plan(find(self.get_queryset().select_for_update(), code, "plan"))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _asked(request: Request) -> "QuerySet[PlanVersion]":
    """The versions that `?status=` names, the newest first."""
    named = request.query_params.get("status", PlanVersion.Status.PUBLISHED.value).split(",")
    unknown = [each for each in named if each not in PlanVersion.Status.values]
    if unknown:
        known = ", ".join(PlanVersion.Status.values)
        message = f"“{unknown[0][:50]}” is no status of a version: write one of {known}, or several with commas."
        raise ValidationError({"status": message}, code="status_unknown")
    return _of(*named)


def _before(request: Request) -> int:
    """The number below which versions are asked for."""
    text = request.query_params.get("before", str(MAX_NUMBER))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:12]) <= MAX_NUMBER):
        message = f"“{text[:50]}” is no number of a version: pass “next” as it was answered."
        raise ValidationError({"before": message}, code="before_invalid")
    return int(text)


def _of(*named: Any) -> "QuerySet[PlanVersion]":
    return PlanVersion.objects.filter(status__in=named).select_related("plan").order_by("-number")


urlpatterns = [
    path("plans", Plans.as_view(), name="plans"),
    path("plans/<str:code>", OnePlan.as_view(), name="plan"),
]
