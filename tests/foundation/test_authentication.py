"""Who may call the API, and who not."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key, find_key, note_use, revoke_key
from billing_site.foundation.errors import Refused
from billing_site.foundation.models import ApiKey

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.foundation.sample_api")]

KEY = re.compile(r"tb_[a-z0-9]{12}_[A-Za-z0-9_-]{43}")


def test_a_key_is_shown_once_and_only_its_hash_is_stored() -> None:
    row, secret = create_key("gateway", ["write", "read"])
    assert KEY.fullmatch(secret)
    assert row.digest == sha256(secret.encode()).hexdigest()
    assert secret.startswith(f"tb_{row.prefix}_")
    assert row.scopes == ["read", "write"]  # in the order in which scopes are declared
    assert secret not in str(ApiKey.objects.values().get())


@pytest.mark.parametrize(
    ("name", "scopes", "expires_in", "code"),
    [
        ("  ", ["read"], None, "name_missing"),
        ("x" * 101, ["read"], None, "name_too_long"),
        ("gateway", [], None, "scope_missing"),
        ("gateway", ["read", "admin"], None, "scope_unknown"),
        ("gateway", ["read"], timedelta(0), "expiry_passed"),
    ],
)
def test_a_bad_key_is_refused(name: str, scopes: list[str], expires_in: timedelta | None, code: str) -> None:
    with pytest.raises(Refused) as refused:
        create_key(name, scopes, expires_at=None if expires_in is None else clock.now() + expires_in)
    assert [fault.code for fault in refused.value.faults] == [code]
    assert not ApiKey.objects.exists()


def test_the_database_refuses_unknown_scopes_and_bare_secrets(key: ApiKey) -> None:
    for change in ({"scopes": ["root"]}, {"scopes": []}, {"digest": "tb_plain"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ApiKey.objects.filter(pk=key.pk).update(**change)


def test_a_key_with_the_scope_may(caller: APIClient) -> None:
    assert caller.get("/v1/keys").status_code == 200


def test_finding_the_key_is_one_query(key_and_secret: tuple[ApiKey, str]) -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert find_key(key_and_secret[1]) == key_and_secret[0]
    assert len(queries) == 1


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "not_authenticated"),
        ("", "not_authenticated"),
        ("Basic dXNlcjpwYXNz", "authorization_malformed"),
        ("Bearer", "authorization_malformed"),
        ("Bearer   ", "authorization_malformed"),
        ("Bearer tb_abcdefghjkmn_0000000000000000000000000000000000000000000", "api_key_unknown"),
        ("Bearer sk_live_123", "api_key_unknown"),
        ("Bearer tb_abc", "api_key_unknown"),
        ("Bearer tb__", "api_key_unknown"),
        ("Bearer tb_\x00_x", "api_key_unknown"),
        ("Bearer tb_äöü_x", "api_key_unknown"),
    ],
)
def test_without_a_known_key_nobody_may(key: ApiKey, header: str | None, code: str) -> None:
    client = APIClient()
    answer = client.get("/v1/keys", **({} if header is None else {"HTTP_AUTHORIZATION": header}))
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith('Bearer realm="Tallybook"')
    assert [error["code"] for error in answer.json()["errors"]] == [code]


def test_the_right_prefix_with_a_wrong_secret_is_unknown(
    key_and_secret: tuple[ApiKey, str], client_with: Callable[..., APIClient]
) -> None:
    wrong = key_and_secret[1][:-1] + ("A" if key_and_secret[1][-1] != "A" else "B")
    answer = client_with(wrong).get("/v1/keys")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "api_key_unknown")
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


def test_a_revoked_key_may_not(key_and_secret: tuple[ApiKey, str], caller: APIClient) -> None:
    row = key_and_secret[0]
    assert revoke_key(row) is True
    first = row.revoked_at
    assert revoke_key(row) is False
    assert row.revoked_at == first
    answer = caller.get("/v1/keys")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "api_key_revoked")


def test_an_expired_key_may_not(client_with: Callable[..., APIClient]) -> None:
    row, secret = create_key("gateway", ["read"], expires_at=clock.now() + timedelta(hours=1))
    assert client_with(secret).get("/v1/keys").status_code == 200
    ApiKey.objects.filter(pk=row.pk).update(expires_at=clock.now())
    answer = client_with(secret).get("/v1/keys")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "api_key_expired")
    # Who does not hold the whole key does not learn that there was one.
    assert client_with(secret[:-1] + "!").get("/v1/keys").json()["errors"][0]["code"] == "api_key_unknown"


def test_a_key_without_the_scope_may_not_and_hears_which(client_with: Callable[..., APIClient]) -> None:
    _, secret = create_key("ingest only", ["ingest", "backfill"])
    answer = client_with(secret).get("/v1/keys")
    assert answer.status_code == 403
    [error] = answer.json()["errors"]
    assert error["code"] == "scope_missing"
    assert "“read”" in error["message"]
    assert "ingest, backfill" in error["message"]


def test_head_needs_the_scope_of_get_and_options_none(client_with: Callable[..., APIClient]) -> None:
    _, secret = create_key("ingest only", ["ingest"])
    assert client_with(secret).head("/v1/keys").status_code == 403
    assert client_with(secret).options("/v1/keys").status_code == 200


def test_a_view_that_names_no_scope_is_closed(caller: APIClient) -> None:
    assert caller.get("/v1/unscoped").status_code == 500
    caller.handler.raise_request_exception = True
    caller.raise_request_exception = True
    with pytest.raises(ImproperlyConfigured, match=r"Unscoped.required_scopes names no scope for GET"):
        caller.get("/v1/unscoped")


def test_a_method_that_does_not_exist_is_405_not_403(caller: APIClient) -> None:
    answer = caller.delete("/v1/keys")
    assert answer.status_code == 405
    assert answer.json()["errors"][0]["code"] == "method_not_allowed"


def test_last_use_is_noted_at_most_once_a_minute(key: ApiKey) -> None:
    note_use(key)
    key.refresh_from_db()
    first = key.last_used_at
    assert first is not None
    with CaptureQueriesContext(connection) as queries:
        note_use(key)
    assert len(queries) == 0
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=first - timedelta(seconds=61))
    key.refresh_from_db()
    note_use(key)
    key.refresh_from_db()
    assert key.last_used_at is not None
    assert key.last_used_at >= first


def test_noting_use_writes_no_history(key: ApiKey, caller: APIClient) -> None:
    caller.get("/v1/keys")
    key.refresh_from_db()
    assert key.last_used_at is not None
    assert key.events.count() == 1  # type: ignore[attr-defined]  # that it was made


@pytest.mark.django_db(transaction=True)
def test_requests_do_not_queue_on_the_row_of_their_key(key_and_secret: tuple[ApiKey, str]) -> None:
    """Somebody holds the key's row; another request must neither wait for it nor fail."""
    row, secret = key_and_secret
    before = datetime(2026, 1, 1, tzinfo=UTC)

    def use() -> str:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '300ms'")
            found = find_key(secret)
            assert found is not None
            note_use(found)
            return "went on"
        finally:
            connection.close()

    ApiKey.objects.filter(pk=row.pk).update(last_used_at=before)
    with ThreadPoolExecutor(1) as others, transaction.atomic():
        ApiKey.objects.select_for_update().get(pk=row.pk)
        assert others.submit(use).result(timeout=10) == "went on"
    row.refresh_from_db()
    assert row.last_used_at == before


def test_of_two_requests_that_read_the_same_row_one_notes_the_use(key: ApiKey) -> None:
    stale = ApiKey.objects.get(pk=key.pk)
    note_use(key)
    key.refresh_from_db()
    first = key.last_used_at
    note_use(stale)
    key.refresh_from_db()
    assert key.last_used_at == first


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_broke_between_two_requests_is_replaced() -> None:
    """The look-up stands in for Django's check of an open connection: no statement more, and no error."""
    row, secret = create_key("gateway", ["read"])
    connection.health_check_enabled, connection.health_check_done = True, False
    with CaptureQueriesContext(connection) as captured:
        assert find_key(secret) == row
    assert len(captured) == 1
    assert connection.health_check_done
    _end_session()
    connection.health_check_done = False  # as when the next request begins
    assert find_key(secret) == row
    assert find_key(secret) == row


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_breaks_within_a_request_is_an_error() -> None:
    _, secret = create_key("gateway", ["read"])
    assert find_key(secret)
    _end_session()
    with pytest.raises(OperationalError):
        find_key(secret)
    connection.close()
    assert find_key(secret)


def _end_session() -> None:
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:  # type: ignore[arg-type]
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
