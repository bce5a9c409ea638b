"""All rows of a charge at once: read in one query, saved in all currencies or none, and never over somebody else's."""

from decimal import Decimal
from time import perf_counter

import pytest
from django.db import connection, reset_queries
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries

from billing_site.foundation.errors import Refused
from catalog.charges.row_checks import DraftRow
from catalog.grid.messages import lists_from_json, lists_to_json
from catalog.grid.sheet_reading import Reading, read
from catalog.grid.sheets import write
from catalog.models import Charge
from catalog.pricing.price import Model, Price, per_unit
from catalog.versions.charging import drafted
from catalog.versions.matrices import ListRows, read_matrix, set_matrix, stamp_of
from catalog.versions.publishing import publish, set_price_list, set_rows
from tests.catalog import making
from tests.catalog.grid.test_sheets import drafted as rows_read
from tests.catalog.grid.test_sheets import file_of
from tests.catalog.pricing_texts import prices

pytestmark = pytest.mark.django_db

D = Decimal


@pytest.fixture
def charge() -> Charge:
    version = making.draft()
    set_price_list(version, "EUR")
    charge = making.usage(version, making.tokens())
    set_rows(charge, version.price_lists.get(), drafted([({}, D(1))]))
    return Charge.objects.get(pk=charge.pk)


def row(price: str, **match: str) -> DraftRow:
    return DraftRow(match, per_unit(D(price)))


def test_rows_are_read_by_currency_with_their_stamps(
    charge: Charge, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    list(charge.version.price_lists.all())
    with django_assert_num_queries(2):
        own, euro = read_matrix(charge)
    assert (own.currency, euro.currency) == ("USD", "EUR")
    assert [(each.match, each.price.unit_price) for each in own.rows] == making.TOKEN_PRICES
    assert list(euro.rows) == [row("1")]
    assert (own.stamp, euro.stamp) == (stamp_of(own.rows), stamp_of(euro.rows))


def test_a_stamp_is_of_these_rows_in_this_order_alone() -> None:
    rows = [row("1", model="a"), row("2", model="b")]
    others = [
        rows[::-1],
        rows[:1],
        [row("1", model="a"), row("2.1", model="b")],
        [row("1", model="a"), row("2", token_type="b")],
        [row("1", model="a"), DraftRow({"model": "b"}, Price(Model.FLAT, D(2)))],
    ]
    assert len({stamp_of(each) for each in [rows, *others]}) == 6
    assert stamp_of([row("1.000", model="a"), row("2.0", model="b")]) == stamp_of(rows)


def test_all_currencies_are_saved_together(charge: Charge) -> None:
    own, euro = read_matrix(charge)
    saved = set_matrix(charge, [ListRows("USD", [row("5")], own.stamp), ListRows("EUR", [row("4")], euro.stamp)])
    assert [list(each.rows) for each in saved] == [[row("5")], [row("4")]]
    assert saved == read_matrix(charge)


def test_a_fault_in_one_currency_saves_none_and_names_the_cell(charge: Charge) -> None:
    own, euro = before = read_matrix(charge)
    bad = [row("1", model="a"), row("-1", model="b"), row("1", model="a")]
    with pytest.raises(Refused) as refused:
        set_matrix(charge, [ListRows("USD", [row("5")], own.stamp), ListRows("EUR", bad, euro.stamp)])
    assert [(fault.code, fault.field) for fault in refused.value.faults] == [
        ("price_negative", "lists.EUR.rows.1.unit_price"),
        ("row_twice", "lists.EUR.rows.2.match"),
    ]
    assert read_matrix(charge) == before


def test_what_somebody_else_saved_meanwhile_is_not_written_over(charge: Charge) -> None:
    mine, theirs = read_matrix(charge)[0], [row("9")]
    set_matrix(charge, [ListRows("USD", theirs, mine.stamp)])
    with pytest.raises(Refused) as refused:
        set_matrix(charge, [ListRows("USD", [row("5")], mine.stamp)])
    assert [(fault.code, fault.field) for fault in refused.value.faults] == [("rows_changed_conflict", "rows")]
    assert list(read_matrix(charge)[0].rows) == theirs
    set_matrix(charge, [ListRows("USD", [row("5")])])  # who does not say what was there, asks for no such care


def test_a_currency_that_is_gone_and_a_version_that_was_published(charge: Charge) -> None:
    with pytest.raises(Refused, match="no prices in JPY any more"):
        set_matrix(charge, [ListRows("JPY", [row("5")], "")])
    publish(charge.version)
    with pytest.raises(Refused, match="was published and never changes"):
        set_matrix(charge, [ListRows("USD", [row("5")])])


values = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).filter(
    lambda text: text != "*"
)
matrices = st.dictionaries(
    st.tuples(st.none() | values, st.sampled_from([None, "input", "output"])), prices, min_size=1, max_size=5
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(matrices)
def test_from_the_grid_to_the_database_to_a_file_and_back_changes_nothing(
    charge: Charge, matrix: dict[tuple[str | None, str | None], Price]
) -> None:
    names = ("model", "token_type")
    rows = [
        DraftRow({name: value for name, value in zip(names, given_, strict=True) if value is not None}, price)
        for given_, price in matrix.items()
    ]
    [saved, *_] = set_matrix(charge, [ListRows("USD", rows)])
    assert list(saved.rows) == rows
    from_file = rows_read(read(file_of(write(names, saved.rows)), Reading(names)))
    again = lists_from_json(lists_to_json([ListRows("USD", from_file, saved.stamp)]), "USD")
    reset_queries()  # the log of all examples would not hold them
    with CaptureQueriesContext(connection) as queries:
        assert set_matrix(charge, again)[0] == saved
    assert not [each["sql"] for each in queries if each["sql"].split()[0] in ("INSERT", "DELETE", "UPDATE")]


def test_5000_rows_are_saved_in_a_few_statements(charge: Charge, record_property: pytest.FixtureRequest) -> None:
    def rows(price: int) -> list[DraftRow]:
        return [
            row(f"0.{price + number:07}", model=f"model-{number:04}", token_type="input") for number in range(5_000)
        ]

    begun = perf_counter()
    with CaptureQueriesContext(connection) as few:
        set_matrix(charge, [ListRows("USD", rows(1)[:10])])
    with CaptureQueriesContext(connection) as many:
        set_matrix(charge, [ListRows("USD", rows(2))])
    with CaptureQueriesContext(connection) as changed:
        [saved, *_] = set_matrix(charge, [ListRows("USD", rows(3))])
    print(f"5,000 rows: {len(many)} statements new, {len(changed)} changed; {perf_counter() - begun:.1f} s for both")  # noqa: T201
    assert len(saved.rows) == 5_000
    # Inserts go in batches of 1,000.
    assert len(many) - len(few) <= 6
    assert len(changed) <= len(few)
