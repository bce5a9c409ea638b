"""Coupons by the verbs and by the API: made, changed, taken away; refused with the field, the value and the mend."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any

import pgtrigger
import pytest
from django.db import IntegrityError, transaction
from rest_framework.test import APIClient

from billing_site.foundation.api_keys import create_key
from billing_site.foundation.changes import of_object
from billing_site.foundation.errors import Refused
from catalog.coupons import issuing as coupons
from catalog.coupons.words import takes_off, uses
from catalog.models import Coupon, Plan
from tests.catalog import making

pytestmark = pytest.mark.django_db
_keys = count(1)
SPRING = {"code": "spring-24", "name": "Spring", "percent": "10"}


def client_of(*scopes: str) -> Callable[..., Any]:
    client = APIClient()
    _, secret = create_key("caller", list(scopes))
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")

    def call(method: str, path: str, body: Any = None) -> Any:
        headers = {"Idempotency-Key": f"coupon-{next(_keys)}"}
        return getattr(client, method)(f"/v1/coupons{path}", body, format="json", headers=headers)

    return call


@pytest.fixture
def call(db: None) -> Callable[..., Any]:
    return client_of("read", "publish")


def make(**terms: Any) -> Coupon:
    return coupons.create_coupon(**{"code": "SPRING", "name": "Spring", "percent": Decimal(10), **terms})


def refused(do: Callable[[], object]) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refusal:
        do()
    return [(fault.code, fault.field) for fault in refusal.value.faults]


def used(coupon: Coupon, times: int = 1) -> None:
    """As if it had been redeemed."""
    with pgtrigger.ignore("catalog.Coupon:coupon_stays"):
        Coupon.objects.filter(pk=coupon.pk).update(redeemed=times)


def test_the_code_is_kept_in_capital_letters_and_found_in_any() -> None:
    made = make(code=" Spring_24 ")
    assert made.code == "SPRING_24"
    assert coupons.find("sPrinG_24 ") == made
    assert coupons.find("\0") is None
    assert refused(lambda: make(code="spring_24")) == [("code_conflict", "code")]
    assert of_object(made)[0].changes[0].action == "added"


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"percent": None}, [("coupon_percent_or_amount", "percent")]),
        ({"amount": Decimal(5), "currency": "USD"}, [("coupon_percent_or_amount", "percent")]),
        ({"percent": Decimal(101)}, [("percent_invalid", "percent")]),
        ({"percent": Decimal(0)}, [("percent_invalid", "percent")]),
        ({"currency": "USD"}, [("currency_unused", "currency")]),
        ({"percent": None, "amount": Decimal(5)}, [("currency_unknown", "currency")]),
        ({"percent": None, "amount": Decimal(5), "currency": "QQQ"}, [("currency_unknown", "currency")]),
        ({"percent": None, "amount": Decimal("5.5"), "currency": "JPY"}, [("amount_too_precise", "amount")]),
        ({"percent": None, "amount": Decimal(0), "currency": "USD"}, [("amount_invalid", "amount")]),
        ({"duration": "weekly"}, [("duration_unknown", "duration")]),
        ({"duration": "periods"}, [("periods_missing", "periods")]),
        ({"periods": 3}, [("periods_unused", "periods")]),
        ({"charges": ["tokens", ""]}, [("charge_invalid", "charges.1")]),
        ({"code": "no blanks"}, [("code_invalid", "code")]),
        ({"name": ""}, [("blank", "name")]),
    ],
)
def test_what_is_wrong_is_said_at_its_field(terms: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert refused(lambda: make(**terms)) == expected
    assert not Coupon.objects.exists()


def test_until_it_is_redeemed_everything_changes() -> None:
    coupon = make(products=[making.product()])
    plan = Plan.objects.create(code="chat", name="Chat")
    terms = {"percent": None, "amount": Decimal(5), "currency": "USD", "duration": "forever", "charges": ["tokens"]}
    changed = coupons.change_coupon(coupon, code="summer", products=[], plans=[plan], **terms)
    assert (changed.code, takes_off(changed)) == ("SUMMER", "$5.00 on every invoice")
    assert (coupons.products_of(changed), coupons.plans_of(changed)) == ([], [plan])
    coupons.delete_coupon(changed)
    assert not Coupon.objects.exists()


def test_once_redeemed_its_name_limits_and_being_active_change() -> None:
    coupon = make(products=[making.product()])
    used(coupon, 7)
    loose = {"name": "Spring sale", "active": False, "max_redemptions": 7, "max_per_customer": None}
    changed = coupons.change_coupon(coupon, **loose, redeem_by=date(2030, 1, 1), products=[making.product()])
    assert (changed.name, uses(changed)) == ("Spring sale", "7 of 7, 0 left")
    assert refused(lambda: coupons.change_coupon(coupon, max_redemptions=6)) == [
        ("limit_below_redeemed", "max_redemptions")
    ]
    for terms in ({"percent": Decimal(20)}, {"code": "OTHER"}, {"products": []}, {"charges": ["a"]}):
        assert refused(lambda terms=terms: coupons.change_coupon(coupon, **terms)) == [  # type: ignore[misc]
            ("coupon_redeemed_conflict", next(iter(terms)))
        ]
    assert refused(lambda: coupons.delete_coupon(coupon)) == [("coupon_redeemed_conflict", "code")]


@pytest.mark.parametrize(
    "columns",
    [
        {"percent": None},
        {"percent": 5, "amount": 5},
        {"percent": None, "amount": 5},
        {"percent": 101},
        {"duration": "periods"},
        {"periods": 3},
        {"code": "small"},
        {"redeemed": 1},
        {"max_redemptions": 3, "redeemed": 4},
    ],
)
def test_the_database_takes_only_coupons_that_are_whole(columns: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Coupon.objects.create(**{"code": "SPRING", "name": "Spring", "percent": 10, **columns})


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({}, "10 % on one invoice"),
        ({"duration": "periods", "periods": 1}, "10 % on 1 invoice"),
        ({"duration": "periods", "periods": 3, "percent": Decimal("12.5")}, "12.5 % on 3 invoices"),
    ],
)
def test_a_coupon_in_words(terms: dict[str, Any], words: str) -> None:
    coupon = make(**terms)
    assert (takes_off(coupon), uses(coupon)) == (words, "0, no limit")


def test_by_the_api(call: Callable[..., Any]) -> None:
    making.product()
    Plan.objects.create(code="chat", name="Chat")
    body = {**SPRING, "products": ["chatbot-api"], "plans": ["chat"], "redeem_by": "2030-01-31", "max_redemptions": 5}
    made = call("post", "", body)
    assert made.status_code == 201, made.json()
    answer = made.json()
    assert answer == {
        "code": "SPRING-24",
        "name": "Spring",
        "percent": "10",
        "amount": None,
        "currency": "",
        "duration": "once",
        "periods": None,
        "charges": [],
        "products": ["chatbot-api"],
        "plans": ["chat"],
        "max_redemptions": 5,
        "max_per_customer": 1,
        "redeem_by": "2030-01-31",
        "active": True,
        "redeemed": 0,
        "created_at": answer["created_at"],
    }
    assert call("get", "/spring-24").json() == answer
    assert call("get", "").json()["data"] == [answer]
    changed = call("patch", "/Spring-24", {"percent": None, "amount": "5.00", "currency": "USD", "products": []})
    assert (changed.json()["amount"], changed.json()["products"]) == ("5", [])
    used(Coupon.objects.get())
    conflict = call("patch", "/spring-24", {"amount": "6"})
    assert (conflict.status_code, conflict.json()["errors"][0]["field"]) == (409, "amount")
    assert call("delete", "/spring-24").status_code == 409
    used(Coupon.objects.get(), 0)
    assert call("delete", "/spring-24").status_code == 204
    assert call("get", "/spring-24").json()["errors"][0]["code"] == "coupon_unknown"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({**SPRING, "products": ["none"]}, 422, "products.0"),
        ({**SPRING, "plans": ["\0"]}, 400, "plans.0"),
        ({**SPRING, "percent": 10}, 400, "percent"),
        ({**SPRING, "precent": "10"}, 400, "precent"),
        ({**SPRING, "percent": "33.33333"}, 422, "percent"),
        ({**SPRING, "redeem_by": "soon"}, 400, "redeem_by"),
        ({"name": "Spring"}, 400, "code"),
    ],
)
def test_the_api_says_what_is_wrong(call: Callable[..., Any], body: Any, status: int, field: str) -> None:
    answer = call("post", "", body)
    assert answer.status_code == status
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_a_key_needs_the_scope() -> None:
    make()
    reader, writer = client_of("read", "write", "ingest"), client_of("publish")
    for method, path in (("post", ""), ("patch", "/spring"), ("delete", "/spring")):
        assert reader(method, path, SPRING).status_code == 403
    assert [writer("get", path).status_code for path in ("", "/spring")] == [403] * 2


@pytest.mark.parametrize(("times", "said"), [(1, "redeemed 1 time"), (2, "redeemed 2 times")])
def test_one_redemption_is_no_many(times: int, said: str) -> None:
    made = make(max_redemptions=5)
    used(made, times)
    for do in (
        lambda: coupons.delete_coupon(made),
        lambda: coupons.change_coupon(made, percent=Decimal(7)),
        lambda: coupons.change_coupon(made, max_redemptions=0),
    ):
        with pytest.raises(Refused, match=rf"{said}\b"):
            do()
