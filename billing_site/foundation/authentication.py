"""Who calls the API: `Authorization: Bearer <key>`, and what the key is allowed to do."""

from typing import TYPE_CHECKING

import pghistory
from django.core.exceptions import ImproperlyConfigured
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import (
    AuthenticationFailed,
    MethodNotAllowed,
    PermissionDenied,
)
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from billing_site.foundation import api_keys, clock
from billing_site.foundation.models import ApiKey

if TYPE_CHECKING:
    # rest_framework.views loads this module while it loads itself.
    from rest_framework.views import APIView

REALM = 'Bearer realm="Tallybook"'


class ApiKeyAuthentication(BaseAuthentication):
    """`request.auth` becomes the ApiKey; `request.user` stays None, since a key is nobody's login."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey] | None:
        """One query. None without an Authorization header; AuthenticationFailed when it holds no usable key."""
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header:
            return None
        scheme, _, presented = header.partition(" ")
        if scheme.lower() != "bearer" or not presented.strip():
            raise AuthenticationFailed(
                "Send the API key as “Authorization: Bearer <key>”.",
                code="authorization_malformed",
            )
        key = _usable(api_keys.find_key(presented.strip()))
        api_keys.note_use(key)
        pghistory.context(api_key=key.pk, api_key_name=key.name)
        return None, key

    def authenticate_header(self, request: Request) -> str:
        return REALM


def _usable(key: ApiKey | None) -> ApiKey:
    """The key, or why not. Only who holds the whole key learns that it was revoked or has expired."""
    if key is None:
        raise AuthenticationFailed("This API key is not known.", code="api_key_unknown")
    if key.revoked_at is not None:
        message = f"This API key ({key.prefix}…) was revoked on {key.revoked_at:%Y-%m-%d at %H:%M} UTC."
        raise AuthenticationFailed(message, code="api_key_revoked")
    if key.expires_at is not None and key.expires_at <= clock.now():
        message = f"This API key ({key.prefix}…) expired on {key.expires_at:%Y-%m-%d at %H:%M} UTC."
        raise AuthenticationFailed(message, code="api_key_expired")
    return key


class HasScope(BasePermission):
    """The key has the scope that the view's `required_scopes` names: one scope, or {method: scope}.

    A scope never includes another: a key that reads and writes has both. A view that names none is refused to
    everybody, by an error of its author's, rather than open.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not isinstance(request.auth, ApiKey):
            return False
        scope = required_scope(view, request.method or "")
        if scope is not None and scope not in request.auth.scopes:
            held = ", ".join(request.auth.scopes)
            raise PermissionDenied(
                f"This API key lacks the scope “{scope}”; it has: {held}. Use a key with that scope.",
                code="scope_missing",
            )
        return True


def required_scope(view: "APIView", method: str) -> str | None:
    """The scope that a method of a view needs; None for OPTIONS, which any key may ask."""
    if method not in view.allowed_methods:
        raise MethodNotAllowed(method)
    if method == "OPTIONS":
        return None
    scopes = getattr(view, "required_scopes", None)
    if isinstance(scopes, dict):
        scopes = scopes.get(method) or (scopes.get("GET") if method == "HEAD" else None)
    if not isinstance(scopes, str):
        raise ImproperlyConfigured(f"{type(view).__name__}.required_scopes names no scope for {method}.")
    return scopes
