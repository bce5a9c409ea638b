"""What quantities cost, as the panel beside the grid shows it."""

from decimal import Decimal

import pytest

from catalog.grid.previewing import How, Preview, asked, events, preview, quantities
from catalog.pricing.documents import Unreadable
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier

D = Decimal
TIERS = Price(Model.GRADUATED, tiers=(Tier(D(1000), D("0.02")), Tier(None, D("0.01"), D(5))))


def test_quantities_that_show_most_of_a_price() -> None:
    assert quantities(per_unit(D(1))) == [1, 1_000, 1_000_000]
    assert quantities(TIERS) == [1000, 1001]
    assert quantities(Price(Model.VOLUME, tiers=(Tier(None, D(1)),))) == [1, 1_000, 1_000_000]
    assert quantities(Price(Model.PACKAGE, D(2), D(1000), D(500))) == [1, 1500, 1501]


def test_what_they_come_to_and_how() -> None:
    [at, above] = preview(TIERS, [D(1000), D(1001)], 1, How("USD", "token"))
    assert (at.quantity, at.amount) == ("1,000", "$20.00")
    assert (above.quantity, above.amount) == ("1,001", "$25.01")
    assert above.steps[-1].endswith("= 5")
    fees = Price(Model.PERCENTAGE, percent=D("2.9"), fixed=D("0.3"))
    [line] = preview(fees, [D(100)], 4, How("USD", "USD"))
    assert line.amount == "$4.10"  # 100 × 2.9 % + 4 × 0.30


def test_credits_are_no_money() -> None:
    [line] = preview(per_unit(D("0.0015")), [D(3)], 1, How("", "token"))
    assert line.amount == "0.0045 credits"


def test_a_cost_that_is_not_known_here_has_no_amount() -> None:
    [line] = preview(Price(Model.COST_PLUS, percent=D(20)), [D(5)], 1, How("USD", "token"))
    assert line == Preview("5", "", ("By what each model costs at the time of use.",))


def test_a_cost_that_is_known_is_marked_up() -> None:
    price = Price(Model.COST_PLUS, percent=D(20))
    [line] = preview(price, [D(1000)], 1, How("USD", "token", cost=D("0.01")))
    assert (line.amount, line.steps) == ("$12.00", ("1,000 token × 0.01 cost × 1.2 = 12",))


def test_without_usage_a_charge_with_dimensions_owes_nothing() -> None:
    price = Price(Model.VOLUME, tiers=(Tier(None, D(1), D(5)),))
    assert [preview(price, [D(0)], 0, How("USD", "call", each))[0].amount for each in (False, True)] == [
        "$5.00",
        "$0.00",
    ]


def test_what_is_typed_is_a_quantity_or_refused() -> None:
    assert asked(["1000", "0.5"]) == [1000, D("0.5")]
    for bad in ("x", "-1", "1e30", None):
        with pytest.raises(Unreadable):
            asked([bad])
    assert events(0) == 0
    for wrong in (-1, "1", True, 1.5, None):
        with pytest.raises(Unreadable):
            events(wrong)
