"""What is wrong with tiers."""

from decimal import Decimal

import pytest
from hypothesis import given

from catalog.pricing.tiers import Tier, tier_faults
from tests.catalog.pricing_models import tiers


def tier(up_to: str | None, unit_price: str = "1", flat_price: str = "0", package: str | None = None) -> Tier:
    bound, size = (None if each is None else Decimal(each) for each in (up_to, package))
    return Tier(bound, Decimal(unit_price), Decimal(flat_price), size)


@pytest.mark.parametrize(
    ("given_tiers", "faults"),
    [
        ([tier("10"), tier(None)], []),
        ([tier(None)], []),
        ([], [("tiers", "There are no tiers: write at least one, with no upper bound.")]),
        (
            [tier("10"), tier("20")],
            [("tiers.1.up_to", "Tier 2, the last one, ends at 20: leave its upper bound empty.")],
        ),
        (
            [tier(None), tier(None)],
            [("tiers.0.up_to", "Tier 1 has no upper bound, so nothing reaches tier 2: write one.")],
        ),
        (
            [tier("10"), tier("10.0"), tier(None)],
            [("tiers.1.up_to", "Tier 2 ends at 10: write an upper bound above the 10 at which tier 1 ends.")],
        ),
        (
            [tier("10"), tier(None), tier("5"), tier(None)],
            [
                ("tiers.1.up_to", "Tier 2 has no upper bound, so nothing reaches tier 3: write one."),
                ("tiers.2.up_to", "Tier 3 ends at 5: write an upper bound above the 10 at which tier 1 ends."),
            ],
        ),
        ([tier("0"), tier(None)], [("tiers.0.up_to", "Tier 1 ends at 0: write an upper bound above 0.")]),
        (
            [tier(None, "-1", "-2.50")],
            [
                ("tiers.0.unit_price", "The unit price of tier 1, -1, is negative: write 0 or more."),
                ("tiers.0.flat_price", "The flat fee of tier 1, -2.5, is negative: write 0 or more."),
            ],
        ),
        (
            [tier(None, package="0")],
            [("tiers.0.package", "The package of tier 1 holds 0: write a size above 0, or none.")],
        ),
    ],
)
def test_each_fault_names_the_tier_and_the_mend(given_tiers: list[Tier], faults: list[tuple[str, str]]) -> None:
    assert [(fault.field, fault.message) for fault in tier_faults(given_tiers)] == faults


def test_a_stairstep_has_flat_fees_alone() -> None:
    priced = [tier("1", "0", "5"), tier("2", "3"), tier(None, "0", "9", "10")]
    message = "A stairstep has flat fees alone: empty the unit price of tier {}, or choose volume."
    found = [(fault.field, fault.message) for fault in tier_faults(priced, "rows.3.tiers", flat_only=True)]
    assert found == [
        ("rows.3.tiers.1.unit_price", message.format(2)),
        ("rows.3.tiers.2.unit_price", message.format(3)),
    ]


@given(tiers())
def test_ordered_tiers_have_no_fault(made: list[Tier]) -> None:
    assert list(tier_faults(made)) == []
