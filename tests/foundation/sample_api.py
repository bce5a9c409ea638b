"""Small views over ApiKey itself, to try what every view of the API has in common."""

from django.core.exceptions import ValidationError as ModelValidationError
from django.db import OperationalError
from django.http import Http404
from django.urls import path
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing_site.error_pages import bad_request, not_found, permission_denied, server_error
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.idempotency import IdempotentWrites
from billing_site.foundation.models import ApiKey
from billing_site.foundation.parameters import PAGE

handler400, handler403, handler404, handler500 = bad_request, permission_denied, not_found, server_error


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    class Meta:
        model = ApiKey
        fields = ("id", "name")


class Keys(ListAPIView[ApiKey]):
    required_scopes = {"GET": "read"}
    query_parameters = PAGE
    serializer_class = KeySerializer
    queryset = ApiKey.objects.all()


class KeysByName(Keys):
    keyset = "-prefix"


class Rename(IdempotentWrites):
    """Renames the calling key, so that a test sees whether the write happened."""

    required_scopes = {"POST": "write", "DELETE": "write"}

    def post(self, request: Request, suffix: str = "") -> Response:
        key = request.auth
        key.name = request.data["name"] + suffix
        key.save(update_fields=["name"])
        if request.data.get("then") == "refuse":
            raise Refused(Fault("name_refused", "Not this name.", "name"))
        if request.data.get("then") == "answer_400":
            return Response({"errors": []}, status=400)
        if request.data.get("then") == "break":
            raise RuntimeError("tb_abcdefghjkmn_secret in a message")
        return Response({"name": key.name, "zebra": 1, "amount": "12.30", "angle": "é"}, status=201)

    def delete(self, request: Request) -> Response:
        ApiKey.objects.filter(pk=request.auth.pk).update(name="deleted")
        return Response(status=204)


class Raise(APIView):
    required_scopes = "read"

    def get(self, request: Request, what: str) -> Response:
        raise RAISED[what]

    def post(self, request: Request, what: str) -> Response:
        return Response(request.data)


class Nested(serializers.Serializer[object]):
    price = serializers.DecimalField(max_digits=5, decimal_places=2)


class Body(serializers.Serializer[object]):
    name = serializers.CharField()
    rows = Nested(many=True)

    def validate_name(self, name: str) -> str:
        return name


class Validate(APIView):
    required_scopes = "read"

    def post(self, request: Request) -> Response:
        body = Body(data=request.data)
        body.is_valid(raise_exception=True)
        return Response({})


class Unscoped(APIView):
    def get(self, request: Request) -> Response:
        return Response({})


RAISED: dict[str, Exception] = {
    "refused": Refused(Fault("too_late", "Too late.", "ends_on"), Fault("other", "Other.")),
    "conflict": Refused(Fault("version_conflict", "Somebody was first.")),
    "missing": Http404("secret table"),
    "model": ModelValidationError({"code": [ModelValidationError("Bad code.", code="bad")], "__all__": ["Whole."]}),
    "database": OperationalError('connection to "db.internal" failed: password=hunter2'),
    "bug": RuntimeError("SELECT secret FROM foundation_apikey"),
}

urlpatterns = [
    path("v1/keys", Keys.as_view()),
    path("v1/keys-by-name", KeysByName.as_view()),
    path("v1/rename", Rename.as_view()),
    path("v1/rename/<suffix>", Rename.as_view()),
    path("v1/raise/<what>", Raise.as_view()),
    path("v1/validate", Validate.as_view()),
    path("v1/unscoped", Unscoped.as_view()),
]
