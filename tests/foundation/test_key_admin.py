"""API keys in the admin: made there, shown once, revoked there."""

import re
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from rest_framework.test import APIClient

from billing_site.foundation import clock
from billing_site.foundation.api_keys import create_key, revoke_key
from billing_site.foundation.models import ApiKey

pytestmark = pytest.mark.django_db

ADD = "/admin/foundation/apikey/add/"
LIST = "/admin/foundation/apikey/"
SECRET = re.compile(r"tb_[a-z0-9]{12}_[A-Za-z0-9_-]{43}")


def change(key: ApiKey) -> str:
    return f"{LIST}{key.pk}/change/"


def form(**fields: Any) -> dict[str, Any]:
    return {"name": "gateway", "scopes": ["ingest"], "expires_at_0": "", "expires_at_1": "", **fields}


@pytest.fixture
def viewer(db: None) -> Client:
    """Somebody who may look at keys and do nothing else."""
    user = User.objects.create_user("vera", password="a long password", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client = Client()
    client.force_login(user)
    return client


def test_a_new_key_is_shown_once_and_works(
    admin_client: Client, admin_user: User, client_with: Callable[..., APIClient]
) -> None:
    answer = admin_client.post(ADD, form(scopes=["read", "backfill"]))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    [secret] = set(SECRET.findall(answer.content.decode()))
    row = ApiKey.objects.get()
    assert row.digest == sha256(secret.encode()).hexdigest()
    assert (row.scopes, row.created_by) == (["read", "backfill"], admin_user)
    assert client_with(secret).get("/v1/customers").status_code == 200
    for address in (LIST, change(row), f"{LIST}{row.pk}/history/", "/admin/history/"):
        page = admin_client.get(address).content.decode()
        assert row.prefix in page
        assert secret not in page
        assert row.digest not in page


def test_the_command_that_is_shown_sends_an_event(admin_client: Client) -> None:
    page = admin_client.post(ADD, form()).content.decode()
    assert "curl http://testserver/v1/events" in page
    assert "curl http://testserver/v1/customers" in admin_client.post(ADD, form(scopes=["read"])).content.decode()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "“Name” is empty: write it."),
        ({"name": "   "}, "“Name” is empty: write it."),
        ({"scopes": []}, "“Scopes” is empty: tick at least one."),
        ({"scopes": ["root"]}, "root is not one of the available choices"),
        ({"expires_at_0": "2020-01-01", "expires_at_1": "00:00"}, "would already have expired"),
    ],
)
def test_a_bad_key_is_explained_at_its_field(admin_client: Client, fields: dict[str, Any], message: str) -> None:
    page = admin_client.post(ADD, form(**fields))
    assert message in page.content.decode()
    assert not ApiKey.objects.exists()


def test_only_the_name_can_be_changed(admin_client: Client) -> None:
    row, _ = create_key("gateway", ["ingest"])
    before = ApiKey.objects.values().get()
    admin_client.post(change(row), form(name="old gateway", scopes=["write"], expires_at_0="2099-01-01"))
    assert ApiKey.objects.values().get() == {**before, "name": "old gateway"}


def test_no_key_can_be_deleted(admin_client: Client) -> None:
    row, _ = create_key("gateway", ["ingest"])
    assert admin_client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert ApiKey.objects.filter(pk=row.pk).exists()


def test_looking_at_the_dialog_revokes_nothing_confirming_it_does(admin_client: Client) -> None:
    row, _ = create_key("gateway", ["ingest"])
    assert "Revoke this API key?" in admin_client.get(f"{LIST}{row.pk}/revoke/").content.decode()
    row.refresh_from_db()
    assert row.revoked_at is None
    assert admin_client.post(f"{LIST}{row.pk}/revoke/", {"_form_submitted": "True"})["HX-Redirect"] == change(row)
    row.refresh_from_db()
    assert row.revoked_at is not None
    assert f"{row.pk}/revoke/" not in admin_client.get(change(row)).content.decode()


def test_revoking_from_the_list_keeps_the_first_instant(admin_client: Client) -> None:
    one, two = create_key("one", ["read"])[0], create_key("two", ["read"])[0]
    revoke_key(one)
    page = admin_client.post(LIST, {"action": "revoke_selected", "_selected_action": [one.pk, two.pk]}, follow=True)
    assert "1 of 2 keys revoked" in page.content.decode()
    first = one.revoked_at
    one.refresh_from_db()
    two.refresh_from_db()
    assert one.revoked_at == first
    assert two.revoked_at is not None


def test_the_list_tells_and_filters_the_status(admin_client: Client) -> None:
    create_key("open door", ["read"])
    expired, _ = create_key("gone stale", ["read"], expires_at=clock.now() + timedelta(hours=1))
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=clock.now() - timedelta(hours=1))
    revoke_key(create_key("taken away", ["read"])[0])
    names = {"active": "open door", "expired": "gone stale", "revoked": "taken away"}
    for wanted in names:
        page = admin_client.get(LIST, {"status": wanted}).content.decode()
        assert [name in page for name in names.values()] == [status == wanted for status in names]


def test_a_viewer_makes_and_revokes_nothing(viewer: Client) -> None:
    row, _ = create_key("gateway", ["ingest"])
    assert viewer.get(LIST).status_code == 200
    assert viewer.post(ADD, form()).status_code == 403
    assert viewer.post(f"{LIST}{row.pk}/revoke/", {"_form_submitted": "True"}).status_code == 403
    assert viewer.post(change(row), form(name="mine")).status_code == 403
    viewer.post(LIST, {"action": "revoke_selected", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert (row.name, row.revoked_at) == ("gateway", None)


def test_nobody_without_a_login_sees_keys(client: Client) -> None:
    row, _ = create_key("gateway", ["ingest"])
    for address in (LIST, ADD, change(row), f"{LIST}{row.pk}/history/", "/admin/history/"):
        answer = client.get(address)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


def test_users_and_groups_are_in_the_same_look(admin_client: Client, admin_user: User) -> None:
    for address in ("/admin/auth/user/", "/admin/auth/user/add/", f"/admin/auth/user/{admin_user.pk}/password/"):
        page = admin_client.get(address)
        assert page.status_code == 200
        assert "unfold/css/styles" in page.content.decode()
    assert admin_client.get("/admin/auth/group/add/").status_code == 200
