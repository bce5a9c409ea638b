"""The API's invoices: to read, whoever made them."""

from django.db.models import QuerySet
from django.urls import path
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation.pagination import KeysetPagination
from billing_site.foundation.parameters import PAGE
from customers.api import find_customer
from invoicing.models import Invoice
from invoicing.serializers import InvoiceSerializer, WholeInvoiceSerializer


class Invoices(GenericAPIView[Invoice]):
    queryset = Invoice.objects.select_related("customer", "subscription", "version__plan")
    serializer_class = InvoiceSerializer
    pagination_class = KeysetPagination
    filter_backends = ()
    required_scopes = "read"
    query_parameters = ("customer", "subscription", "status", *PAGE)
    further_errors = {"404": "No customer is known by this reference."}
    keyset = "-id"

    @extend_schema(
        operation_id="list_invoices",
        summary="List invoices, the newest first",
        parameters=[
            OpenApiParameter("customer", str, description="Only those of this customer: its reference or an alias."),
            OpenApiParameter("subscription", str, description="Only those of the subscription of this reference."),
            OpenApiParameter("status", str, enum=Invoice.Status.values, description="Only those in this state."),
        ],
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self._chosen(request))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def _chosen(self, request: Request) -> QuerySet[Invoice]:
        asked, rows = request.query_params, self.get_queryset()
        if (customer := asked.get("customer")) is not None:
            rows = rows.filter(customer=find_customer(customer))
        if (subscription := asked.get("subscription")) is not None:
            # PostgreSQL has no NUL in texts: such a reference is nobody's.
            rows = rows.none() if "\0" in subscription else rows.filter(subscription__reference=subscription)
        if (status := asked.get("status")) is not None:
            if status not in Invoice.Status.values:
                known = ", ".join(Invoice.Status.values)
                raise ValidationError(
                    {"status": f"“{status[:50]}” is not a state; they are {known}."}, "status_invalid"
                )
            rows = rows.filter(status=status)
        return rows


class OneInvoice(GenericAPIView[Invoice]):
    queryset = Invoice.objects.select_related("customer", "subscription", "version__plan")
    serializer_class = WholeInvoiceSerializer
    filter_backends = ()
    required_scopes = "read"

    @extend_schema(operation_id="retrieve_invoice", summary="Retrieve an invoice with its lines and explanations")
    def get(self, request: Request, id: int) -> Response:  # noqa: A002 - the name in the address
        # Beyond a bigint there is no row, and asking for one is an error of the database.
        invoice = self.get_queryset().filter(pk=id).first() if id < 2**63 else None
        if invoice is None:
            raise NotFound(f"There is no invoice with the id {id}.", code="invoice_unknown")
        return Response(self.get_serializer(invoice).data)


urlpatterns = [
    path("invoices", Invoices.as_view(), name="invoices"),
    path("invoices/<int:id>", OneInvoice.as_view(), name="invoice"),
]
