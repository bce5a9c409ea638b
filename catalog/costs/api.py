"""The API's costs of models: to read, by any name that a model has, and own ones to record."""

from datetime import datetime
from typing import Any

from django.urls import path, register_converter
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation import clock
from billing_site.foundation.api_fields import Instant
from billing_site.foundation.idempotency import IdempotentWrites
from billing_site.foundation.models import ApiKey
from billing_site.foundation.pagination import KeysetPagination
from billing_site.foundation.parameters import PAGE
from catalog.costs import own_costs
from catalog.costs.books import costs_of
from catalog.costs.names import names
from catalog.costs.serializers import EntrySerializer, ModelSerializer, RecordedSerializer, WholeModelSerializer
from catalog.models import ModelCost, ProviderModel

# More than any model will have; what is older stays in the table.
HISTORY_SHOWN = 1_000
AT = OpenApiParameter("at", datetime, description="What it costs at this instant; now when left out.")


class ModelNameConverter:
    """A model's name in an address: any characters that can be stored, slashes included."""

    regex = r"[^\x00]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(ModelNameConverter, "model_name")


class ModelCosts(IdempotentWrites, GenericAPIView[ProviderModel]):
    """What model providers charge, model by model, in the order of their names."""

    queryset = ProviderModel.objects.all()
    serializer_class = ModelSerializer
    pagination_class = KeysetPagination
    filter_backends = ()
    required_scopes = {"GET": "read", "POST": "publish"}  # prices by cost follow it
    query_parameters = ("provider", "model", "at", *PAGE)
    keyset = "name"

    @extend_schema(
        operation_id="list_model_costs",
        summary="List models with their costs",
        tags=["model-costs"],
        parameters=[
            OpenApiParameter("provider", str, description="Only those of this provider, by its id."),
            OpenApiParameter("model", str, description="Only the one that this name means, in any of its forms."),
            AT,
        ],
        responses=ModelSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        at = _instant(request.query_params.get("at"))
        page = self.paginate_queryset(self._chosen(request.query_params)) or []
        context = {"at": at, "costs": costs_of([model.key for model in page])}
        return self.get_paginated_response(ModelSerializer(page, many=True, context=context).data)

    def _chosen(self, asked: Any) -> Any:
        rows = self.get_queryset()
        if "provider" in asked:
            rows = rows.filter(provider=asked["provider"]) if "\0" not in asked["provider"] else rows.none()
        if "model" in asked:
            meant = names().resolve(asked["model"])
            rows = rows.filter(name=str(meant)) if meant else rows.none()
        return rows

    @extend_schema(
        operation_id="record_model_cost",
        summary="Record an own cost, which goes before the package's",
        tags=["model-costs"],
        request=EntrySerializer,
        responses={201: RecordedSerializer},
    )
    def post(self, request: Request) -> Response:
        assert isinstance(request.auth, ApiKey)
        body = EntrySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        recorded = own_costs.record_cost(body.entry(), by=f"the API key “{request.auth.name}”")
        return Response(RecordedSerializer(recorded).data, status=status.HTTP_201_CREATED)


class OneModel(GenericAPIView[ProviderModel]):
    """A model by any name that it has: with the prefix of a provider or gateway, with a date, or by an own alias."""

    queryset = ProviderModel.objects.all()
    serializer_class = WholeModelSerializer
    pagination_class = None
    filter_backends = ()
    required_scopes = "read"
    query_parameters = ("at",)

    @extend_schema(
        operation_id="retrieve_model_costs",
        summary="Retrieve what a model costs, and the history of it",
        tags=["model-costs"],
        parameters=[AT],
    )
    def get(self, request: Request, name: str) -> Response:
        at = _instant(request.query_params.get("at"))
        model = _find(name)
        history = ModelCost.objects.filter(model=model).order_by("-recorded_at", "-id")[:HISTORY_SHOWN]
        context = {"at": at, "costs": costs_of([model.key]), "history": history}
        return Response(WholeModelSerializer(model, context=context).data)


def _find(name: str) -> ProviderModel:
    known = names()
    meant = known.resolve(name)
    found = ProviderModel.objects.filter(name=str(meant)).first() if meant else None
    if found is None:
        like = ", ".join(known.closest(name))
        message = f"“{name[:100]}” means no model of the catalogue." + (f" Like it: {like}." if like else "")
        raise NotFound(message, code="model_unknown")
    return found


def _instant(text: str | None) -> datetime:
    if text is None:
        return clock.now()
    try:
        value: datetime = Instant().run_validation(text)
    except ValidationError as error:
        raise ValidationError({"at": error.detail}) from None
    return value


urlpatterns = [
    path("model-costs", ModelCosts.as_view(), name="model_costs"),
    path("model-costs/<model_name:name>", OneModel.as_view(), name="model_cost"),
]
