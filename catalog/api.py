"""The API's plans: to read. They are written in the admin."""

from django.db.models import Prefetch
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation.pagination import KeysetPagination
from billing_site.foundation.parameters import PAGE
from catalog import cost_api, coupon_api, feature_api
from catalog.models import Charge, Plan, PlanVersion
from catalog.serializers import PlanSerializer, WholePlanSerializer

OFFERED = PlanVersion.objects.filter(status=PlanVersion.Status.PUBLISHED).select_related("plan").order_by("-number")
CHARGES = Charge.objects.select_related("version", "product", "meter").prefetch_related(
    "cells", "meter__dimensions", "meter__bands", "meter__values"
)


class Plans(GenericAPIView[Plan]):
    queryset = Plan.objects.prefetch_related(Prefetch("versions", OFFERED))
    serializer_class = PlanSerializer
    pagination_class = KeysetPagination
    filter_backends = ()
    required_scopes = "read"
    query_parameters = PAGE
    keyset = "code"

    @extend_schema(operation_id="list_plans", summary="List plans with their published versions")
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class OnePlan(GenericAPIView[Plan]):
    queryset = Plan.objects.prefetch_related(
        Prefetch("versions", OFFERED.prefetch_related(Prefetch("charges", CHARGES)))
    )
    serializer_class = WholePlanSerializer
    filter_backends = ()
    required_scopes = "read"

    @extend_schema(
        operation_id="retrieve_plan", summary="Retrieve a plan: its published versions, their charges and every price"
    )
    def get(self, request: Request, code: str) -> Response:
        # PostgreSQL has no NUL in texts: such a code is nobody's.
        plan = None if "\0" in code else self.get_queryset().filter(code=code).first()
        if plan is None:
            raise NotFound(f"There is no plan “{code[:100]}”.", code="plan_unknown")
        return Response(self.get_serializer(plan).data)


urlpatterns = [
    *cost_api.urlpatterns,
    *coupon_api.urlpatterns,
    *feature_api.urlpatterns,
    path("plans", Plans.as_view(), name="plans"),
    path("plans/<str:code>", OnePlan.as_view(), name="plan"),
]
