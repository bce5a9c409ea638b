"""The API's products."""

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation.pagination import KeysetPagination
from billing_site.foundation.parameters import PAGE
from billing_site.foundation.shaped_bodies import body, json_body
from catalog.documents.shapes import PRODUCT
from catalog.models import Product
from catalog.plans.serializers import ProductSerializer
from catalog.plans.view_api import View, find
from catalog.versions import products


class Products(View):
    """What is sold, in the order of codes."""

    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    pagination_class = KeysetPagination
    query_parameters = PAGE
    keyset = "code"

    @extend_schema(operation_id="list_products", summary="List products", responses=ProductSerializer(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="create_product",
        summary="Create a product",
        request=json_body(PRODUCT),
        responses={201: ProductSerializer},
    )
    def post(self, request: Request) -> Response:
        product = products.create_product(**body(PRODUCT.read, request))
        return Response(self.get_serializer(product).data, status=status.HTTP_201_CREATED)


class OneProduct(View):
    """One product. Invoices that are finalized keep the name that it had."""

    queryset = Product.objects.all()
    serializer_class = ProductSerializer

    @extend_schema(operation_id="retrieve_product", summary="Retrieve a product")
    def get(self, request: Request, code: str) -> Response:
        return Response(self.get_serializer(find(self.get_queryset(), code, "product")).data)

    @extend_schema(
        operation_id="change_product",
        summary="Change a product: the fields that are given",
        request=json_body(PRODUCT, whole=False),
    )
    def patch(self, request: Request, code: str) -> Response:
        product = find(self.get_queryset().select_for_update(no_key=True), code, "product")
        changed = products.change_product(product, **body(PRODUCT.read_some, request))
        return Response(self.get_serializer(changed).data)

    @extend_schema(operation_id="delete_product", summary="Delete a product that nothing sells", responses={204: None})
    def delete(self, request: Request, code: str) -> Response:
        products.delete_product(find(self.get_queryset().select_for_update(), code, "product"))
        return Response(status=status.HTTP_204_NO_CONTENT)


urlpatterns = [
    path("products", Products.as_view(), name="products"),
    path("products/<str:code>", OneProduct.as_view(), name="product"),
]
