"""The site's addresses, and an empty view of the same framework behind the same middleware."""

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing_site import urls


class Empty(APIView):
    """Reads the body and answers. Asks for no key."""

    authentication_classes: list[type] = []
    permission_classes: list[type] = []

    def get(self, request: Request) -> Response:
        return Response({})

    def post(self, request: Request) -> Response:
        return Response({"bytes": len(request._request.read())})


urlpatterns = [path("empty", Empty.as_view()), *urls.urlpatterns]
handler400, handler403, handler404, handler500 = urls.handler400, urls.handler403, urls.handler404, urls.handler500
