"""How a plan's usage is paid for: one way for each plan, what each needs, and that it stays."""

from decimal import Decimal
from threading import Event, Thread

import pytest
from django.db import IntegrityError, connection, transaction

from billing_site.foundation.errors import Refused
from catalog.charges.books import load
from catalog.charges.row_checks import DraftRow
from catalog.checks import versions as checks
from catalog.models import Plan, PlanVersion
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.price import Model, Price, per_unit
from catalog.versions.publishing import (
    change_charge,
    change_plan,
    change_version,
    clone_plan,
    create_plan,
    draft_version,
    publish,
    set_amounts,
    set_price_list,
    set_rows,
)
from tests.catalog import making

pytestmark = pytest.mark.django_db

D = Decimal


def version_of(consumption: str, **terms: object) -> PlanVersion:
    version = draft_version(create_plan(code="plan", name="Plan", consumption=consumption), **terms)  # type: ignore[arg-type]
    making.usage(version, making.calls(), [({}, D("0.01"))], code="calls")
    return version


def codes(version: PlanVersion) -> list[str]:
    return [fault.code for fault in checks.faults(version)]


@pytest.mark.parametrize(
    ("consumption", "terms", "expected"),
    [
        ("metered", {}, []),
        ("metered", {"when_empty": "block", "credit_price": D(1)}, ["when_empty_unused", "credit_price_unused"]),
        ("balance", {}, ["when_empty_missing"]),
        ("balance", {"when_empty": "invoice"}, []),
        ("balance", {"when_empty": "block", "included_credits": D(5)}, ["included_credits_unused"]),
        ("credits", {}, ["when_empty_missing"]),
        ("credits", {"when_empty": "block", "included_credits": D(100)}, []),
        ("credits", {"when_empty": "invoice"}, ["credit_price_missing"]),
        ("credits", {"when_empty": "invoice", "credit_price": D("0.02")}, []),
        ("credits", {"when_empty": "block", "cap": D(5)}, ["cap_unused"]),
    ],
)
def test_each_way_says_what_it_needs(consumption: str, terms: dict[str, object], expected: list[str]) -> None:
    assert codes(version_of(consumption, **terms)) == expected


def test_credits_cost_the_same_rows_in_every_currency_and_their_price_is_said_in_each() -> None:
    version = version_of("credits", when_empty="invoice", credit_price=D("0.02"))
    euro = set_price_list(version, "EUR")
    assert [(f.code, f.field) for f in checks.faults(version)] == [("amount_missing", "lists.EUR.credit_price")]
    set_price_list(version, "EUR", credit_price=D("0.018"))
    assert codes(version) == []
    book = load([(version.pk, "EUR")])[version.pk, "EUR"]
    assert [row.price for row in book.charges[0].rows] == [PerUnit(D("0.01"))]  # type: ignore[union-attr]
    charge = version.charges.get()
    charge.cells.create(price_list=euro, match={}, unit_price=1)
    assert codes(version) == ["rows_of_list"]


def test_credits_are_compared_with_no_money_of_a_charge_nor_of_a_list() -> None:
    version = version_of("credits", when_empty="block")
    euro = set_price_list(version, "EUR", minimum=D(5), cap=D(9))
    change_version(version, commitment_product=making.product())
    charge = version.charges.get()
    change_charge(charge, minimum=D(1), cap=D(2))
    set_amounts(charge, euro, minimum=D(3), cap=D(4))
    assert [(fault.code, fault.field) for fault in checks.faults(version)] == [
        ("minimum_unused", "lists.EUR.minimum"),
        ("cap_unused", "lists.EUR.cap"),
        ("minimum_unused", "charges.calls.minimum"),
        ("cap_unused", "charges.calls.cap"),
        ("minimum_unused", "charges.calls.lists.EUR.minimum"),
        ("cap_unused", "charges.calls.lists.EUR.cap"),
    ]
    said = checks.faults(version)[2].message
    assert said == "Charge “Calls”: the plan is paid for by credits, where there is no minimum: leave it empty."


