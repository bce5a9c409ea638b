"""API keys: made, recognised, revoked. The only writer of ApiKey.

A key reads `tb_<prefix>_<secret>`: the prefix (12 letters and digits) finds its row, and the SHA-256 of the whole key
proves it. The secret has 256 random bits, so a plain hash is enough: there is nothing to guess.
"""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError, connection

from billing_site.foundation import clock, statements
from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.models import ApiKey, Scope

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MARK = "tb"
PREFIX_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
PREFIX_LENGTH = 12
NOTE_USE_EVERY = timedelta(minutes=1)

# SKIP LOCKED: requests that use one key at the same moment must not queue on its row; one of them notes the use.
NOTE_USE = """
    UPDATE foundation_apikey SET last_used_at = %(now)s
    WHERE id = (
        SELECT id FROM foundation_apikey
        WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at <= %(before)s)
        FOR NO KEY UPDATE SKIP LOCKED
    )
"""


def create_key(
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None = None,
    created_by: "User | None" = None,
) -> tuple[ApiKey, str]:
    """Make a key: its row, and the key itself, which exists nowhere else and cannot be shown again."""
    faults = check_key(name, scopes, expires_at)
    if faults:
        raise Refused(*faults)
    prefix = "".join(secrets.choice(PREFIX_LETTERS) for _ in range(PREFIX_LENGTH))
    key = f"{MARK}_{prefix}_{secrets.token_urlsafe(32)}"
    row = ApiKey.objects.create(
        name=name.strip(),
        prefix=prefix,
        digest=_digest(key),
        scopes=[scope for scope in Scope.values if scope in scopes],
        expires_at=expires_at,
        created_by=created_by,
    )
    return row, key


def check_key(name: str, scopes: Collection[str], expires_at: datetime | None) -> list[Fault]:
    """What `create_key` would refuse; nothing when it would not."""
    return [*_name_faults(name), *_scope_faults(scopes), *_expiry_faults(expires_at)]


def revoke_key(key: ApiKey) -> bool:
    """End a key now and for good. False when it was revoked before: the first instant stays."""
    revoked = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=clock.now())
    key.refresh_from_db(fields=["revoked_at"])
    return revoked == 1


def find_key(presented: str) -> ApiKey | None:
    """The row of a key that somebody presents, whatever its state, or None. One query."""
    mark, _, rest = presented.partition("_")
    prefix, _, secret = rest.partition("_")
    if mark != MARK or not prefix.isascii() or not prefix.isalnum() or not secret:
        return None
    row = _with_prefix(prefix)
    if row is None or not compare_digest(row.digest, _digest(presented)):
        return None
    return row


def _with_prefix(prefix: str) -> ApiKey | None:
    """Asked by every request, so the statement is not made anew by the ORM each time: that took longer than to run it.

    Uses the unique index of the prefix.
    """
    statement, names = _look_up()
    found = _first_row(statement, prefix)
    return ApiKey.from_db(connection.alias, names, found) if found else None


@cache
def _look_up() -> tuple[str, list[str]]:
    """The statement, and the attributes that its columns fill."""
    fields = ApiKey._meta.concrete_fields
    columns = ", ".join(f'"{field.column}"' for field in fields)
    return f"SELECT {columns} FROM foundation_apikey WHERE prefix = %b", [field.attname for field in fields]  # noqa: S608


def _first_row(statement: str, parameter: str) -> tuple[Any, ...] | None:
    """Asked before anything else, so it shows whether an open connection still works, which Django would ask apart.

    On one that does not, nothing was done: it is asked again on a new one.
    """
    wrapper: Any = connection  # the stubs know nothing of its health
    proven = wrapper.connection is None or wrapper.health_check_done or not wrapper.health_check_enabled
    wrapper.health_check_done = True
    try:
        return statements.send(statement, parameter, prepare=True).fetchone()
    except (OperationalError, InterfaceError):
        if proven or connection.is_usable():
            raise
        connection.close()
        return statements.send(statement, parameter, prepare=True).fetchone()


def note_use(key: ApiKey) -> None:
    """Remember that the key was used, at most once a minute, without waiting for anybody."""
    now = clock.now()
    if key.last_used_at is not None and key.last_used_at > now - NOTE_USE_EVERY:
        return
    with connection.cursor() as cursor:
        cursor.execute(NOTE_USE, {"id": key.pk, "now": now, "before": now - NOTE_USE_EVERY})


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _name_faults(name: str) -> list[Fault]:
    if not name.strip():
        return [
            Fault(
                "name_missing",
                "Name the key after who uses it, for example “production gateway”.",
                "name",
            )
        ]
    if len(name.strip()) > 100:
        return [Fault("name_too_long", "The name may have up to 100 characters.", "name")]
    return []


def _scope_faults(scopes: Collection[str]) -> list[Fault]:
    known = ", ".join(Scope.values)
    unknown = sorted(set(scopes) - set(Scope.values))
    if unknown:
        return [
            Fault(
                "scope_unknown",
                f"Unknown scope “{unknown[0]}”; a scope is one of {known}.",
                "scopes",
            )
        ]
    if not scopes:
        return [Fault("scope_missing", f"Choose at least one scope of {known}.", "scopes")]
    return []


def _expiry_faults(expires_at: datetime | None) -> list[Fault]:
    if expires_at is not None and expires_at <= clock.now():
        message = f"The key would already have expired ({expires_at:%Y-%m-%d %H:%M %Z}); choose a later time or none."
        return [Fault("expiry_passed", message, "expires_at")]
    return []
