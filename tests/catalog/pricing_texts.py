"""Prices of every model as hypothesis makes them: without faults, to the last digit that can be kept."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from catalog.pricing.price import Model, Price
from catalog.pricing.tiers import Tier

PRICES = st.decimals(0, 10**6, allow_nan=False, places=15) | st.decimals(0, 10**6, allow_nan=False, places=3)
QUANTITIES = st.decimals(0, 10**9, allow_nan=False, places=12) | st.integers(0, 10**12).map(Decimal)
SIZES = QUANTITIES.filter(lambda size: size > 0)


@st.composite
def _tiered(draw: Any, model: Model) -> Price:
    bounds: list[Decimal | None] = [*sorted(draw(st.sets(SIZES, max_size=4)))]
    flat_only = model == Model.STAIRSTEP
    tiers = [
        Tier(
            bound,
            Decimal(0) if flat_only else draw(PRICES),
            draw(PRICES),
            None if flat_only else draw(st.none() | SIZES),
        )
        for bound in [*bounds, None]
    ]
    return Price(model, tiers=tuple(tiers), flat_at_zero=draw(st.booleans()))


prices = st.one_of(
    st.builds(Price, st.just(Model.PER_UNIT), PRICES),
    st.builds(Price, st.just(Model.FLAT), PRICES),
    st.builds(Price, st.just(Model.PACKAGE), PRICES, SIZES, QUANTITIES),
    st.builds(
        Price,
        st.just(Model.PERCENTAGE),
        free=QUANTITIES,
        percent=PRICES,
        fixed=PRICES,
        free_events=st.integers(0, 10**9),
    ),
    st.builds(Price, st.just(Model.COST_PLUS), percent=st.decimals(-100, 10**6, allow_nan=False, places=4)),
    *(_tiered(model) for model in (Model.GRADUATED, Model.VOLUME, Model.STAIRSTEP)),
)
