"""Group “discount”: what discounts take off an invoice and its lines; and units that are free as they are used up."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from billing_site.foundation.money import EXACT, ZERO
from catalog.pricing.combining import add_up
from catalog.pricing.discounts import Discount, InvoiceLine, Taken, take
from catalog.pricing.per_unit import PerUnit
from tests.cases.charges import Metered
from tests.cases.loading import Case

Figures = dict[str, Any]
Given = Mapping[str, Any]

KNOWN = {
    "coupon_amount": {"base", "fixed", "percent", "items"},
    "stack": {"base", "coupons", "order"},
    "allocate": {"items", "discount", "method", "percent"},
    "usage_discount": {"discount_quantity", "quantity_before", "quantity"},
}
METHODS = {"largest_remainder", "per_item_percent"}
ORDERS = {"applied", "percent_first"}
FIRST = datetime(2024, 1, 1, tzinfo=UTC)


def figures(given: Given) -> Figures:
    if given["kind"] == "usage_discount":
        return _usage_discount(given)
    lines, taken = _lines(given), _taken(given)
    return {
        "discount": add_up(each.amount for each in taken),
        "allocation": [add_up(each.by_line.get(line.key, ZERO) for each in taken) for line in lines],
        "coupons_used": sum(each.amount > 0 for each in taken),
    }


def _lines(given: Given) -> list[InvoiceLine]:
    amounts = given.get("items") or [given["base"]]
    return [InvoiceLine(number, "usage", 1, Decimal(amount), "usage") for number, amount in enumerate(amounts)]


def _taken(given: Given) -> list[Taken]:
    return take(_lines(given), [_discount(*each) for each in enumerate(_coupons(given))], given["currency"])


def _coupons(given: Given) -> Sequence[Given]:
    """Given one after the other: the first one is the oldest."""
    if given["kind"] == "stack":
        return list(given["coupons"])
    percent = given["kind"] == "coupon_amount" or given["method"] == "per_item_percent"
    if percent and "percent" in given:
        return [{"percent": given["percent"]}]
    return [{"fixed": given.get("fixed", given.get("discount"))}]


def _discount(number: int, coupon: Given) -> Discount:
    percent, fixed = (None if coupon.get(name) is None else Decimal(coupon[name]) for name in ("percent", "fixed"))
    return Discount(number, f"Coupon {number}", FIRST + timedelta(days=number), percent=percent, amount=fixed)


def _usage_discount(given: Given) -> Figures:
    """Free units are an allowance of the period: what is to be paid of all usage, less that of the earlier part."""
    before = Decimal(given["quantity_before"])
    paid_before = _paid(given, before)
    paid = _paid(given, EXACT.add(before, Decimal(given["quantity"])))
    return {"billable_quantity": EXACT.subtract(paid, paid_before), "billable_before": paid_before}


def _paid(given: Given, quantity: Decimal) -> Decimal:
    charge = Metered(PerUnit(Decimal(1)), included=Decimal(given["discount_quantity"]))
    return add_up(EXACT.subtract(row.quantity, row.included) for row in charge.of([quantity]).rows)


def set_aside(case: Case) -> str | None:
    """Why a case is not run; None: it is."""
    given, kind = case.given, case.given["kind"]
    if kind not in KNOWN:
        return f"the kind of discount “{kind}” is not offered"
    if unknown := next(_unknown(given), None):
        return f"uses “{unknown}”, which is not offered"
    if given.get("order") == "percent_first" and _percent_after_fixed(given["coupons"]):
        return "takes percentages before amounts; here the older discount goes first"
    if given.get("method") == "per_item_percent" and _rounds_apart(given):
        return "rounds a percentage line by line; here a discount is rounded once and spread over its lines"
    return None


def _percent_after_fixed(coupons: Sequence[Given]) -> bool:
    kinds = ["percent" if coupon.get("percent") is not None else "fixed" for coupon in coupons]
    return kinds != sorted(kinds, reverse=True)


def _rounds_apart(given: Given) -> bool:
    """Whether it matters that each line's part is rounded by itself."""
    apart = [add_up(each.amount for each in _taken({**given, "items": [item]})) for item in given["items"]]
    return apart != figures(given)["allocation"]


def _unknown(given: Given) -> Iterator[str]:
    yield from sorted(given.keys() - KNOWN[given["kind"]] - {"kind", "currency"})
    if given.get("method", "largest_remainder") not in METHODS:
        yield str(given["method"])
    if given.get("order", "applied") not in ORDERS:
        yield str(given["order"])
    for coupon in given.get("coupons", []):
        yield from sorted(coupon.keys() - {"fixed", "percent"})
