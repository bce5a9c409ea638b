"""The API's plan documents: a whole plan read, and made true, in one request."""

from typing import Any

from django.urls import path
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation import etags
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.shaped_bodies import body, json_body
from catalog.documents import exporting
from catalog.documents import plan as documents
from catalog.documents import text as document_text
from catalog.documents.importing import bring
from catalog.documents.shapes import DOCUMENT
from catalog.models import PlanVersion
from catalog.plans.serializers import ImportedSerializer
from catalog.plans.view_api import VersionView, View, find_plan

DEFINITIONS = OpenApiParameter(
    "definitions",
    str,
    enum=["true", "false"],
    description="Whether the definitions of its meters and features are part of it.",
)
EXAMPLE = {
    "format": 1,
    "code": "chatbot",
    "name": "Chatbot",
    "products": {"chatbot-api": {"name": "Chatbot API"}},
    "meters": {
        "llm_tokens": {
            "name": "LLM tokens",
            "event_type": "llm.request",
            "aggregation": "sum",
            "unit": "token",
            "label_dimension": "token_type",
            "values": [
                {"property": "input_tokens", "label": "input"},
                {"property": "output_tokens", "label": "output"},
            ],
            "dimensions": [{"name": "model", "property": "model"}],
        }
    },
    "currency": "USD",
    "lists": {"EUR": {}},
    "charges": {
        "base": {
            "name": "Base",
            "kind": "flat",
            "product": "chatbot-api",
            "position": 0,
            "amount": "20",
            "lists": {"EUR": {"amount": "18.50"}},
        },
        "tokens": {
            "name": "Tokens",
            "kind": "usage",
            "product": "chatbot-api",
            "position": 1,
            "meter": "llm_tokens",
            "included": "100000",
            "rows": [
                {"match": {"model": "model-a", "token_type": "output"}, "unit_price": "0.00002"},
                {"unit_price": "0.00001"},
            ],
            "lists": {"EUR": {"rows": [{"unit_price": "0.000009"}]}},
        },
    },
}
PUT: dict[str, Any] = {
    "request": json_body(DOCUMENT),
    "responses": ImportedSerializer,
    "examples": [OpenApiExample("A chatbot", EXAMPLE, request_only=True)],
}
GET: dict[str, Any] = {
    "parameters": [DEFINITIONS, *etags.ANSWERED],
    "responses": {(200, "application/json"): DOCUMENT.schema()},
}


class OfVersion(VersionView):
    """The document of one version. Made true, it changes that draft."""

    serializer_class = ImportedSerializer
    query_parameters = ("definitions",)

    @extend_schema(operation_id="retrieve_version_document", summary="Export a version as a plan document", **GET)
    def get(self, request: Request, code: str, number: int) -> Response:
        return _answer(request, self.version(code, number))

    @extend_schema(
        operation_id="put_version_document",
        summary="Make a draft what a plan document says",
        description="Its plan, its products, and the meters and features that it defines, too. Nothing is changed when"
        " anything is refused. The same document again changes nothing.",
        parameters=etags.ASKED,
        **PUT,
    )
    def put(self, request: Request, code: str, number: int) -> Response:
        return _bring(request, code, self.held(request, code, number))


class OfPlan(View):
    """The document that stands for a plan: of its newest published version, else of its newest draft."""

    serializer_class = ImportedSerializer
    query_parameters = ("definitions",)

    @extend_schema(operation_id="retrieve_plan_document", summary="Export a plan as a document", **GET)
    def get(self, request: Request, code: str) -> Response:
        plan = find_plan(code)
        version = exporting.chosen([plan]).get(plan.pk)
        if version is None:
            raise NotFound(f"The plan “{plan.code}” has no versions yet.", code="version_unknown")
        return _answer(request, exporting.WHOLE.get(pk=version.pk))

    @extend_schema(
        operation_id="put_plan_document",
        summary="Make a plan what a document says: a new one, or another draft of it",
        description="A plan that does not exist is made. What is published never changes: a document that says"
        " something else changes the newest draft, or begins one. The same document again changes nothing.",
        **PUT,
    )
    def put(self, request: Request, code: str) -> Response:
        return _bring(request, code, None)


def _answer(request: Request, version: PlanVersion) -> Response:
    asked = request.query_params.get("definitions", "false")
    if asked not in ("true", "false"):
        raise ValidationError({"definitions": f"“{asked[:50]}” is neither true nor false."}, code="boolean_invalid")
    said = document_text.to_json(exporting.export(version, definitions=asked == "true"))
    return Response(said, headers=etags.header(exporting.tag_of(version)))


def _bring(request: Request, code: str, into: PlanVersion | None) -> Response:
    document = body(documents.from_json, request)
    if document.plan["code"] != code:
        message = f"The address is of the plan “{code[:100]}”, the document of “{document.plan['code'][:100]}”."
        raise Refused(Fault("code_differs", message, "code"))
    return Response(ImportedSerializer(bring(document, into=into)).data)


urlpatterns = [
    path("plans/<str:code>/document", OfPlan.as_view(), name="plan-document"),
    path("plans/<str:code>/versions/<int:number>/document", OfVersion.as_view(), name="version-document"),
]
