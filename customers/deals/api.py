"""The API's negotiated terms and redeemed coupons of a subscription."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation.idempotency import IdempotentWrites
from billing_site.foundation.pagination import KeysetPagination
from billing_site.foundation.parameters import PAGE
from customers.deals import overriding, price_warnings, redeeming
from customers.deals.serializers import (
    OverrideAnswerSerializer,
    OverrideEndSerializer,
    OverrideMadeSerializer,
    OverrideSerializer,
    RedeemSerializer,
    RedemptionSerializer,
)
from customers.models import Override, Redemption, Subscription

SCOPES = {"GET": "read", "POST": "write"}
# A negotiated term is a price that nobody has published.
PRICES = {"GET": "read", "POST": "publish"}
# More of them make a number that is no id.
DIGITS = 19
NUMBER = OpenApiParameter("number", int, OpenApiParameter.PATH, description="Its id.")


class View(IdempotentWrites, GenericAPIView[Any]):
    """What the views below have in common."""

    required_scopes = SCOPES
    pagination_class = KeysetPagination
    filter_backends = ()
    keyset = "-id"


class Overrides(View):
    """Terms of a subscription that are others than its plan's. Each is added and ended, and never changes."""

    required_scopes = PRICES
    queryset = Override.objects.select_related("subscription")
    serializer_class = OverrideSerializer
    query_parameters = PAGE

    @extend_schema(
        operation_id="list_overrides",
        summary="List negotiated terms, the newest first",
        responses=OverrideAnswerSerializer(many=True),
    )
    def get(self, request: Request, reference: str) -> Response:
        page: Any = self.paginate_queryset(_of(self.get_queryset(), reference))
        return self.get_paginated_response(OverrideAnswerSerializer(page, many=True).data)

    @extend_schema(
        operation_id="create_override",
        summary="Negotiate a term",
        description="The same term that holds by then ends where the new one begins. `warnings` says what of a price is"
        " worth a second look: it is below cost or the plan's margin floor, or far from the plan's price.",
        responses={201: OverrideMadeSerializer},
    )
    def post(self, request: Request, reference: str) -> Response:
        subscription = find_subscription(reference)
        body = OverrideSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.wanted()
        made = overriding.override(subscription, wanted)
        answer = OverrideMadeSerializer(made, context={"warnings": price_warnings.warnings(subscription, wanted)})
        return Response(answer.data, status=status.HTTP_201_CREATED)


class EndOverride(View):
    """A negotiated term ends earlier; nothing of what is finalized is taken back."""

    required_scopes = PRICES
    queryset = Override.objects.select_related("subscription")
    serializer_class = OverrideEndSerializer
    pagination_class = None  # type: ignore[assignment]

    @extend_schema(
        operation_id="end_override",
        summary="End a negotiated term",
        parameters=[NUMBER],
        responses={200: OverrideAnswerSerializer},
    )
    def post(self, request: Request, reference: str, number: str) -> Response:
        override = _one(_of(self.get_queryset(), reference), number, "negotiated term")
        body = OverrideEndSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        ended = overriding.end_override(override, body.validated_data["ends_on"])
        return Response(OverrideAnswerSerializer(ended).data)


class Redemptions(View):
    """Coupons that a subscription redeemed."""

    queryset = Redemption.objects.select_related("subscription", "coupon")
    serializer_class = RedeemSerializer
    query_parameters = PAGE

    @extend_schema(
        operation_id="list_redemptions",
        summary="List redeemed coupons, the newest first",
        responses=RedemptionSerializer(many=True),
    )
    def get(self, request: Request, reference: str) -> Response:
        page: Any = self.paginate_queryset(_of(self.get_queryset(), reference))
        return self.get_paginated_response(RedemptionSerializer(page, many=True).data)

    @extend_schema(operation_id="redeem_coupon", summary="Redeem a coupon", responses={201: RedemptionSerializer})
    def post(self, request: Request, reference: str) -> Response:
        subscription = find_subscription(reference)
        body = RedeemSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = redeeming.redeem(subscription, **body.validated_data)
        return Response(RedemptionSerializer(made).data, status=status.HTTP_201_CREATED)


class EndRedemption(View):
    """A redeemed coupon takes off nothing more of invoices that are not finalized."""

    queryset = Redemption.objects.select_related("subscription", "coupon")
    serializer_class = RedemptionSerializer
    pagination_class = None  # type: ignore[assignment]

    @extend_schema(
        operation_id="end_redemption",
        summary="End a redeemed coupon",
        parameters=[NUMBER],
        request=None,
        responses={200: RedemptionSerializer},
    )
    def post(self, request: Request, reference: str, number: str) -> Response:
        redemption = _one(_of(self.get_queryset(), reference), number, "redeemed coupon")
        return Response(RedemptionSerializer(redeeming.end_redemption(redemption)).data)


def find_subscription(reference: str) -> Subscription:
    """Raises NotFound."""
    rows = Subscription.objects.select_related("customer", "version__plan")
    found = None if "\0" in reference else rows.filter(reference=reference).first()
    if found is None:
        raise NotFound(f"There is no subscription “{reference}”.", code="subscription_unknown")
    return found


def _of(rows: "QuerySet[Any]", reference: str) -> "QuerySet[Any]":
    return rows.filter(subscription=find_subscription(reference))


def _one(rows: "QuerySet[Any]", number: str, what: str) -> Any:
    known = number.isascii() and number.isdigit() and len(number) < DIGITS
    found = rows.filter(pk=number).first() if known else None
    if found is None:
        raise NotFound(f"The subscription has no {what} {number[:50]}.", code=f"{what.replace(' ', '_')}_unknown")
    return found
