"""The API's customers, their usage, and their subscriptions."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.urls import path, register_converter
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.idempotency import IdempotentWrites
from billing_site.foundation.pagination import KeysetPagination
from billing_site.foundation.parameters import PAGE
from catalog.models import PlanVersion
from customers.accounts.corrections_api import AmendEvent, VoidEvent
from customers.deals.api import EndOverride, EndRedemption, Overrides, Redemptions, find_subscription
from customers.entitlements.api import CheckEntitlement, CustomerEntitlements
from customers.models import Alias, Customer, Subscription
from customers.serializers import (
    AliasSerializer,
    CustomerSerializer,
    SubscriptionAnswerSerializer,
    SubscriptionChangedSerializer,
    SubscriptionChangeSerializer,
    SubscriptionSerializer,
    UsageSerializer,
)
from customers.subscriptions import moving, subscribing
from customers.usage import periodic
from customers.usage.api import Usage, listed
from customers.usage.bounds import period_between

SCOPES = {"GET": "read", "POST": "write", "PATCH": "write"}


class ReferenceConverter:
    """A reference in an address: any characters that can be stored, slashes included; percent-encoded by the caller."""

    regex = r"[^\x00]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(ReferenceConverter, "reference")


class View(IdempotentWrites, GenericAPIView[Any]):
    """What the views below have in common."""

    required_scopes = SCOPES
    pagination_class = KeysetPagination
    filter_backends = ()


class Customers(View):
    """Customers, in the order of their references."""

    queryset = Customer.objects.prefetch_related("aliases", "contacts")
    serializer_class = CustomerSerializer
    query_parameters = PAGE
    keyset = "reference"

    @extend_schema(operation_id="list_customers", summary="List customers", responses=CustomerSerializer(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(operation_id="create_customer", summary="Create a customer", responses={201: CustomerSerializer})
    def post(self, request: Request) -> Response:
        body = _valid(self.get_serializer(data=request.data))
        customer = subscribing.create_customer(**body)
        return Response(CustomerSerializer(customer).data, status=status.HTTP_201_CREATED)


class OneCustomer(View):
    """One customer, named by its reference or an alias. A former reference stays an alias."""

    queryset = Customer.objects.all()
    serializer_class = CustomerSerializer

    @extend_schema(operation_id="retrieve_customer", summary="Retrieve a customer by its reference or an alias")
    def get(self, request: Request, reference: str) -> Response:
        return Response(CustomerSerializer(find_customer(reference)).data)

    @extend_schema(operation_id="change_customer", summary="Change a customer: the fields that are given")
    def patch(self, request: Request, reference: str) -> Response:
        customer = find_customer(reference)
        body = _valid(self.get_serializer(data=request.data, partial=True))
        return Response(CustomerSerializer(subscribing.change_customer(customer, **body)).data)


class CustomerAliases(View):
    """A further reference by which events name the customer: what has come under it already becomes its usage."""

    queryset = Alias.objects.all()
    serializer_class = AliasSerializer

    @extend_schema(operation_id="add_alias", summary="Add an alias", responses={201: CustomerSerializer})
    def post(self, request: Request, reference: str) -> Response:
        customer = find_customer(reference)
        body = _valid(self.get_serializer(data=request.data))
        subscribing.add_alias(customer, body["reference"])
        return Response(CustomerSerializer(customer).data, status=status.HTTP_201_CREATED)


class CustomerUsage(View):
    """How much a customer used."""

    queryset = Customer.objects.all()
    serializer_class = UsageSerializer
    query_parameters = ("from", "to", "meter", "group_by")
    further_errors = {"422": "A parameter names what does not exist, or asks for what cannot be."}

    @extend_schema(
        operation_id="retrieve_usage",
        summary="Usage of a customer in a period",
        description="Quantities by meter, billed or not: right from the moment at which ingestion answered. Those of "
        "the meters in `still_counting` are not all yet.",
        parameters=[
            OpenApiParameter(
                "from", str, required=True, description="A day in the customer's timezone, or an instant."
            ),
            OpenApiParameter("to", str, required=True, description="Likewise; not included."),
            OpenApiParameter("meter", str, description="Codes of meters, separated by commas; all when left out."),
            OpenApiParameter("group_by", str, description="Names of dimensions, separated by commas."),
        ],
    )
    def get(self, request: Request, reference: str) -> Response:
        customer = find_customer(reference)
        asked = request.query_params
        period = period_between(asked.get("from"), asked.get("to"), customer.timezone)
        meters, group_by = listed(request, "meter"), listed(request, "group_by")
        used, counting = periodic.beside_counting(
            periodic.chosen_meters(meters),
            lambda told: periodic.used(customer, period, meters=meters, group_by=group_by, counting=told),
        )
        answer = {
            "customer": customer.reference,
            "from": period.start,
            "to": period.end,
            "data": used,
            "still_counting": counting,
        }
        return Response(UsageSerializer(answer).data)


class Subscriptions(View):
    """Who is on which version of a plan. Two of one customer may not charge the same meter at the same time."""

    queryset = Subscription.objects.select_related("customer", "version__plan")
    serializer_class = SubscriptionSerializer
    query_parameters = ("customer", *PAGE)
    further_errors = {"404": "No customer is known by this reference."}
    keyset = "-id"

    @extend_schema(
        operation_id="list_subscriptions",
        summary="List subscriptions, the newest first",
        parameters=[OpenApiParameter("customer", str, description="Only those of this customer.")],
        responses=SubscriptionAnswerSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self._chosen(request.query_params.get("customer")))
        return self.get_paginated_response(SubscriptionAnswerSerializer(page, many=True).data)

    def _chosen(self, reference: str | None) -> QuerySet[Subscription]:
        rows = self.get_queryset()
        return rows if reference is None else rows.filter(customer=find_customer(reference))

    @extend_schema(
        operation_id="create_subscription",
        summary="Subscribe a customer",
        responses={201: SubscriptionAnswerSerializer},
    )
    def post(self, request: Request) -> Response:
        body = _valid(self.get_serializer(data=request.data))
        customer = _customer_of(body.pop("customer"))
        version = _version_of(body.pop("plan"), body.pop("version", None))
        subscription = subscribing.subscribe(customer=customer, version=version, **body)
        return Response(SubscriptionAnswerSerializer(subscription).data, status=status.HTTP_201_CREATED)


class OneSubscription(View):
    """One subscription. Its end can change, to no day before what has been invoiced; its version, to a later one."""

    queryset = Subscription.objects.select_related("customer", "version__plan")
    serializer_class = SubscriptionChangeSerializer

    @extend_schema(
        operation_id="retrieve_subscription", summary="Retrieve a subscription", responses=SubscriptionAnswerSerializer
    )
    def get(self, request: Request, reference: str) -> Response:
        return Response(SubscriptionAnswerSerializer(find_subscription(reference)).data)

    @extend_schema(
        operation_id="change_subscription",
        summary="Set, move or take away the end of a subscription; move it to a later version of its plan",
        responses=SubscriptionChangedSerializer,
    )
    def patch(self, request: Request, reference: str) -> Response:
        subscription = find_subscription(reference)
        body = _valid(self.get_serializer(data=request.data))
        with transaction.atomic():
            if "version" in body:
                version = _version_of(subscription.version.plan.code, body["version"], field="version")
                subscribing.move_to_version(subscription, version)
            if "ends_on" in body:
                subscribing.end_subscription(subscription, body["ends_on"])
        subscription = find_subscription(reference)
        warnings = moving.warnings(subscription, subscription.version)
        return Response({**SubscriptionAnswerSerializer(subscription).data, "warnings": warnings})


def find_customer(reference: str) -> Customer:
    """The customer that a reference means, its own or an alias. Raises NotFound."""
    alias = None
    if "\0" not in reference:
        alias = Alias.objects.select_related("customer").filter(reference=reference).first()
    if alias is None:
        raise NotFound(f"No customer is known by “{reference}”.", code="customer_unknown")
    return alias.customer


def _customer_of(reference: str) -> Customer:
    """The same for a reference in a body, where an unknown one is a fault of the body."""
    try:
        return find_customer(reference)
    except NotFound as error:
        raise Refused(Fault("customer_unknown", f"{error.detail} Create it first.", "customer")) from error


def _version_of(plan: str, number: int | None, field: str = "plan") -> PlanVersion:
    """The version of that number, or the newest published one."""
    versions = PlanVersion.objects.select_related("plan").order_by("-number")
    versions = versions.none() if "\0" in plan else versions.filter(plan__code=plan)
    if number is None:
        versions = versions.filter(status=PlanVersion.Status.PUBLISHED)
    else:
        versions = versions.filter(number=min(number, 2**31 - 1))
    version = versions.first()
    if version is None:
        which = "published version" if number is None else f"version {number}"
        raise Refused(Fault("plan_unknown", f"There is no {which} of a plan “{plan}”.", field))
    return version


def _valid(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


urlpatterns = [
    path("usage", Usage.as_view(), name="usage"),
    path("customers", Customers.as_view(), name="customers"),
    path("customers/<reference:reference>/usage", CustomerUsage.as_view(), name="customer-usage"),
    path("customers/<reference:reference>/aliases", CustomerAliases.as_view(), name="customer-aliases"),
    path("customers/<reference:reference>/events/<reference:event>/void", VoidEvent.as_view(), name="void-event"),
    path("customers/<reference:reference>/events/<reference:event>/amend", AmendEvent.as_view(), name="amend-event"),
    path(
        "customers/<reference:reference>/entitlements/<str:feature>/check",
        CheckEntitlement.as_view(),
        name="check-entitlement",
    ),
    path("customers/<reference:reference>/entitlements", CustomerEntitlements.as_view(), name="entitlements"),
    path("customers/<reference:reference>", OneCustomer.as_view(), name="customer"),
    path("subscriptions", Subscriptions.as_view(), name="subscriptions"),
    path("subscriptions/<reference:reference>/overrides", Overrides.as_view(), name="overrides"),
    path(
        "subscriptions/<reference:reference>/overrides/<reference:number>/end",
        EndOverride.as_view(),
        name="end-override",
    ),
    path("subscriptions/<reference:reference>/coupons", Redemptions.as_view(), name="redemptions"),
    path(
        "subscriptions/<reference:reference>/coupons/<reference:number>/end", EndRedemption.as_view(), name="end-coupon"
    ),
    path("subscriptions/<reference:reference>", OneSubscription.as_view(), name="subscription"),
]
