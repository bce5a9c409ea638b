"""The API's meters: what is counted of events."""

from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from django.db import transaction
from django.urls import path
from drf_spectacular.utils import OpenApiExample, extend_schema
from kombu.exceptions import OperationalError as BrokerAway
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation.idempotency import IdempotentWrites
from billing_site.foundation.models import Scope
from billing_site.foundation.pagination import KeysetPagination
from billing_site.foundation.parameters import PAGE
from billing_site.foundation.shape_kinds import storable
from billing_site.foundation.shaped_bodies import WholeJSONParser, WithoutForms, body, json_body
from meters import tasks
from meters.backfills import progress as backfills
from meters.definitions import metering
from meters.definitions.documents import METER, as_changes
from meters.definitions.drafts import MeterDraft
from meters.definitions.serializers import MeterSerializer
from meters.models import Meter

METERS = Meter.objects.prefetch_related("values", "dimensions", "bands", "filters")
LOOKED_AT = 1_000
EXAMPLE = {
    "code": "llm_tokens",
    "name": "LLM tokens",
    "event_type": "llm.request",
    "aggregation": "sum",
    "unit": "token",
    "label_dimension": "token_type",
    "values": [{"property": "input_tokens", "label": "input"}, {"property": "output_tokens", "label": "output"}],
    "dimensions": [{"name": "model", "property": "model"}],
}


class View(IdempotentWrites, GenericAPIView[Any]):
    queryset = METERS
    serializer_class = MeterSerializer
    pagination_class: Any = None
    filter_backends = ()
    parser_classes = (WholeJSONParser,)
    metadata_class = WithoutForms
    required_scopes = {
        "GET": Scope.READ.value,
        **dict.fromkeys(("POST", "PATCH", "DELETE"), Scope.WRITE.value),
    }

    def shown(self, meters: Sequence[Meter]) -> list[dict[str, Any]]:
        """Each with how far it has counted. One query more."""
        counting = backfills.unfinished([meter.pk for meter in meters])
        return list(MeterSerializer(meters, many=True, context={"counting": counting}).data)


class Meters(View):
    """Meters, in the order of their codes."""

    pagination_class = KeysetPagination
    query_parameters = PAGE
    keyset = "code"

    @extend_schema(operation_id="list_meters", summary="List meters", responses=MeterSerializer(many=True))
    def get(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.shown(page))

    @extend_schema(
        operation_id="create_meter",
        summary="Create a meter",
        description="Events that are stored already are counted in the background; until they are, `still_counting`"
        " says how far that is, and invoices that need the meter wait.",
        request=json_body(METER),
        responses={201: MeterSerializer},
        examples=[OpenApiExample("Tokens by model", EXAMPLE, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        meter = metering.create(MeterDraft(**as_changes(body(METER.read, request))))
        _ask_a_worker(meter)
        [shown] = self.shown([METERS.get(pk=meter.pk)])
        return Response(shown, status=status.HTTP_201_CREATED)


class OneMeter(View):
    """One meter. Once a published version uses it, what it counts stays as it is."""

    @extend_schema(operation_id="retrieve_meter", summary="Retrieve a meter, and how far it has counted")
    def get(self, request: Request, code: str) -> Response:
        [shown] = self.shown([find(code)])
        return Response(shown)

    @extend_schema(
        operation_id="change_meter",
        summary="Change a meter: the fields that are given; a list replaces all of it",
        description="A change of what is counted counts all stored events anew, in the background: until that is done,"
        " `still_counting` says how far it is.",
        request=json_body(METER, whole=False),
    )
    def patch(self, request: Request, code: str) -> Response:
        meter = find(code)
        changed = metering.change_some(meter, as_changes(body(METER.read_some, request)))
        _ask_a_worker(changed)
        [shown] = self.shown([METERS.get(pk=changed.pk)])
        return Response(shown)

    @extend_schema(
        operation_id="delete_meter", summary="Delete a meter that nothing has counted by", responses={204: None}
    )
    def delete(self, request: Request, code: str) -> Response:
        metering.delete(find(code))
        return Response(status=status.HTTP_204_NO_CONTENT)


def find(code: str) -> Meter:
    """Raises NotFound, with a code that is close."""
    meter = METERS.filter(code=code).first() if storable(code) else None
    if meter is None:
        codes = list(Meter.objects.order_by("code").values_list("code", flat=True)[:LOOKED_AT])
        close = get_close_matches(code[:100], codes, n=1)
        mend = f": did you mean “{close[0]}”?" if close else "."
        raise NotFound(f"There is no meter “{code[:100]}”{mend}", code="meter_unknown")
    return meter


def _ask_a_worker(meter: Meter) -> None:
    """As soon as this is committed, rather than when beat comes by; without the broker, beat does."""

    def ask() -> None:
        with suppress(BrokerAway):
            tasks.ask_for(meter)

    transaction.on_commit(ask)


urlpatterns = [
    path("meters", Meters.as_view(), name="meters"),
    path("meters/<str:code>", OneMeter.as_view(), name="meter"),
]
