"""A version in several currencies: what is written, what is refused, and what each currency's book says."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from billing_site.foundation import clock
from billing_site.foundation.errors import Refused
from catalog.charges.books import NotPriced, load, own
from catalog.charges.row_checks import DraftRow
from catalog.checks import versions as checks
from catalog.models import Charge, ChargeAmount, PlanVersion, PriceList
from catalog.pricing.book import FlatCharge, UsageCharge
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.price import Model, Price, per_unit
from catalog.versions.publishing import (
    add_flat_charge,
    add_usage_charge,
    change_charge,
    change_version,
    clone_version,
    publish,
    remove_price_list,
    review,
    set_amounts,
    set_price_list,
    set_rows,
)
from tests.catalog import making

pytestmark = pytest.mark.django_db

D = Decimal


@contextmanager
def refused_by(constraint: str) -> Iterator[None]:
    with pytest.raises(IntegrityError) as error, transaction.atomic():
        yield
    assert error.value.__cause__.diag.constraint_name == constraint  # type: ignore[union-attr]


def codes(version: PlanVersion) -> list[tuple[str, str]]:
    return [(fault.code, fault.field) for fault in checks.faults(version)]


def in_two_currencies() -> tuple[PlanVersion, Charge, Charge, PriceList]:
    """20 USD or 18.50 EUR a month; a call costs 0.01 USD or 0.009 EUR, and comes to 5 USD or 4 EUR at least."""
    version = making.draft()
    base = making.fee(version)
    calls = making.usage(version, making.calls(), [({}, D("0.01"))], code="calls")
    change_charge(calls, minimum=D(5), included=D(100))
    euro = set_price_list(version, "EUR")
    set_amounts(base, euro, amount=D("18.50"))
    set_amounts(calls, euro, minimum=D(4))
    set_rows(calls, euro, [DraftRow({}, per_unit(D("0.009")))])
    return version, base, calls, euro


def test_each_currency_has_a_book() -> None:
    version, *_ = in_two_currencies()
    publish(version)
    books = load([(version.pk, "USD"), (version.pk, "EUR"), (version.pk, "JPY")])
    assert sorted(currency for _, currency in books) == ["EUR", "USD"]
    assert own([version])[version.pk] == books[version.pk, "USD"]
    figures = {}
    for (_, currency), book in books.items():
        base, calls = book.charges
        assert isinstance(base, FlatCharge)
        assert isinstance(calls, UsageCharge)
        assert book.currency == currency
        assert calls.included == 100
        figures[currency] = base.amount, calls.minimum, [row.price for row in calls.rows]
    assert figures == {
        "USD": (D("20.00"), D(5), [PerUnit(D("0.01"))]),
        "EUR": (D("18.50"), D(4), [PerUnit(D("0.009"))]),
    }


def test_what_a_currency_lacks_is_named_before_publishing() -> None:
    version = making.draft()
    making.fee(version)
    calls = making.usage(version, making.calls(), [({}, D("0.01"))], code="calls")
    change_charge(calls, cap=D(9))
    change_version(version, minimum=D(1), commitment_product=making.product())
    set_price_list(version, "EUR")
    assert codes(version) == [
        ("amount_missing", "lists.EUR.minimum"),
        ("amount_missing", "charges.base.lists.EUR.amount"),
        ("amount_missing", "charges.calls.lists.EUR.cap"),
        ("rows_missing", "charges.calls.lists.EUR.rows"),
    ]
    with pytest.raises(NotPriced, match="has no fee in EUR"):
        load([(version.pk, "EUR")])


def test_a_minimum_of_a_list_alone_needs_the_product_of_its_line() -> None:
    version, *_ = in_two_currencies()
    set_price_list(version, "EUR", minimum=D(100))
    assert codes(version) == [("commitment_product_missing", "commitment_product")]
    assert "The price list in EUR has a minimum" in checks.faults(version)[0].message
    with refused_by("price_list_minimum_has_product"):
        PlanVersion.objects.filter(pk=version.pk).update(status="published", published_at=clock.now())
    change_version(version, commitment_product=making.product())
    assert publish(version).status == "published"


def test_sums_are_as_fine_as_their_currency() -> None:
    version, base, _, euro = in_two_currencies()
    with pytest.raises(Refused, match="finer than EUR can be paid"):
        set_amounts(base, euro, amount=D("1.001"))
    ChargeAmount.objects.filter(charge=base).update(amount=D("1.001"))
    assert ("amount_too_precise", "charges.base.lists.EUR.amount") in codes(version)


def test_a_price_by_cost_is_in_the_currency_of_costs() -> None:
    version = making.draft()
    tokens = making.usage(version, making.tokens(), [({}, Price(Model.COST_PLUS, percent=D(20)))])
    assert codes(version) == [("cost_model_missing", "charges.tokens.rows.0.model")]
    change_charge(tokens, cost_model="model", cost_token_type="token_type")
    assert codes(version) == []
    euro = set_price_list(version, "EUR")
    set_rows(tokens, euro, [DraftRow({}, Price(Model.COST_PLUS, percent=D(20)))])
    assert codes(version) == [("cost_currency_differs", "charges.tokens.lists.EUR.rows.0.model")]


def test_a_currency_is_listed_once_and_is_not_the_versions_own() -> None:
    version, *_ = in_two_currencies()
    with pytest.raises(Refused, match="priced in USD itself"):
        set_price_list(version, "USD")
    with pytest.raises(Refused, match="has a price list in EUR: remove that first"):
        change_version(version, currency="EUR")
    with pytest.raises(Refused, match="“XYZ” is not a currency"):
        set_price_list(version, "XYZ")
    with refused_by("price_list_other_currency"):
        PriceList.objects.create(version=version, currency="USD")
    with refused_by("price_list_other_currency"):
        PlanVersion.objects.filter(pk=version.pk).update(currency="EUR")
    with refused_by("price_list_once"):
        PriceList.objects.create(version=version, currency="EUR")


def test_a_list_prices_the_charges_of_its_own_version_alone() -> None:
    _, _, calls, _ = in_two_currencies()
    elsewhere = set_price_list(making.draft(), "EUR")
    with refused_by("price_list_of_version"):
        ChargeAmount.objects.create(charge=calls, price_list=elsewhere)
    with refused_by("price_list_of_version"), connection.cursor() as cursor:
        cursor.execute("UPDATE catalog_cell SET price_list_id = %s WHERE charge_id = %s", [elsewhere.pk, calls.pk])


def test_nothing_of_a_published_list_changes() -> None:
    version, base, _, euro = in_two_currencies()
    publish(version)
    for write in (
        lambda: PriceList.objects.filter(pk=euro.pk).update(cap=1),
        lambda: PriceList.objects.create(version=version, currency="JPY"),
        lambda: ChargeAmount.objects.filter(charge=base).update(amount=1),
        lambda: ChargeAmount.objects.filter(charge=base).delete(),
    ):
        with refused_by("plan_version_published"):
            write()
    with pytest.raises(Refused, match="never changes"):
        remove_price_list(version, "EUR")


def test_a_removed_currency_takes_its_prices_along_and_a_clone_has_them_all() -> None:
    version, _, calls, _ = in_two_currencies()
    clone = clone_version(version)
    assert clone.currencies() == ["USD", "EUR"]
    assert review(clone).changes == []
    before, after = (load([(each.pk, "EUR")])[each.pk, "EUR"] for each in (version, clone))
    assert [row.price for row in after.charges[1].rows] == [row.price for row in before.charges[1].rows]  # type: ignore[union-attr]
    remove_price_list(version, "EUR")
    assert version.currencies() == ["USD"]
    assert calls.cells.count() == 1
    assert load([(clone.pk, "EUR")])


def test_what_changes_in_a_currency_is_told() -> None:
    version, *_ = in_two_currencies()
    clone = clone_version(publish(version))
    euro = clone.price_lists.get()
    base, calls = clone.charges.all()
    set_amounts(base, euro, amount=D(19))
    set_rows(calls, euro, [DraftRow({}, Price(Model.PACKAGE, unit_price=D(8), size=D(1000)))])
    set_price_list(clone, "JPY")
    assert review(clone).changes == [
        "It is offered in JPY, too.",
        "“Base” in EUR: the fee changes from 18.5 to 19.",
        "“Calls” in EUR: everything (*) changes from 0.009 EUR per call to 8 EUR per package of 1,000 call.",
    ]


def test_further_charges_can_be_listed_too() -> None:
    version = making.draft()
    once = add_flat_charge(version, code="setup", name="Setup", product=making.product(), amount=D(99), timing="once")
    usage = add_usage_charge(
        version, meter=making.calls(), code="calls", name="Calls", product=making.product(), minimum=D(1), cap=D(2)
    )
    assert (once.timing, usage.minimum, usage.cap) == ("once", D(1), D(2))
    euro = set_price_list(version, "EUR")
    for write in (
        lambda: change_charge(usage, minimum=D(3)),
        lambda: set_price_list(version, "GBP", minimum=D(3), cap=D(2)),
        lambda: set_amounts(usage, euro, minimum=D(3), cap=D(2)),
    ):
        with pytest.raises(Refused) as refused:
            write()
        [fault] = refused.value.faults
        assert (fault.code, fault.field) == ("minimum_above_cap", "minimum")
        assert fault.message == "The minimum 3 is above the cap 2: write a minimum of 2 or less, or a higher cap."


def test_a_gap_in_a_further_currency_is_told() -> None:
    """Everything has a price in dollars, but not in euros."""
    version, _, _, euro = in_two_currencies()
    tokens = making.usage(version, making.tokens(), [({}, D("0.01"))])
    set_rows(tokens, euro, [DraftRow({"model": "a"}, per_unit(D("0.01")))])
    told = [warning for warning in review(version).warnings if "no row of only" in warning]
    held = "when usage comes that no row matches, its invoice is held until somebody prices it"
    assert told == [f"Charge “Tokens” in EUR has no row of only *: {held}."]
    set_rows(tokens, euro, [DraftRow({}, per_unit(D("0.01")))])
    assert not [warning for warning in review(version).warnings if "no row of only" in warning]


def test_all_that_is_wrong_with_sums_is_told_at_once() -> None:
    version = making.draft()
    usage = add_usage_charge(version, meter=making.calls(), code="calls", name="Calls", product=making.product())
    euro = set_price_list(version, "EUR")
    with pytest.raises(Refused) as refused:
        set_amounts(usage, euro, minimum=D("1.001"), cap=D(-1))
    found = [(fault.code, fault.field) for fault in refused.value.faults]
    assert found == [("amount_too_precise", "minimum"), ("amount_invalid", "cap")]
    assert not ChargeAmount.objects.exists()


def test_publishing_refuses_with_every_fault_of_every_charge() -> None:
    version = making.draft()
    usage = add_usage_charge(version, meter=making.calls(), code="calls", name="Calls", product=making.product())
    base = making.fee(version)
    set_price_list(version, "EUR")
    Charge.objects.filter(pk=base.pk).update(amount=D("1.001"))
    with pytest.raises(Refused) as refused:
        publish(version)
    found = {(fault.code, fault.field) for fault in refused.value.faults}
    assert found >= {
        ("rows_missing", f"charges.{usage.code}.rows"),
        ("rows_missing", f"charges.{usage.code}.lists.EUR.rows"),
        ("amount_too_precise", f"charges.{base.code}.amount"),
        ("amount_missing", f"charges.{base.code}.lists.EUR.amount"),
    }
