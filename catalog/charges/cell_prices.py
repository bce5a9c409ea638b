"""A row's columns as the price that they are, and back."""

from catalog.charges.models import PriceColumns
from catalog.pricing.price import Model, Price
from catalog.pricing.tiers import Tier

COLUMNS = (
    "model",
    "unit_price",
    "size",
    "free",
    "percent",
    "fixed",
    "free_events",
    "bounds",
    "unit_prices",
    "flat_prices",
    "packages",
    "flat_at_zero",
)


def price_of(cell: PriceColumns) -> Price:
    """What the row says."""
    tiers = zip([*cell.bounds, None], cell.unit_prices, cell.flat_prices, cell.packages, strict=True)
    return Price(
        model=Model(cell.model),
        unit_price=cell.unit_price,
        size=cell.size,
        free=cell.free,
        percent=cell.percent,
        fixed=cell.fixed,
        free_events=cell.free_events,
        tiers=tuple(Tier(*each) for each in tiers) if cell.unit_prices else (),
        flat_at_zero=cell.flat_at_zero,
    )


def put(cell: PriceColumns, price: Price) -> None:
    """Let the row say this price. Nothing is saved."""
    cell.model = price.model.value
    cell.unit_price, cell.size, cell.free = price.unit_price, price.size, price.free
    cell.percent, cell.fixed, cell.free_events = price.percent, price.fixed, price.free_events
    cell.bounds = [tier.up_to for tier in price.tiers if tier.up_to is not None]
    cell.unit_prices = [tier.unit_price for tier in price.tiers]
    cell.flat_prices = [tier.flat_price for tier in price.tiers]
    cell.packages = [tier.package for tier in price.tiers]
    cell.flat_at_zero = price.flat_at_zero
