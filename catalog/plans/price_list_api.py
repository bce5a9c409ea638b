"""The API's price lists: further currencies of a draft."""

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation import etags
from billing_site.foundation.shaped_bodies import body, json_body
from catalog.documents.shapes import PRICE_LIST
from catalog.plans.serializers import PriceListSerializer
from catalog.plans.view_api import VersionView
from catalog.versions import publishing


class OnePriceList(VersionView):
    """A further currency of a draft. Its charges then need their prices in it."""

    serializer_class = PriceListSerializer

    @extend_schema(
        operation_id="put_price_list",
        summary="Offer a draft in a further currency, or change that currency's sums",
        request=json_body(PRICE_LIST),
        parameters=etags.ASKED,
    )
    def put(self, request: Request, code: str, number: int, currency: str) -> Response:
        version = self.held(request, code, number)
        listed = publishing.set_price_list(version, currency, **body(PRICE_LIST.read, request))
        return Response(self.get_serializer(listed).data)

    @extend_schema(
        operation_id="delete_price_list",
        summary="Take a further currency away from a draft, with all its prices",
        responses={204: None},
        parameters=etags.ASKED,
    )
    def delete(self, request: Request, code: str, number: int, currency: str) -> Response:
        version = self.held(request, code, number)
        currencies = [each.currency for each in version.price_lists.all()]
        if currency not in currencies:
            has = f"it has {', '.join(currencies)}" if currencies else "it has none"
            message = f"{version} has no price list in “{currency[:20]}”; {has}."
            raise NotFound(message, code="price_list_unknown")
        publishing.remove_price_list(version, currency)
        return Response(status=status.HTTP_204_NO_CONTENT)


urlpatterns = [
    path(
        "plans/<str:code>/versions/<int:number>/price-lists/<str:currency>", OnePriceList.as_view(), name="price-list"
    ),
]
