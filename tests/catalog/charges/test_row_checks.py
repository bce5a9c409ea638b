"""What is worth a second look about rows, against every event that there can be."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.charges.row_checks import DraftRow, costs_nothing, counted_twice
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier

VALUES = st.sampled_from([None, "a", "b"])
LABELS = {"input": frozenset("i"), "output": frozenset("o"), "total": frozenset("io")}
MATRICES = st.dictionaries(
    st.tuples(VALUES, VALUES, st.sampled_from([None, *LABELS])), st.sampled_from([0, 1]), max_size=6
)


@given(MATRICES)
def test_a_total_is_told_exactly_where_some_event_pays_twice(matrix: dict[tuple[str | None, ...], int]) -> None:
    """Against every event there can be, priced by the rule of rows itself."""
    rows = [
        DraftRow(
            {name: value for name, value in zip(("m", "n", "t"), key, strict=True) if value}, per_unit(Decimal(price))
        )
        for key, price in matrix.items()
    ]

    def row_of(values: dict[str, str]) -> DraftRow | None:
        fit = [row for row in rows if all(values.get(name) == value for name, value in row.match.items())]
        return max(fit, key=lambda row: len(row.match), default=None)

    def twice(part: str) -> bool:
        for m, n in product(("a", "b", "other"), repeat=2):
            one, other = (row_of({"m": m, "n": n, "t": label}) for label in ("total", part))
            if (
                one
                and other
                and one.price.unit_price
                and other.price.unit_price
                and not ("t" in one.match and "t" in other.match)
            ):
                return True
        return False

    parts = [part for part in ("input", "output") if twice(part)]
    assert list(counted_twice("t", LABELS, rows)) == ([("total", parts)] if parts else [])


ONE = Decimal(1)


@pytest.mark.parametrize(
    ("price", "nothing"),
    [
        (per_unit(Decimal(0)), True),
        (per_unit(ONE), False),
        (Price(Model.PACKAGE, unit_price=Decimal(0), size=ONE), True),
        (Price(Model.PERCENTAGE, percent=Decimal(0)), True),
        (Price(Model.PERCENTAGE, percent=Decimal(0), fixed=ONE), False),
        (Price(Model.GRADUATED, tiers=(Tier(None, Decimal(0), Decimal(0)),)), True),
        (Price(Model.GRADUATED, tiers=(Tier(ONE, Decimal(0), Decimal(0)), Tier(None, Decimal(0), ONE))), False),
        (Price(Model.COST_PLUS, percent=Decimal(0)), False),
    ],
)
def test_what_costs_nothing_whatever_is_used(price: Price, *, nothing: bool) -> None:
    assert costs_nothing(price) is nothing
