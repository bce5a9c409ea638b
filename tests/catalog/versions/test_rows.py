"""Rows are written as a set: what stays keeps its place in the history, and the number of statements does not grow."""

from decimal import Decimal

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_site.foundation.errors import Refused
from catalog.charges.cell_prices import price_of
from catalog.charges.row_checks import DraftRow
from catalog.models import Cell, Charge
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from catalog.versions.publishing import change_charge, publish, set_price_list, set_rows
from tests.catalog import making

pytestmark = pytest.mark.django_db

D = Decimal
TIERED = Price(Model.GRADUATED, tiers=(Tier(D(10), D("0.02"), package=D(5)), Tier(None, D("0.01"), D(3))))


def row(model: str, price: Price) -> DraftRow:
    return DraftRow({"model": model}, price)


def stored(charge: Charge) -> list[tuple[dict[str, str], Price]]:
    return [(cell.match, price_of(cell)) for cell in Cell.objects.filter(charge=charge)]


def history(charge: Charge) -> list[tuple[str, dict[str, str]]]:
    rows = apps.get_model("catalog", "CellHistory").objects.filter(charge_id=charge.pk).order_by("pgh_id")
    return list(rows.values_list("pgh_label", "match"))


@pytest.fixture
def charge() -> Charge:
    return making.usage(making.draft(), making.tokens(), [({"model": "a"}, D(1)), ({"model": "b"}, TIERED)])


def test_every_model_is_stored_exactly(charge: Charge) -> None:
    prices = [
        per_unit(D("0.000000000000001")),
        TIERED,
        Price(Model.PACKAGE, unit_price=D("2.5"), size=D("0.000000000001"), free=D(7)),
        Price(Model.PERCENTAGE, percent=D("2.9"), fixed=D("0.3"), free=D(1), free_events=2),
        Price(Model.STAIRSTEP, tiers=(Tier(None, flat_price=D(9)),), flat_at_zero=False),
        Price(Model.FLAT, unit_price=D(49)),
        Price(Model.COST_PLUS, percent=D("-2.5")),
    ]
    drafts = [row(f"model-{index}", price) for index, price in enumerate(prices)]
    set_rows(charge, None, drafts)
    assert stored(charge) == [(each.match, each.price) for each in drafts]


def test_what_stays_is_left_alone_and_what_goes_is_gone(charge: Charge) -> None:
    before = {cell.match["model"]: cell.pk for cell in charge.cells.all()}
    told = len(history(charge))
    set_rows(charge, None, [row("a", per_unit(D("1.0"))), row("b", per_unit(D(2))), row("c", TIERED)])
    after = {cell.match["model"]: cell.pk for cell in Cell.objects.filter(charge=charge)}
    assert (after["a"], after["b"]) == (before["a"], before["b"])
    assert history(charge)[told:] == [("update", {"model": "b"}), ("insert", {"model": "c"})]
    set_rows(charge, None, [row("c", TIERED), row("a", per_unit(D(1)))])
    assert [match["model"] for match, _ in stored(charge)] == ["c", "a"]


def test_two_thousand_rows_take_as_many_statements_as_twenty(charge: Charge) -> None:
    counts = []
    for number in (20, 900):
        first = [row(f"m{index}", per_unit(D(index))) for index in range(number)]
        second = [row(f"m{index}", per_unit(D(index) + 1)) for index in range(number // 2, number + number // 2)]
        set_rows(charge, None, first)
        with CaptureQueriesContext(connection) as captured:
            set_rows(charge, None, second)
        counts.append(len(captured))
        assert stored(charge) == [(each.match, each.price) for each in second]
    assert counts[0] == counts[1]


def test_each_currency_has_rows_of_its_own(charge: Charge) -> None:
    euro = set_price_list(charge.version, "EUR")
    set_rows(charge, euro, [row("a", per_unit(D("0.9")))])
    change_charge(charge, rows=[({"model": "a"}, D(3))])
    assert {(cell.price_list_id, price_of(cell).unit_price) for cell in Cell.objects.filter(charge=charge)} == {
        (euro.pk, D("0.9")),
        (None, D(3)),
    }


def test_a_refused_row_changes_nothing(charge: Charge) -> None:
    before = stored(charge)
    with pytest.raises(Refused) as refused:
        set_rows(charge, None, [row("z", per_unit(D(1))), DraftRow({"region": "eu"}, Price(Model.VOLUME))])
    assert [fault.field for fault in refused.value.faults] == ["rows.1.match", "rows.1.tiers"]
    assert stored(charge) == before


def test_a_published_row_is_not_written(charge: Charge) -> None:
    publish(charge.version)
    with pytest.raises(Refused, match="never changes"):
        set_rows(charge, None, [row("a", per_unit(D(2)))])


def test_a_change_keeps_every_digit_that_fits(charge: Charge) -> None:
    """30 digits, more than Python's usual context keeps; the last one alone may be what changed."""
    for text in ("123456789012345.123456789012345", "123456789012345.123456789012346"):
        price = Price(Model.PACKAGE, unit_price=D(text), size=D("12345678901234567890123456.123456789012"), free=D(0))
        set_rows(charge, None, [row("a", price)])
        assert stored(charge) == [({"model": "a"}, price)]


def test_a_digit_too_many_is_refused_however_long_the_number_is(charge: Charge) -> None:
    with pytest.raises(Refused, match="has 16 decimals"):
        set_rows(charge, None, [row("a", per_unit(D("123456789012345.1234567890123456")))])
