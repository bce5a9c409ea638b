"""The API's coupons."""

from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation.idempotency import IdempotentWrites
from billing_site.foundation.pagination import KeysetPagination
from billing_site.foundation.parameters import PAGE
from catalog.coupons import issuing
from catalog.coupons.serializers import CouponAnswerSerializer, CouponSerializer
from catalog.models import Coupon

# What a coupon takes off, and how often, sets prices; redeeming one is choosing among them.
SCOPES = {"GET": "read", "POST": "publish", "PATCH": "publish", "DELETE": "publish"}
WITH_PARTS = Coupon.objects.prefetch_related("for_products__product", "on_plans__plan")


class Coupons(IdempotentWrites, GenericAPIView[Any]):
    queryset = WITH_PARTS
    serializer_class = CouponSerializer
    pagination_class = KeysetPagination
    filter_backends = ()
    required_scopes = SCOPES
    query_parameters = PAGE
    keyset = "code"

    @extend_schema(
        operation_id="list_coupons",
        summary="List coupons",
        responses=CouponAnswerSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(CouponAnswerSerializer(page, many=True).data)

    @extend_schema(
        operation_id="create_coupon",
        summary="Create a coupon",
        responses={201: CouponAnswerSerializer},
    )
    def post(self, request: Request) -> Response:
        body = CouponSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        coupon = issuing.create_coupon(**body.terms())
        return Response(CouponAnswerSerializer(coupon).data, status=status.HTTP_201_CREATED)


class OneCoupon(IdempotentWrites, GenericAPIView[Any]):
    """A coupon, named by its code in any letters. One that was redeemed keeps what it takes off."""

    queryset = WITH_PARTS
    serializer_class = CouponSerializer
    filter_backends = ()
    required_scopes = SCOPES

    @extend_schema(operation_id="retrieve_coupon", summary="Retrieve a coupon", responses=CouponAnswerSerializer)
    def get(self, request: Request, code: str) -> Response:
        return Response(CouponAnswerSerializer(_find(code)).data)

    @extend_schema(
        operation_id="change_coupon",
        summary="Change a coupon: the fields that are given",
        responses=CouponAnswerSerializer,
    )
    def patch(self, request: Request, code: str) -> Response:
        coupon = _find(code)
        body = CouponSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        return Response(CouponAnswerSerializer(issuing.change_coupon(coupon, **body.terms())).data)

    @extend_schema(
        operation_id="delete_coupon",
        summary="Delete a coupon that nobody has redeemed",
        responses={204: None},
    )
    def delete(self, request: Request, code: str) -> Response:
        issuing.delete_coupon(_find(code))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _find(code: str) -> Coupon:
    coupon = issuing.find(code)
    if coupon is None:
        raise NotFound(f"There is no coupon “{code[:50]}”.", code="coupon_unknown")
    return coupon


urlpatterns = [
    path("coupons", Coupons.as_view(), name="coupons"),
    path("coupons/<str:code>", OneCoupon.as_view(), name="coupon"),
]