@pytest.mark.parametrize(("consumption", "terms"), [("metered", {}), ("balance", {"when_empty": "invoice"})])
def test_where_there_are_no_credits_no_list_has_a_price_of_one(consumption: str, terms: dict[str, object]) -> None:
    version = version_of(consumption, **terms)
    euro = set_price_list(version, "EUR", credit_price=D("0.02"))
    set_rows(version.charges.get(), euro, [DraftRow({}, per_unit(D("0.009")))])
    assert [(fault.code, fault.field) for fault in checks.faults(version)] == [
        ("credit_price_unused", "lists.EUR.credit_price")
    ]


def test_a_price_by_cost_is_money_and_not_credits() -> None:
    version = version_of("credits", when_empty="block")
    tokens = making.usage(version, making.tokens(), [({}, Price(Model.COST_PLUS, percent=D(5)))])
    tokens.cost_model = "model"
    tokens.save()
    assert codes(version) == ["cost_in_credits"]


def test_it_stays_once_a_version_was_published() -> None:
    version = version_of("metered")
    plan = version.plan
    plan.consumption = "balance"
    change_plan(plan)
    plan.consumption = "metered"
    change_plan(plan)
    publish(version)
    plan.consumption = "credits"
    with pytest.raises(Refused, match="make another plan instead"):
        change_plan(plan)
    with pytest.raises(IntegrityError) as error, transaction.atomic():
        Plan.objects.filter(pk=plan.pk).update(consumption="balance")
    assert error.value.__cause__.diag.constraint_name == "plan_consumption_stays"  # type: ignore[union-attr]
    plan.refresh_from_db()
    plan.name, plan.margin_floor = "Renamed", D(10)
    assert change_plan(plan).name == "Renamed"


@pytest.mark.django_db(transaction=True)
def test_a_change_waits_for_a_publication_and_is_then_refused() -> None:
    version = version_of("metered")
    published, go_on, ended = Event(), Event(), []

    def publish_slowly() -> None:
        with transaction.atomic():
            publish(version)
            published.set()
            go_on.wait(10)
        connection.close()

    def change() -> None:
        plan = Plan.objects.get(pk=version.plan_id)
        plan.consumption = "balance"
        try:
            change_plan(plan)
        except Refused as refused:
            ended.append(str(refused))
        finally:
            connection.close()

    publishing, changing = Thread(target=publish_slowly), Thread(target=change)
    publishing.start()
    assert published.wait(10)
    changing.start()
    changing.join(0.5)
    assert changing.is_alive()
    go_on.set()
    for thread in (publishing, changing):
        thread.join(10)
    assert len(ended) == 1
    assert "make another plan instead" in ended[0]


def test_another_plan_begins_with_what_the_newest_version_charges() -> None:
    version = version_of("balance", when_empty="block", minimum=D(5), commitment_product=making.product())
    plan = version.plan
    plan.margin_floor = D(20)
    change_plan(plan)
    publish(version)
    draft_version(plan, currency="EUR")
    copy = clone_plan(plan, code="copy", name="Copy")
    assert (copy.consumption, copy.margin_floor) == ("balance", D(20))
    made = copy.versions.get()
    assert (made.number, made.status, made.currency, made.when_empty, made.minimum) == (1, "draft", "USD", "block", 5)
    assert [charge.code for charge in made.charges.all()] == ["calls"]
    with pytest.raises(Refused):
        clone_plan(plan, code="copy", name="Again")
    assert Plan.objects.filter(name="Again").count() == 0


def test_terms_are_refused_where_they_are_written() -> None:
    version = version_of("metered")
    with pytest.raises(Refused, match="finer than USD can be paid"):
        change_version(version, minimum=D("0.001"))
    with pytest.raises(Refused, match="Say which product"):
        change_version(version, minimum=D(1))
    with pytest.raises(Refused, match="The minimum 2 is above the cap 1: write a minimum of 1 or less"):
        change_version(version, minimum=D(2), cap=D(1), commitment_product=making.product())
