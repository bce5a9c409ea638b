"""The operator's pages of negotiated terms and coupons: who may, what stands there, what comes of it."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pgtrigger
import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.charges.row_checks import DraftRow
from catalog.models import Cell, Charge, Plan
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from catalog.versions.publishing import change_charge, set_amounts, set_price_list, set_rows
from customers.deals import standard
from customers.models import Override, Redemption, Subscription
from customers.subscriptions import subscribing
from tests.customers import making
from tests.customers.dealing import coupon, override
from tests.invoicing.running import plan_with, subscribed

pytestmark = pytest.mark.django_db
FEBRUARY = date(2024, 2, 1)
NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _now() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def subscription(db: None) -> Subscription:
    tokens = making.meter("tokens", ["model"], unit="token")
    return subscribed(plan_with(tokens, advance="30", rows=[({"model": "a"}, "2"), ({}, "1")]))


def clerk(*permissions: str) -> Client:
    user = get_user_model().objects.create_user("clerk", password="a long password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def at(subscription: Subscription, page: str = "change/", **query: str) -> str:
    return f"/admin/customers/subscription/{subscription.pk}/{page}" + (f"?{urlencode(query)}" if query else "")


PRICE = {"what": "price", "charge": "charge-1", "row": json.dumps({"model": "a"})}
FIELDS = {"starts_on": "2024-01-11", "ends_on": "", "reason": "Framework"}


def test_standard_and_negotiated_stand_side_by_side(operator: Client, subscription: Subscription) -> None:
    override(subscription, "price", date(2024, 1, 5), charge="charge-1", match={"model": "a"}, price="1.5")
    override(subscription, "price", FEBRUARY, charge="charge-1", match={"model": "b"}, price="3")
    override(subscription, "fee", FEBRUARY, charge="charge-0", amount="20")
    override(subscription, "discount", FEBRUARY, percent="5", reason="<script>alert(1)</script>")
    page = operator.get(at(subscription))
    rows = {
        (row.group, row.label): (
            row.standard,
            [(each.text, each.days, each.state, each.difference) for each in row.agreed],
        )
        for row in page.context["terms"].rows
    }
    assert rows["Requests", "model = a"] == (
        "2 USD per token",
        [("1.5 USD per token", "from 2024-01-05", "now", "−25 %")],
    )
    assert rows["Requests", "everything (*)"] == ("1 USD per token", [])
    assert rows["Requests", "model = b"] == ("–", [("3 USD per token", "from 2024-02-01", "later", "")])
    assert rows["Platform", "Fee"] == ("$30.00", [("$20.00", "from 2024-02-01", "later", "−33.3 %")])
    assert rows["All lines", "Discount"][1][0][0] == "5 % off"
    assert "<script>alert(1)" not in page.content.decode()


def test_a_large_matrix_is_shown_in_part(operator: Client, subscription: Subscription) -> None:
    charge = Charge.objects.get(code="charge-1")
    with pgtrigger.ignore("catalog.Cell:cell_in_draft"):
        Cell.objects.bulk_create(
            Cell(charge=charge, position=n, match={"model": f"m{n}"}, unit_price=n) for n in range(2, 5_000)
        )
    override(subscription, "price", FEBRUARY, charge="charge-1", match={"model": "m4000"}, price="1")
    with CaptureQueriesContext(connection) as queries:
        page = operator.get(at(subscription))
    table = page.context["terms"]
    assert len([row for row in table.rows if row.what == "price"]) == 21
    assert table.hidden == {"charge-1": 5_000 - 21}
    assert len(queries) < 40


def test_a_price_is_previewed_then_negotiated(operator: Client, subscription: Subscription) -> None:
    making.use("acme", Charge.objects.get(code="charge-1").meter, datetime(2024, 1, 20, tzinfo=UTC), 10, {"model": "a"})
    address = at(subscription, "negotiate/", **PRICE)
    page = operator.get(address)
    assert page.context["form"].initial["unit_price"] == 2
    assert page.context["standard"] == "2 USD per token"
    fields = {**FIELDS, "model": "per_unit", "unit_price": "1.5", "size": "99"}
    seen = operator.post(address, {**fields, "preview": "1"})
    assert {name: seen.context["preview"][name] for name in ("before", "after", "difference")} == {
        "before": "$50.00",
        "after": "$45.00",
        "difference": "-$5.00",
    }
    assert not Override.objects.exists()
    assert operator.post(address, fields).status_code == 302
    made = Override.objects.get()
    assert (made.match, str(made.unit_price.normalize()), made.size) == ({"model": "a"}, "1.5", None)
    assert made.starts_at == datetime(2024, 1, 11, tzinfo=UTC)


def test_another_row_with_tiers(operator: Client, subscription: Subscription) -> None:
    address = at(subscription, "negotiate/", what="price", charge="charge-1")
    tiers = "1000; 0.02\n; 0.01; 5"
    fields = {**FIELDS, "value_model": "b", "model": "graduated", "tiers": tiers}
    despite = operator.post(address, fields).context["despite"]
    assert "100 times less than the plan's, 1 USD per token" in despite
    assert operator.post(address, {**fields, "despite": despite}).status_code == 302
    made = Override.objects.get()
    assert (made.match, made.model) == ({"model": "b"}, Model.GRADUATED)
    assert [list(map(float, each)) for each in (made.bounds, made.unit_prices, made.flat_prices)] == [
        [1000],
        [0.02, 0.01],
        [0, 5],
    ]
    again = operator.get(
        at(subscription, "negotiate/", what="price", charge="charge-1", row=json.dumps({"model": "b"}))
    )
    assert again.context["standard"] == "–"
    for wrong, said in (
        ("1000; much", "Tier 1: “much” is no number"),
        ("1000; 0,5", "Tier 1: “0,5” has a comma"),
        ("1;2;3;4;5", "has more than 4 figures"),
    ):
        answer = operator.post(address, {**fields, "tiers": wrong})
        assert said in str(answer.context["form"].errors["tiers"])


@pytest.mark.parametrize(
    ("query", "fields", "column", "value"),
    [
        ({"what": "included", "charge": "charge-1"}, {"quantity": "500"}, "quantity", 500),
        ({"what": "minimum", "charge": ""}, {"amount": "99.5"}, "amount", 99.5),
        ({"what": "cap", "charge": "charge-1"}, {"amount": ""}, "amount", None),
        ({"what": "fee", "charge": "charge-0"}, {"amount": "20"}, "amount", 20),
        ({"what": "discount", "charge": "charge-1"}, {"percent": "", "amount": "5"}, "amount", 5),
        ({"what": "discount", "charge": ""}, {"percent": "12.5"}, "percent", 12.5),
    ],
)
def test_every_term_has_its_fields(
    operator: Client, subscription: Subscription, query: dict[str, str], fields: dict[str, str], column: str, value: Any
) -> None:
    address = at(subscription, "negotiate/", **query)
    assert set(fields) <= set(operator.get(address).context["form"].fields)
    assert operator.post(address, {**FIELDS, **fields}).status_code == 302
    assert getattr(Override.objects.get(), column) == value


def test_what_is_wrong_is_said_at_its_field(operator: Client, subscription: Subscription) -> None:
    answer = operator.post(
        at(subscription, "negotiate/", **PRICE),
        {**FIELDS, "starts_on": "2023-12-31", "model": "per_unit", "unit_price": "-1"},
    )
    errors = answer.context["form"].errors
    assert "is too early" in str(errors["starts_on"])
    assert "is negative" in str(errors["unit_price"])
    answer = operator.post(
        at(subscription, "negotiate/", **PRICE),
        {**FIELDS, "model": "percentage", "percent": "1,5", "free_events": "2,5"},
    )
    errors = answer.context["form"].errors
    assert "“1,5” has a comma: write a point for decimals" in str(errors["percent"])
    assert "“2,5” has a comma: write a whole number" in str(errors["free_events"])
    assert not Override.objects.exists()


@pytest.mark.parametrize(
    "query",
    [
        {"what": "colour"},
        {"what": "price", "charge": "none"},
        {**PRICE, "row": "[]"},
        {**PRICE, "row": "{"},
        {**PRICE, "row": '{"model": 1}'},
    ],
)
def test_an_address_that_means_nothing_is_not_found(
    operator: Client, subscription: Subscription, query: dict[str, str]
) -> None:
    assert operator.get(at(subscription, "negotiate/", **query)).status_code == 404


def test_a_term_is_ended(operator: Client, subscription: Subscription) -> None:
    made = override(subscription, "minimum", date(2024, 1, 5), amount="5")
    address = at(subscription, f"terms/{made.pk}/end/")
    assert operator.get(address).status_code == 200
    refused = operator.post(address, {"ends_on": "2024-01-01"})
    assert "choose" in " ".join(str(message) for message in refused.context["messages"]).lower()
    assert operator.post(address, {"ends_on": "2024-02-01"}).status_code == 302
    made.refresh_from_db()
    assert made.ends_at == datetime(2024, 2, 1, tzinfo=UTC)
    ended = operator.get(at(subscription))
    assert ended.context["terms"].ended == []
    with time_machine.travel(datetime(2024, 3, 1, tzinfo=UTC), tick=False):
        operator.force_login(get_user_model().objects.get(username="operator"))
        later = operator.get(at(subscription)).context["terms"].ended
    assert [(each.text, each.state) for each in later] == [("$5.00", "ended")]


def test_a_coupon_is_redeemed_and_ended(operator: Client, subscription: Subscription) -> None:
    coupon("SPRING", "10", duration="forever")
    address = at(subscription, "redeem/")
    assert [each.code for each in operator.get(address).context["offered"]] == ["SPRING"]
    wrong = operator.post(address, {"code": "autumn"})
    assert "There is no coupon “AUTUMN”" in str(wrong.context["form"].errors["code"])
    seen = operator.post(address, {"code": "spring", "preview": "1"})
    assert (seen.context["preview"]["before"], seen.context["preview"]["after"]) == ("$30.00", "$27.00")
    assert operator.post(address, {"code": " spring "}).status_code == 302
    made = Redemption.objects.get()
    (row,) = operator.get(at(subscription)).context["redemptions"]
    assert (row["takes_off"], row["open"]) == ("10 % on every invoice", True)
    assert operator.post(at(subscription, f"coupons/{made.pk}/end/")).status_code == 302
    (row,) = operator.get(at(subscription)).context["redemptions"]
    assert (row["invoices"], row["open"]) == ("none: taken back", False)


def test_who_may_not_sees_and_does_nothing(subscription: Subscription) -> None:
    coupon("SPRING", "10")
    made = override(subscription, "minimum", date(2024, 1, 5), amount="5")
    looking = clerk("view_subscription")
    page = looking.get(at(subscription))
    assert page.status_code == 200
    assert "terms" not in page.context
    assert "redemptions" not in page.context
    for path in ("negotiate/?what=minimum", f"terms/{made.pk}/end/", "redeem/", "coupons/1/end/"):
        for answer in (looking.get(at(subscription, path)), looking.post(at(subscription, path), {})):
            assert answer.status_code == 403, path
    for page_of in ("override", "redemption"):
        assert looking.get(f"/admin/customers/{page_of}/").status_code == 403
    assert Client().get(at(subscription, "redeem/")).status_code == 302


def test_who_may_look_sees_no_buttons(subscription: Subscription) -> None:
    override(subscription, "minimum", date(2024, 1, 5), amount="5")
    looking = clerk("view_subscription", "view_override", "view_redemption")
    page = looking.get(at(subscription)).content.decode()
    assert "Standard and negotiated" in page
    for word in ("Negotiate…", "End…", "Redeem a coupon…"):
        assert word not in page
    assert looking.get("/admin/customers/override/").status_code == 200
    assert looking.get("/admin/customers/redemption/").status_code == 200


def test_the_lists_and_their_rows(operator: Client, subscription: Subscription) -> None:
    coupon("SPRING", "10")
    made = override(subscription, "minimum", date(2024, 1, 5), amount="5")
    operator.post(at(subscription, "redeem/"), {"code": "spring"})
    assert "from 2024-01-05" in operator.get("/admin/customers/override/").content.decode()
    assert operator.get(f"/admin/customers/override/{made.pk}/change/").status_code == 200
    assert "SPRING" in operator.get("/admin/customers/redemption/").content.decode()
    assert operator.get(f"/admin/customers/redemption/{Redemption.objects.get().pk}/change/").status_code == 200
    assert operator.get("/admin/customers/override/add/").status_code == 403


def test_credits_cost_the_same_in_every_currency_and_are_no_money(operator: Client) -> None:
    """7 credits a call, whoever pays in euros; 5 were negotiated. A fee, and what is off the invoice, are money."""
    version = making.version()
    making.fee(version, "30", "advance", "Platform")
    calls = making.usage_charge(version, making.meter("calls", unit="call"), [({}, "7")], "hold", "Calls")
    change_charge(calls, minimum=Decimal(500), included=Decimal(10))
    euro = set_price_list(version, "EUR")
    set_amounts(version.charges.exclude(pk=calls.pk).get(), euro, amount=Decimal(28))
    set_amounts(calls, euro, minimum=Decimal(1))
    set_rows(calls, euro, [DraftRow({}, per_unit(Decimal(1)))])
    customer = subscribing.create_customer(reference="acme", name="Acme", currency="EUR", timezone="UTC")
    subscription = subscribing.subscribe(customer=customer, version=making.publish(version), starts_on=date(2024, 1, 1))
    code = calls.code
    override(subscription, "price", FEBRUARY, charge=code, match={}, price="5")
    override(subscription, "minimum", FEBRUARY, charge=code, amount="400")
    override(subscription, "discount", FEBRUARY, charge=code, amount="3")
    with pgtrigger.ignore():  # subscriptions of plans in credits need a wallet
        Plan.objects.update(consumption="credits")
    rows = {
        (row.group, row.label): (row.standard, [(each.text, each.difference) for each in row.agreed])
        for row in operator.get(at(subscription)).context["terms"].rows
    }
    assert rows["Platform", "Fee"] == ("€28.00", [])
    assert rows["Calls", "everything (*)"] == ("7 credits per call", [("5 credits per call", "−28.6 %")])
    assert rows["Calls", "Minimum"] == ("500 credits", [("400 credits", "−20 %")])
    assert rows["Calls", "Discount"] == ("–", [("€3.00 off, in a full period", "")])
    asked = operator.get(at(subscription, "negotiate/", what="price", charge=code, row="{}"))
    assert "Standard: 7 credits per call." in asked.content.decode()
    assert 'value="7"' in asked.content.decode()


def test_a_fee_that_is_not_due_at_zero_stays_so(operator: Client) -> None:
    """Negotiating the price of a tier does not bring back the fee that the plan leaves out."""
    version = making.version()
    calls = making.usage_charge(version, making.meter("calls", unit="call"), [({}, "1")], "hold", "Calls")
    tiers = (Tier(Decimal(10), Decimal(1), Decimal(5)), Tier(None, Decimal(1)))
    set_rows(calls, None, [DraftRow({}, Price(Model.GRADUATED, tiers=tiers, flat_at_zero=False))])
    subscription = subscribed(making.publish(version))
    where = at(subscription, "negotiate/", what="price", charge=calls.code, row="{}")
    field = operator.get(where).context["form"]["flat_at_zero"]
    assert field.value() is False
    given = {**FIELDS, "model": "graduated", "tiers": "10; 2; 5\n; 1"}
    assert operator.post(where, given).status_code == 302
    assert Override.objects.get().flat_at_zero is False
    assert operator.post(where, {**given, "starts_on": "2024-02-01", "flat_at_zero": "on"}).status_code == 302
    assert Override.objects.latest("id").flat_at_zero is True


def test_standard_and_negotiated_prices_are_told_for_as_many_units() -> None:
    """Also of a negotiated price that by itself would be told for one, and on the page that negotiates it."""
    tokens = making.meter("tokens", ["model"], unit="token")
    small = subscribed(plan_with(tokens, rows=[({"model": "a"}, "0.000003"), ({}, "0.5")]))
    override(small, "price", date(2024, 1, 5), charge="charge-0", match={"model": "a"}, price=per_unit(Decimal("0.02")))
    table = standard.table(small)
    prices = [(row.standard, [agreed.text for agreed in row.agreed]) for row in table.rows if row.what == "price"]
    assert prices == [
        ("3 USD per 1,000,000 token", ["20,000 USD per 1,000,000 token"]),
        ("500,000 USD per 1,000,000 token", []),
    ]
    said = standard.standard_text(small, "price", "charge-0", {"model": "a"})
    assert said == "3 USD per 1,000,000 token"
