"""What Django answers outside of any view: JSON in the API's one shape under its prefix, a short page elsewhere."""

import sys
from http import HTTPStatus

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing_site.foundation.api_errors import DATABASE_AWAY, INTERNAL, RETRY_AFTER_SECONDS, body
from billing_site.foundation.errors import Fault

WORDS = {
    400: (
        "Bad request",
        "The browser sent something that this server does not understand.",
    ),
    403: (
        "Not allowed",
        "Your login may not do this. Ask somebody who administers Tallybook.",
    ),
    404: ("Not found", "There is nothing at this address."),
    500: (
        "Something went wrong",
        "It has been logged. Go back and try again; if it stays, tell whoever runs this server.",
    ),
    503: ("The database is away", "Nothing is lost. Try again in a moment."),
}


class UnknownApiAddress(APIView):
    """404 in the API's shape for every address under its prefix that nothing else answers."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        raise NotFound(
            "There is nothing at this address; /v1/docs lists what there is.",
            code="address_unknown",
        )

    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        raise NotFound


def page(request: HttpRequest, status: int) -> HttpResponse:
    title, text = WORDS[status]
    if request.path.startswith(settings.API_PREFIX):
        code = HTTPStatus(status).phrase.lower().replace(" ", "_")
        fault = {500: INTERNAL, 503: DATABASE_AWAY}.get(status) or Fault(code, text)
        return JsonResponse(body([fault]), status=status)
    return render(
        request,
        "error.html",
        {"title": title, "text": text, "status": status},
        status=status,
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return page(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return page(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500; or 503 when the exception that Django is handling just now says that the database is away."""
    if isinstance(sys.exc_info()[1], (OperationalError, InterfaceError)):
        response = page(request, 503)
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    return page(request, 500)
