"""Parameters in an address that no operation knows: refused, since a misspelt filter would answer too much."""

from typing import TYPE_CHECKING

from rest_framework.exceptions import ValidationError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:
    # rest_framework.views loads this module while it loads itself.
    from rest_framework.views import APIView

PAGE = ("after", "limit")


class KnownParameters(BasePermission):
    """Every view of the API says in `query_parameters` what its GET takes; without it, nothing. Writes take nothing.

    A name that ends with “[…]” stands for all that begin like it, as `filter[…]` does. It is asked after the key, so
    that nobody without one learns anything.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if request.method == "OPTIONS":
            return True
        names: tuple[str, ...] = getattr(view, "query_parameters", ()) if request.method in ("GET", "HEAD") else ()
        faults = {name: _message(name, names) for name in request.query_params if not _is_known(name, names)}
        if faults:
            raise ValidationError(faults, code="parameter_unknown")
        return True


def _is_known(name: str, names: tuple[str, ...]) -> bool:
    family, bracket, rest = name.partition("[")
    return name in names or (f"{family}{bracket}…]" in names and len(rest) > 1 and rest.endswith("]"))


def _message(name: str, names: tuple[str, ...]) -> str:
    known = f"the parameters are {', '.join(names)}" if names else "this operation takes none in its address"
    return f"There is no parameter “{name[:50]}”; {known}."
