"""The API's features. What plan versions give of them is a part of plans."""

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.idempotency import IdempotentWrites
from billing_site.foundation.pagination import KeysetPagination
from billing_site.foundation.parameters import PAGE
from catalog.features import featuring
from catalog.features.models import Feature
from catalog.features.serializers import FeatureSerializer
from meters.models import Meter

FEATURES = Feature.objects.select_related("meter")


class View(IdempotentWrites, GenericAPIView[Any]):
    queryset = FEATURES
    serializer_class = FeatureSerializer
    filter_backends = ()
    required_scopes = {"GET": "read", "POST": "write", "PATCH": "write", "DELETE": "write"}


class Features(View):
    """Features, in the order of their codes."""

    pagination_class = KeysetPagination
    query_parameters = PAGE
    keyset = "code"

    @extend_schema(operation_id="list_features", summary="List features", responses=FeatureSerializer(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(operation_id="create_feature", summary="Create a feature", responses={201: FeatureSerializer})
    def post(self, request: Request) -> Response:
        feature = featuring.create_feature(**_valid(self.get_serializer(data=request.data)))
        return Response(self.get_serializer(feature).data, status=status.HTTP_201_CREATED)


class OneFeature(View):
    """One feature. Once somebody has it, only its name and description change, and a list may get longer."""

    pagination_class = None

    @extend_schema(operation_id="retrieve_feature", summary="Retrieve a feature")
    def get(self, request: Request, code: str) -> Response:
        return Response(self.get_serializer(self._find(code)).data)

    @extend_schema(operation_id="change_feature", summary="Change a feature: the fields that are given")
    def patch(self, request: Request, code: str) -> Response:
        feature = self._find(code)
        body = _valid(self.get_serializer(data=request.data, partial=True))
        return Response(self.get_serializer(featuring.change_feature(feature, **body)).data)

    @extend_schema(operation_id="delete_feature", summary="Delete a feature that nobody has", responses={204: None})
    def delete(self, request: Request, code: str) -> Response:
        featuring.delete_feature(self._find(code))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _find(self, code: str) -> Feature:
        # PostgreSQL has no NUL in texts: such a code is nobody's.
        found = None if "\0" in code else FEATURES.filter(code=code).first()
        if found is None:
            raise NotFound(f"There is no feature “{code[:100]}”.", code="feature_unknown")
        return found


def _valid(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    body = dict(serializer.validated_data)
    if body.get("meter") is not None:
        body["meter"] = _meter(body["meter"])
    return body


def _meter(code: str) -> Meter:
    meter = Meter.objects.filter(code=code).first()
    if meter is None:
        raise Refused(Fault("meter_unknown", f"There is no meter “{code[:100]}”: make it first.", "meter"))
    return meter


urlpatterns = [
    path("features", Features.as_view(), name="features"),
    path("features/<str:code>", OneFeature.as_view(), name="feature"),
]
