"""Prices as values, and how they are explained."""

from decimal import Decimal

import pytest

from catalog.pricing.book import Priced, Row, Step, shown
from catalog.pricing.cost_plus import CostPlus
from catalog.pricing.per_unit import PerUnit


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1234567.50", "1,234,567.5"),
        ("-0.00", "0"),
        ("0." + "0" * 59 + "1", "0." + "0" * 59 + "1"),
        ("1234." + "3" * 61, "1,234.333333333333…"),
    ],
)
def test_a_number_is_shown_to_its_end_if_it_has_one(number: str, text: str) -> None:
    assert shown(Decimal(number)) == text


def test_a_price_is_explained_when_it_is_asked() -> None:
    asked = []

    class Model:
        def steps(self, quantity: Decimal, unit: str, events: int) -> tuple[Step]:
            asked.append((quantity, unit, events))
            return (Step("as it is", quantity, None, Decimal(7)),)

    priced = Priced(Decimal(7), Model(), None, Decimal(3), "call", 2)
    assert asked == []
    assert [str(step) for step in (*priced.steps, *priced.steps)] == ["as it is = 7", "as it is = 7"]
    assert asked == [(3, "call", 2)]


def test_prices_are_equal_by_what_they_say() -> None:
    step = Step("2 call × 3", Decimal(2), Decimal(3), Decimal(6))
    priced = PerUnit(Decimal(3)).price(Decimal(2), "call", 1)
    assert priced == Priced(Decimal(6), (step,), Decimal(3))
    assert priced != Priced(Decimal(6), (step,), None)
    assert priced != Priced(Decimal(6), (), Decimal(3))
    assert priced != 6
    assert repr(priced) == f"Priced(Decimal('6'), ({step!r},), Decimal('3'))"


def test_a_row_says_what_prices_usage_at_some_values() -> None:
    model = PerUnit(Decimal(3))
    assert Row(1, 0, {}, model).model_for({"model": "a"}) is model
    by_cost = Row(1, 0, {}, CostPlus(Decimal(0), lambda values: Decimal(2) if values else None))
    assert by_cost.model_for({}) is None
    found = by_cost.model_for({"model": "a"})
    assert found is not None
    assert found.price(Decimal(2), "call", 1).amount == 4
