"""Group “pricing”: a quantity and a price, or amounts to be rounded."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from billing_site.foundation.money import EXACT, round_amount
from catalog.pricing.combining import add_up
from catalog.pricing.commitment import cap_credit
from tests.cases.charges import GRADUATED, TIERED, Metered, NotOffered, last_bound, metered
from tests.cases.loading import Case

Figures = dict[str, Any]

BLOCKS = {"block_size", "max_blocks", "block_price", "flat_price"}
TIERS = {"up_to", "unit_price", "flat_price", "package_size", "cap"}
QUANTITIES = {"quantity", "quantity_before", "bucket_quantities", "zero_usage", "allow_negative", "included_quantity"}
# By model: what may be given, in the price, in each tier, and in each line item. More than that changes the figures.
PRICES: dict[str, set[str]] = {
    "per_unit": {"unit_price", "convert", "usage_discount", "cap_amount"},
    "package": {"package_size", "package_price", "package_rounding", "min_packages"},
    "percentage": {
        *("rate", "fixed_amount", "free_transactions", "free_total"),
        *("min_per_transaction", "max_per_transaction"),
    },
    "dynamic": {"multiplier"},
    **{model: {"tiers"} for model in TIERED},
    "round_only": set(),
    "lines": set(),
}
IN_TIERS = {
    "graduated_percentage": {"up_to", "rate", "flat_price"},
    "graduated_block": BLOCKS,
    "volume_block": BLOCKS,
}
GIVEN = {"round_only": {"amount"}, "lines": {"line_items"}, "percentage": {"transactions", *QUANTITIES}}
CONVERT = {"op", "factor", "rounding", "precision"}
ALWAYS = {"model", "currency", "price"}


def figures(given: Mapping[str, Any]) -> Figures:
    """What our own pricing and rounding make of a case that is not set aside."""
    currency = given["currency"]
    if given["model"] == "lines":
        total = add_up(_rounded_lines(given))
        return {"amount": total, "rounded": total}
    amounts = [Decimal(given["amount"])] if given["model"] == "round_only" else list(_amounts(given))
    return {"amount": add_up(amounts), "rounded": add_up(round_amount(each, currency) for each in amounts)}


def _amounts(given: Mapping[str, Any]) -> Iterator[Decimal]:
    """The exact amounts of the rows of a charge, and of what its cap takes back."""
    charge, before = metered(given), Decimal(given.get("quantity_before", 0))
    if before:
        total = exact(charge, [EXACT.add(before, Decimal(given["quantity"]))])
        yield EXACT.subtract(total, exact(charge, [before]))
        return
    priced = charge.of(_quantities(given), len(given.get("transactions", [None])))
    amounts = [row.priced.amount for row in priced.rows]
    yield from amounts
    if charge.cap is not None:
        yield cap_credit(charge.cap, add_up(amounts)).amount


def exact(charge: Metered, quantities: list[Decimal]) -> Decimal:
    return add_up(row.priced.amount for row in charge.of(quantities).rows)


def _quantities(given: Mapping[str, Any]) -> list[Decimal]:
    """Several are priced apart, each in a row of its own."""
    if "transactions" in given:
        return [add_up(Decimal(each) for each in given["transactions"])]
    return [Decimal(each) for each in given.get("bucket_quantities", [given.get("quantity")])]


def _rounded_lines(given: Mapping[str, Any]) -> Iterator[Decimal]:
    """A total is the sum of rounded lines; `count` equal lines are rounded one by one."""
    for item in given["line_items"]:
        yield round_amount(Decimal(item["amount"]), given["currency"]) * int(item.get("count", 1))


def set_aside(case: Case) -> str | None:
    """Why a case is not run; None: it is."""
    given, model = case.given, case.given["model"]
    if model == "graduated_time_prorated":
        return "prices units by tiers and pays them by time; here what is held over time is one weighted quantity"
    if model not in PRICES:
        return f"the price model “{model}” is not offered"
    if given.get("rounding", "half_up") != "half_up":
        return f"rounds “{given['rounding']}”; here an amount is rounded once, half away from zero"
    if unknown := next(_unknown(given), None):
        return f"uses “{unknown}”, which is not offered"
    return None if model in GIVEN and model != "percentage" else _price_set_aside(case)


def _price_set_aside(case: Case) -> str | None:
    given, price = case.given, case.given["price"]
    quantity = Decimal(given.get("quantity", 0))
    if quantity < 0 and (case.source.startswith("polarsource/polar") or given.get("allow_negative") is False):
        return "negative usage is free there; here usage that was taken back gives a negative amount"
    try:
        charge = metered(given)
    except NotOffered as reason:
        return str(reason)
    if "min_packages" in price and quantity <= (int(price["min_packages"]) - 1) * Decimal(price["package_size"]):
        return "charges packages that were not started; here a package is paid for once it is"
    if reason := _tiers_set_aside(case, quantity):
        return reason
    rounded = figures(given)
    if rounded["rounded"] != round_amount(rounded["amount"], given["currency"]) and charge.cap is None:
        return "rounds amounts that were priced apart together; here each row is rounded by itself"
    return None


def _tiers_set_aside(case: Case, quantity: Decimal) -> str | None:
    tiers = case.given["price"].get("tiers", [])
    last = last_bound(tiers) if tiers else None
    if case.given["model"] in GRADUATED and last is not None and quantity > last:
        return "has usage beyond its last tier; here the last tier is open"
    if case.source.startswith("meteroid-oss/meteroid") and _between_tiers(tiers, quantity):
        return "tiers begin with a whole unit there; here they are (lower, upper], on any quantity"
    return None


def _between_tiers(tiers: Sequence[Mapping[str, Any]], quantity: Decimal) -> bool:
    bounds = [Decimal(tier["up_to"]) for tier in tiers if tier.get("up_to") is not None]
    return any(bound < quantity < bound + 1 for bound in bounds)


def _unknown(given: Mapping[str, Any]) -> Iterator[str]:
    model, price = given["model"], given.get("price", {})
    yield from sorted(given.keys() - ALWAYS - GIVEN.get(model, QUANTITIES) - {"rounding"})
    yield from sorted(price.keys() - PRICES[model])
    yield from sorted(price.get("convert", {}).keys() - CONVERT)
    for tier in price.get("tiers", []):
        yield from sorted(tier.keys() - IN_TIERS.get(model, TIERS))
    for item in given.get("line_items", []):
        yield from sorted(item.keys() - {"amount", "count"})
