"""Which tier holds a quantity, and what it is called."""

from decimal import Decimal

import pytest

from catalog.pricing.ladder import Ladder
from catalog.pricing.tiers import Tier

TIERS = [Tier(Decimal(10)), Tier(Decimal("20.5")), Tier(None)]


@pytest.mark.parametrize(
    ("quantity", "index"),
    [("-5", 0), ("0", 0), ("10", 0), ("10.000000000001", 1), ("20.5", 1), ("20.6", 2), ("1e20", 2)],
)
def test_tiers_end_at_their_upper_bound(quantity: str, index: int) -> None:
    assert Ladder(TIERS).index(Decimal(quantity)) == index


def test_the_names_of_tiers() -> None:
    ladder = Ladder(TIERS)
    assert [ladder.name(index, "token") for index in range(3)] == [
        "tier 1, up to 10 token",
        "tier 2, above 10 to 20.5 token",
        "tier 3, above 20.5 token",
    ]
    assert Ladder([Tier(None)]).name(0, "token") == "tier 1, any quantity"


@pytest.mark.parametrize("wrong", [[], [Tier(Decimal(1))], [Tier(None), Tier(None)], [Tier(None), Tier(Decimal(1))]])
def test_tiers_that_do_not_hold_together_are_refused(wrong: list[Tier]) -> None:
    with pytest.raises(ValueError, match="the last one has none"):
        Ladder(wrong)
