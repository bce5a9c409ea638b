"""Group “pricing”: one quantity and one price, or amounts to be rounded."""

from collections.abc import Iterator, Mapping
from decimal import Decimal, localcontext
from typing import Any

from billing_site.foundation.money import EXACT, ZERO, round_amount
from catalog.pricing.per_unit import PerUnit
from tests.cases.loading import Case

Figures = dict[str, Any]

# By model: what may be given, at the top, in the price, and in each line item. More than that changes the figures.
KNOWN: dict[str, dict[str, set[str]]] = {
    "per_unit": {"given": {"quantity", "bucket_quantities", "zero_usage"}, "price": {"unit_price"}},
    "round_only": {"given": {"amount"}, "price": set()},
    "lines": {"given": {"line_items"}, "price": set(), "item": {"amount", "count"}},
}
ALWAYS = {"model", "currency", "price"}


def figures(given: Mapping[str, Any]) -> Figures:
    """What our own pricing and rounding make of a case that is not set aside."""
    with localcontext(EXACT):
        if given["model"] == "lines":
            total = sum(_rounded_lines(given), ZERO)
            return {"amount": total, "rounded": total}
        amount = Decimal(given["amount"]) if given["model"] == "round_only" else _per_unit(given)
    return {"amount": amount, "rounded": round_amount(amount, given["currency"])}


def _per_unit(given: Mapping[str, Any]) -> Decimal:
    quantities = given["bucket_quantities"] if "bucket_quantities" in given else [given["quantity"]]
    quantity = sum((Decimal(each) for each in quantities), ZERO)
    return PerUnit(Decimal(given["price"]["unit_price"])).price(quantity, "unit", 1).amount


def _rounded_lines(given: Mapping[str, Any]) -> Iterator[Decimal]:
    """A total is the sum of rounded lines; `count` equal lines are rounded one by one."""
    for item in given["line_items"]:
        yield round_amount(Decimal(item["amount"]), given["currency"]) * int(item.get("count", 1))


def set_aside(case: Case) -> str | None:
    """Why a case is not run; None: it is."""
    given, model = case.given, case.given["model"]
    price = given.get("price", {})
    if model not in KNOWN:
        return f"the price model “{model}” is not built yet"
    if "convert" in price:
        return "converts units before pricing; here a quantity is priced in the unit in which it was metered"
    if "cap_amount" in price:
        return "caps the amount; spend caps are not built yet"
    if given.get("rounding", "half_up") != "half_up":
        return f"rounds “{given['rounding']}”; here an amount is rounded once, half away from zero"
    if _below_zero(given) and case.source.startswith("polarsource/polar"):
        return "negative usage is free there; here usage that was taken back gives a negative amount"
    return next((f"uses “{name}”, which is not built yet" for name in _unknown(given)), None)


def _below_zero(given: Mapping[str, Any]) -> bool:
    return "quantity" in given and Decimal(given["quantity"]) < 0


def _unknown(given: Mapping[str, Any]) -> Iterator[str]:
    known = KNOWN[given["model"]]
    yield from sorted(given.keys() - ALWAYS - known["given"] - {"rounding"})
    yield from sorted(given.get("price", {}).keys() - known["price"])
    for item in given.get("line_items", []):
        yield from sorted(item.keys() - known["item"])
