"""Plan versions read as values: nothing lost, nothing in another order, and in a constant number of queries."""

from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from catalog.charges.books import load
from catalog.models import Cell, Charge, PlanVersion
from catalog.pricing.book import FlatCharge, PriceBook, Row, Timing, Unmatched, UsageCharge
from catalog.pricing.per_unit import PerUnit
from catalog.versions.publishing import clone_version, publish
from tests.catalog import making

pytestmark = pytest.mark.django_db


def test_a_version_is_read_as_it_is() -> None:
    version = publish(making.chatbot())
    base, calls, tokens = Charge.objects.filter(version=version)
    product = making.product().pk
    assert load([(version.pk, "USD")]) == {
        (version.pk, "USD"): PriceBook(
            version=version.pk,
            label="Chatbot v1",
            currency="USD",
            interval="month",
            charges=(
                FlatCharge(base.pk, 0, "base", "Base", product, Timing.ADVANCE, Decimal("20.0000")),
                UsageCharge(
                    id=calls.pk,
                    position=1,
                    code="calls",
                    name="Calls",
                    product=product,
                    meter=calls.meter_id,
                    unit="call",
                    dimensions=(),
                    rows=(Row(calls.cells.get().pk, 0, {}, PerUnit(Decimal("0.01"))),),
                    unmatched=Unmatched.HOLD,
                ),
                UsageCharge(
                    id=tokens.pk,
                    position=2,
                    code="tokens",
                    name="Tokens",
                    product=product,
                    meter=tokens.meter_id,
                    unit="token",
                    dimensions=("model", "token_type"),
                    rows=tuple(
                        Row(cell.pk, index, match, PerUnit(price))
                        for index, (cell, (match, price)) in enumerate(
                            zip(tokens.cells.all(), making.TOKEN_PRICES, strict=True)
                        )
                    ),
                    unmatched=Unmatched.HOLD,
                ),
            ),
        )
    }


def test_charges_and_rows_follow_their_positions() -> None:
    version = making.chatbot()
    Charge.objects.filter(version=version, code="base").update(position=9)
    Cell.objects.filter(charge__code="tokens", match=making.TOKEN_PRICES[0][0]).update(position=9)
    book = load([(version.pk, "USD")])[version.pk, "USD"]
    assert [charge.code for charge in book.charges] == ["calls", "tokens", "base"]
    tokens = book.charges[1]
    assert isinstance(tokens, UsageCharge)
    assert [row.match for row in tokens.rows] == [
        match for match, _ in making.TOKEN_PRICES[1:] + making.TOKEN_PRICES[:1]
    ]


def test_what_does_not_exist_is_left_out_and_what_charges_nothing_is_not() -> None:
    version = making.draft()
    books = load([(version.pk, "USD"), (version.pk, "EUR"), (987654321, "USD")])
    assert list(books) == [(version.pk, "USD")]
    assert books[version.pk, "USD"].charges == ()
    assert load([]) == {}


def test_the_number_of_queries_does_not_grow(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    first = making.chatbot()
    versions: list[PlanVersion] = [first, *(clone_version(first) for _ in range(10))]
    for index, version in enumerate(versions):
        making.usage(version, making.tokens(f"meter-{index}"), code="more")
    with django_assert_num_queries(8):
        load([(first.pk, "USD")])
    with django_assert_num_queries(8):
        assert len(load([(version.pk, "USD") for version in versions])) == 11
