"""What the catalogue's part of the API has in common: its scopes, and finding what an address names."""

from difflib import get_close_matches
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request

from billing_site.foundation import etags
from billing_site.foundation.idempotency import IdempotentWrites
from billing_site.foundation.models import Scope
from billing_site.foundation.shape_kinds import storable
from billing_site.foundation.shaped_bodies import WholeJSONParser, WithoutForms
from catalog.documents import exporting
from catalog.models import Plan, PlanVersion

Found = TypeVar("Found", bound=Model)
LOOKED_AT = 1_000
MAX_NUMBER = 2**31 - 1


class View(IdempotentWrites, GenericAPIView[Any]):
    """Drafts are written with the scope `write`; what makes prices hold for customers needs `publish`."""

    required_scopes: Any = {
        "GET": Scope.READ.value,
        **dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), Scope.WRITE.value),
    }
    pagination_class: Any = None
    filter_backends = ()
    parser_classes = (WholeJSONParser,)
    metadata_class = WithoutForms


class VersionView(View):
    """A view of a version, or of a part of it."""

    queryset = PlanVersion.objects.select_related("plan")
    further_errors = {"412": "The version has changed since it had the ETag that If-Match names."}

    def version(self, code: str, number: int) -> PlanVersion:
        """The version of an address, with everything in it. Raises NotFound."""
        return version_of(exporting.WHOLE, code, number)

    def held(self, request: Request, code: str, number: int) -> PlanVersion:
        """The same to be written, locked, when it is what `If-Match` names. Raises NotFound, ChangedMeanwhile."""
        version = version_of(self.get_queryset().select_for_update(no_key=True, of=("self",)), code, number)
        if etags.is_asked(request):
            etags.check(request, exporting.tag_of(exporting.WHOLE.get(pk=version.pk)))
        return version


def find(queryset: "QuerySet[Found]", code: str, what: str, field: str = "code") -> Found:
    """What has this code. Raises NotFound, with a code that is close."""
    found = queryset.filter(**{field: code}).first() if storable(code) else None
    if found is None:
        codes = queryset.model._default_manager.order_by(field).values_list(field, flat=True)
        raise NotFound(closest(what, code, list(codes[:LOOKED_AT])), code=f"{what}_unknown")
    return found


def find_plan(code: str) -> Plan:
    return find(Plan.objects.all(), code, "plan")


def version_of(queryset: "QuerySet[PlanVersion]", code: str, number: int) -> PlanVersion:
    """A version by its plan's code and its number. Raises NotFound."""
    version = None
    if storable(code) and number <= MAX_NUMBER:
        version = queryset.filter(plan__code=code, number=number).first()
    if version is None:
        plan = find_plan(code)
        numbers = plan.versions.order_by("-number").values_list("number", flat=True)[:3]
        newest = f"its newest are {', '.join(map(str, numbers))}" if numbers else "it has none"
        message = f"The plan “{plan.code}” has no version {str(number)[:20]}; {newest}."
        raise NotFound(message, code="version_unknown")
    return version


def closest(what: str, code: str, known: list[str]) -> str:
    """That there is none of this code, and what may have been meant."""
    close = get_close_matches(code[:100], known, n=1)
    return f"There is no {what} “{code[:100]}”" + (f": did you mean “{close[0]}”?" if close else ".")
