"""GET /v1/usage: how much customers used, by window of time and dimension."""

import re
from collections.abc import Sequence
from typing import Any

from django.http import Http404, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.parameters import PAGE
from customers.models import Customer
from customers.serializers import StillCountingSerializer, WindowRowSerializer
from customers.usage import as_csv, cursors
from customers.usage.cursors import CellPagination
from customers.usage.pages import Asked, Position, ask, read_page
from customers.usage.periodic import beside_counting
from customers.usage.windows import Step

FILTER = re.compile(r"filter\[(.+)\]", re.DOTALL)


class Csv(BaseRenderer):
    """Only a name for what the caller accepts: the rows are streamed, and errors stay JSON."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"


class Usage(GenericAPIView[Any]):
    """Usage of customers."""

    queryset = Customer.objects.all()
    serializer_class = WindowRowSerializer
    pagination_class = CellPagination
    renderer_classes = (JSONRenderer, Csv)
    filter_backends = ()
    required_scopes = {"GET": "read"}
    query_parameters = ("from", "to", "customer", "meter", "window", "group_by", *PAGE, "format", "filter[…]")
    further_errors = {
        "406": "Neither JSON nor CSV would be accepted.",
        "422": "A parameter names what does not exist, or asks for what cannot be.",
    }

    @extend_schema(
        operation_id="list_usage",
        tags=["usage"],
        summary="Usage by customer, meter, window of time and dimension",
        description=(
            "Quantities, billed or not: right from the moment at which ingestion answered. Each one is read for the "
            "whole of its window; what cannot be added up (a maximum, a number of different values) is right for every "
            "window, filter and total alike. What has no usage has no row. `totals` holds, for each customer and meter "
            "with a row on the page, the quantity from `from` to `to` under the same filters. A page may hold fewer "
            "rows than `limit`, or none: read on until `next` is null. Figures of the meters in `still_counting` are "
            "not all yet.\n\n"
            "As CSV (`Accept: text/csv` or `format=csv`) all rows come at once, without totals; values of dimensions "
            "stand in columns such as `dimensions.model`."
        ),
        parameters=[
            OpenApiParameter(
                "from", str, required=True, description="A day in each customer's timezone, or an instant."
            ),
            OpenApiParameter("to", str, required=True, description="Likewise; not included."),
            OpenApiParameter(
                "customer",
                str,
                description="A reference or an alias. Given again: several customers. Left out: all of them.",
            ),
            OpenApiParameter("meter", str, description="Codes of meters, separated by commas; all when left out."),
            OpenApiParameter(
                "window",
                str,
                enum=[step.value for step in Step],
                description="By hour, day, week (from Monday) or month of the customer's timezone; the first and the "
                "last window end at `from` and `to`. Left out: one window.",
            ),
            OpenApiParameter("group_by", str, description="Names of dimensions, separated by commas."),
            OpenApiParameter(
                "filter",
                {"type": "object", "additionalProperties": {"type": "string"}},
                style="deepObject",
                explode=True,
                description="Only usage with this value of a dimension: `filter[model]=small`. Given again for a "
                "dimension: one of the values. An empty value: none.",
            ),
            OpenApiParameter("format", str, enum=["json", "csv"], description="Instead of an Accept header."),
        ],
        responses={
            (200, "application/json"): WindowRowSerializer(many=True),
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        asked = _asked(request)
        after = cursors.position(request, asked)
        if request.accepted_renderer.format == Csv.format:
            return _csv(request, asked, after)
        limit = CellPagination().limit(request)
        page, counting = beside_counting(asked.meters, lambda told: read_page(asked, after, limit, told))
        return Response(
            {
                "data": _rows(page.rows),
                "totals": _rows(page.totals),
                "still_counting": _rows(counting, StillCountingSerializer),
                "next": cursors.cursor(request, page.next) if page.next else None,
            }
        )

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """What may be asked is told in JSON, whatever format it is asked in."""
        self._answer_in_json(request)
        answer: Response = super().options(request, *args, **kwargs)
        return answer

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001
        try:
            return super().perform_content_negotiation(request, force)
        except Http404:
            message = f"“{request.query_params.get('format', '')[:50]}” is not a format; use json or csv."
            raise ValidationError({"format": message}, code="format_unknown") from None

    def handle_exception(self, exc: Exception) -> Response:
        """Errors are JSON for everybody."""
        self._answer_in_json(self.request)
        return super().handle_exception(exc)

    def _answer_in_json(self, request: Any) -> None:
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type


def _rows(rows: Sequence[Any], serializer: Any = WindowRowSerializer) -> Any:
    many = serializer(many=True)
    return many.to_representation(rows)


def _asked(request: Request) -> Asked:
    given = request.query_params
    filters: dict[str, frozenset[str]] = {}
    for name in given:
        if named := FILTER.fullmatch(name):
            filters[named[1]] = frozenset(given.getlist(name))
    customers, meters, group_by = given.getlist("customer"), listed(request, "meter"), listed(request, "group_by")
    return ask(customers, meters, given.get("from"), given.get("to"), given.get("window"), group_by, filters)


def _csv(request: Request, asked: Asked, after: Position | None) -> StreamingHttpResponse:
    if "limit" in request.query_params:
        raise Refused(Fault("limit_unused", "CSV holds all rows at once: leave “limit” out.", "limit"))
    answer = StreamingHttpResponse(as_csv.lines(asked, after), content_type="text/csv; charset=utf-8; header=present")
    answer["Content-Disposition"] = 'attachment; filename="usage.csv"'
    return answer


def listed(request: Request, name: str) -> Sequence[str]:
    """Values separated by commas, or the parameter given several times."""
    texts = ",".join(request.query_params.getlist(name)).split(",")
    return list(dict.fromkeys(text for text in texts if text))
