"""A share of what was metered, and a fee for each event."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.pricing.percentage import Percentage
from tests.catalog.pricing_models import PERCENTAGES, QUANTITIES, explains_itself, same_in_pieces


@pytest.mark.parametrize(
    ("model", "quantity", "events", "steps"),
    [
        (("0.029",), "4", 4, ["4 EUR × 2.9 % = 0.116"]),
        (("0.013", "2"), "800", 4, ["800 EUR × 1.3 % = 10.4", "4 events × 2 each = 8"]),
        (("0.013", "2"), "800", 1, ["800 EUR × 1.3 % = 10.4", "1 event × 2 each = 2"]),
        (("0.01", "0", "250"), "1000", 4, ["1,000 EUR − 250 free: 750 × 1 % = 7.5"]),
        (("0.01", "0", "250"), "200", 4, ["200 EUR − 250 free: 0 × 1 % = 0"]),
        (("0.01", "2", "250", 3), "200", 4, ["200 EUR − 250 free: 0 × 1 % = 0", "4 events − 3 free: 1 × 2 each = 2"]),
        (("0.01", "2", "0", 3), "1", 2, ["1 EUR × 1 % = 0.01", "2 events − 3 free: 0 × 2 each = 0"]),
        (("0.01", "0", "250"), "-100", 1, ["-100 EUR × 1 % = -1"]),
        (("0.01", "0", "250"), "0", 0, ["0 EUR × 1 % = 0"]),
    ],
)
def test_the_price_of_a_quantity(model: tuple[str | int, ...], quantity: str, events: int, steps: list[str]) -> None:
    rate, *others = (each if isinstance(each, int) else Decimal(each) for each in model)
    priced = Percentage(rate, *others).price(Decimal(quantity), "EUR", events)  # type: ignore[arg-type]
    assert [str(step) for step in priced.steps] == steps
    assert explains_itself(priced)
    assert priced.unit_price == (rate if not any(others[:2]) else None)


@given(PERCENTAGES, QUANTITIES, st.lists(QUANTITIES, min_size=1), st.integers(0, 9))
def test_more_never_costs_less_and_pieces_cost_what_the_whole_costs(
    model: Percentage, quantity: Decimal, pieces: list[Decimal], events: int
) -> None:
    priced = model.price(quantity, "EUR", events)
    assert explains_itself(priced)
    end = quantity + sum(pieces, Decimal(0))
    after = model.price(end, "EUR", events).amount
    assert same_in_pieces(model, quantity, pieces, events)
    assert (after >= priced.amount) if end >= quantity else (after <= priced.amount)
    assert model.price(quantity, "EUR", events + 1).amount >= priced.amount
