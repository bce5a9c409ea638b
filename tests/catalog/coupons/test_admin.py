"""The operator's page of coupons."""

from typing import Any

import pgtrigger
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from catalog.models import Coupon
from tests.catalog import making

pytestmark = pytest.mark.django_db
LIST, ADD = "/admin/catalog/coupon/", "/admin/catalog/coupon/add/"
FIELDS = {"code": "spring-24", "name": "Spring", "percent": "10", "amount": "", "currency": "", "duration": "once"}
FIELDS |= {"periods": "", "max_redemptions": "100", "max_per_customer": "1", "redeem_by": "2030-01-31", "active": "on"}


@pytest.fixture
def operator(db: None) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("operator", "o@example.com", "a long password"))
    return client


def saved(client: Client, path: str = ADD, **changes: Any) -> dict[str, list[str]]:
    """What the page says is wrong; nothing when it was saved."""
    answer = client.post(path, {**FIELDS, **changes})
    return {} if answer.status_code == 302 else dict(answer.context["adminform"].form.errors)


def test_one_is_made_changed_and_listed(operator: Client) -> None:
    charge = making.usage(making.draft(), making.tokens())
    assert operator.get(ADD).status_code == 200
    assert saved(operator, charges=["tokens"], products=[charge.product_id]) == {}
    coupon = Coupon.objects.get()
    assert (coupon.code, coupon.charges, coupon.for_products.get().product) == ("SPRING-24", ["tokens"], charge.product)
    page = operator.get(LIST).content.decode()
    assert "10 % on one invoice" in page
    assert "0 of 100, 100 left" in page
    assert saved(operator, f"{LIST}{coupon.pk}/change/", duration="periods", periods="3") == {}
    coupon.refresh_from_db()
    assert (coupon.periods, coupon.charges, coupon.for_products.exists()) == (3, [], False)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"percent": ""}, "percent"),
        ({"percent": "120"}, "percent"),
        ({"percent": "", "amount": "5"}, "currency"),
        ({"duration": "periods"}, "periods"),
        ({"code": "no blanks"}, "code"),
        ({"charges": ["other"]}, "charges"),
        ({"name": "x" * 201}, "name"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(operator: Client, changes: dict[str, Any], field: str) -> None:
    assert list(saved(operator, **changes)) == [field]
    assert not Coupon.objects.exists()


def test_once_redeemed_only_name_and_limits_are_offered(operator: Client) -> None:
    saved(operator)
    coupon = Coupon.objects.get()
    with pgtrigger.ignore("catalog.Coupon:coupon_stays"):
        Coupon.objects.update(redeemed=5)
    path = f"{LIST}{coupon.pk}/change/"
    form = operator.get(path).context["adminform"].form
    assert sorted(form.fields) == ["active", "max_per_customer", "max_redemptions", "name", "redeem_by"]
    assert list(saved(operator, path, max_redemptions="4")) == ["max_redemptions"]
    assert saved(operator, path, percent="90", max_redemptions="", active="") == {}
    coupon.refresh_from_db()
    assert (coupon.percent, coupon.max_redemptions, coupon.active) == (10, None, False)
    operator.post(f"{LIST}{coupon.pk}/delete/", {"post": "yes"})
    assert Coupon.objects.exists()


def test_who_may_only_look_changes_nothing(operator: Client) -> None:
    saved(operator)
    user = get_user_model().objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_coupon"))
    client = Client()
    client.force_login(user)
    coupon = Coupon.objects.get()
    assert client.get(LIST).status_code == 200
    assert client.get(ADD).status_code == 403
    assert client.post(f"{LIST}{coupon.pk}/change/", FIELDS).status_code == 403
    assert client.post(f"{LIST}{coupon.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Coupon.objects.exists()
