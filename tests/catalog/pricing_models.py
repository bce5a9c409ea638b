"""Price models for property tests: any of each kind, and what holds for all of them."""

from decimal import Decimal
from itertools import accumulate, pairwise

from hypothesis import strategies as st

from billing_site.foundation.money import EXACT
from catalog.pricing.book import Priced, PriceModel
from catalog.pricing.combining import add_up
from catalog.pricing.graduated import Graduated
from catalog.pricing.package import Package
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.percentage import Percentage
from catalog.pricing.stairstep import Stairstep
from catalog.pricing.tiers import Tier
from catalog.pricing.volume import Volume

QUANTITIES = st.decimals(min_value=-(10**8), max_value=10**8, places=6)
PRICES = st.decimals(min_value=0, max_value=10**6, places=9)
FEES = st.one_of(st.just(Decimal(0)), st.decimals(min_value=0, max_value=10**4, places=2))
SIZES = st.decimals(min_value=Decimal("0.001"), max_value=10**5, places=3)
BOUNDS = st.lists(st.decimals(min_value=Decimal("0.001"), max_value=10**7, places=3), max_size=5, unique=True).map(
    sorted
)


@st.composite
def tiers(draw: st.DrawFn, *, flat_only: bool = False) -> list[Tier]:
    made = []
    for bound in [*draw(BOUNDS), None]:
        price = Decimal(0) if flat_only else draw(PRICES)
        package = None if flat_only else draw(st.one_of(st.none(), SIZES))
        made.append(Tier(bound, price, draw(FEES), package))
    return made


PER_UNIT = st.builds(PerUnit, PRICES)
PACKAGES = st.builds(Package, SIZES, FEES, FEES)
GRADUATED = st.builds(Graduated, tiers(), st.booleans())
VOLUME = st.builds(Volume, tiers(), st.booleans())
STAIRSTEPS = st.builds(Stairstep, tiers(flat_only=True), st.booleans())
PERCENTAGES = st.builds(
    Percentage, st.decimals(min_value=0, max_value=1, places=6), FEES, FEES, st.integers(min_value=0, max_value=5)
)
MODELS: st.SearchStrategy[PriceModel] = st.one_of(PER_UNIT, PACKAGES, GRADUATED, VOLUME, STAIRSTEPS, PERCENTAGES)


def explains_itself(priced: Priced) -> bool:
    """The steps add up to the amount, and each is a sentence that ends with its own amount, to the last digit."""
    told = [Decimal(str(step).rpartition(" = ")[2].replace(",", "")) for step in priced.steps]
    return add_up(told) == add_up(step.amount for step in priced.steps) == priced.amount


def same_in_pieces(model: PriceModel, start: Decimal, pieces: list[Decimal], events: int = 1) -> bool:
    """Further usage costs the same whether it comes piece by piece, priced as the total that it makes, or at once."""
    amounts = [model.price(total, "unit", events).amount for total in accumulate([start, *pieces], EXACT.add)]
    charged = add_up(EXACT.subtract(now, before) for before, now in pairwise(amounts))
    whole = model.price(add_up([start, *pieces]), "unit", events).amount
    return charged == EXACT.subtract(whole, amounts[0])
