"""The API's one way from a draft to prices that never change again: reviewed, published, retired."""

from contextlib import suppress

from django.core.exceptions import ObjectDoesNotExist
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing_site.foundation import etags
from billing_site.foundation.models import Scope
from catalog.documents import exporting
from catalog.plans.serializers import PublishedSerializer, ReviewSerializer, VersionSerializer
from catalog.plans.view_api import VersionView
from catalog.versions import publishing


class Review(VersionView):
    """What somebody should read before publishing."""

    serializer_class = ReviewSerializer

    @extend_schema(
        operation_id="review_version",
        summary="What forbids to publish a version, what is worth a look, and what changes",
        parameters=etags.ANSWERED,
    )
    def get(self, request: Request, code: str, number: int) -> Response:
        version = self.version(code, number)
        review = publishing.review(version)
        previous = None if review.previous is None else review.previous.number
        said = {"faults": review.faults, "warnings": review.warnings, "changes": review.changes, "previous": previous}
        return Response(ReviewSerializer(said).data, headers=etags.header(exporting.tag_of(version)))


class Publish(VersionView):
    """The one way from a draft to prices that never change again."""

    serializer_class = PublishedSerializer
    required_scopes = {"POST": Scope.PUBLISH.value}

    @extend_schema(
        operation_id="publish_version",
        summary="Publish a draft, and freeze the meters that it uses",
        description="Refused with everything that forbids it; each `field` is a place in the version's document.",
        request=None,
        responses=PublishedSerializer,
        parameters=etags.ASKED,
    )
    def post(self, request: Request, code: str, number: int) -> Response:
        # Looked at before anything is locked: it takes a while, and others would wait for it.
        draft = self.version(code, number)
        review, tag = None, exporting.tag_of(draft)
        with suppress(ObjectDoesNotExist):  # thrown away meanwhile, in part or as a whole
            review = publishing.review(draft)
        held = self.held(request, code, number)
        changed = exporting.tag_of(exporting.WHOLE.get(pk=held.pk)) != tag
        published = publishing.publish(held)
        if review is None or changed:
            review = publishing.review(published)
        said = {"version": published, "warnings": review.warnings, "changes": review.changes}
        return Response(PublishedSerializer(said).data)


class Retire(VersionView):
    """Out of the offer: those that are subscribed keep it."""

    serializer_class = VersionSerializer
    required_scopes = {"POST": Scope.PUBLISH.value}

    @extend_schema(
        operation_id="retire_version",
        summary="Let no new subscription be made on a published version",
        request=None,
        responses=VersionSerializer,
        parameters=etags.ASKED,
    )
    def post(self, request: Request, code: str, number: int) -> Response:
        return Response(VersionSerializer(publishing.retire(self.held(request, code, number))).data)


of_version = "plans/<str:code>/versions/<int:number>"
urlpatterns = [
    path(f"{of_version}/review", Review.as_view(), name="version-review"),
    path(f"{of_version}/publish", Publish.as_view(), name="version-publish"),
    path(f"{of_version}/retire", Retire.as_view(), name="version-retire"),
]
