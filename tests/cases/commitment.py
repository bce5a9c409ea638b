"""Group “commitment”: a minimum that is trued up to, and a cap that is credited, of a period or of its windows."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from billing_site.foundation.money import EXACT, ZERO, round_amount
from catalog.pricing.allowance import places_of
from catalog.pricing.combining import add_up
from catalog.pricing.commitment import cap_credit, prorate, true_up
from catalog.pricing.graduated import Graduated
from catalog.pricing.per_unit import PerUnit
from catalog.pricing.tiers import Tier
from tests.cases import pricing
from tests.cases.charges import PRICE_PLACES, Metered, metered
from tests.cases.loading import Case

Figures = dict[str, Any]
Given = Mapping[str, Any]

KNOWN = {
    "min_max_spend": {"minimum_amount", "maximum_amount", "previously_billed", "discount_percent"},
    "true_up": {"currency", "commitment", "fees", "prorated_fees", "prorate", "round_commitment_first"},
    "windowed": {"line", "buckets", "windows"},
}
IN_WINDOWS = {
    "line": {"unit_price", "commitment_amount", "commitment_quantity", "overage_factor", "true_up"},
    "buckets": {"start_hour", "end_hour"},
    "windows": {"hour", "quantity"},
}


def figures(given: Given) -> Figures:
    return {"min_max_spend": _period, "true_up": _true_up, "windowed": _windowed}[given["kind"]](given)


def _period(given: Given) -> Figures:
    """What is new of a period whose earlier part was billed already: that of all of it, less that of the earlier part.

    A minimum is due once, at the end.
    """
    quantity, before = Decimal(given["quantity"]), Decimal(given.get("quantity_before", 0))
    used, credit = _to_date(given, EXACT.add(before, quantity))
    used_before, credit_before = _to_date(given, before) if before else (ZERO, ZERO)
    missing = ZERO
    if "minimum_amount" in given:
        missing = round_amount(true_up(Decimal(given["minimum_amount"]), used).amount, given["currency"])
    usage, taken_back = used - used_before, credit - credit_before
    return {
        "usage_amount": usage,
        "true_up": missing,
        "maximum_discount": -taken_back,
        "total": usage + missing + taken_back,
    }


def _to_date(given: Given, quantity: Decimal) -> tuple[Decimal, Decimal]:
    """The usage line of a quantity, and the credit line of the cap."""
    used = round_amount(pricing.exact(metered(given), [quantity]), given["currency"])
    if "maximum_amount" not in given:
        return used, ZERO
    return used, round_amount(cap_credit(Decimal(given["maximum_amount"]), used).amount, given["currency"])


def _true_up(given: Given) -> Figures:
    """What counts towards the minimum is listed: lines, each rounded, some of them for a part of the period."""
    currency, minimum = given["currency"], _part(given, Decimal(given["commitment"]))
    lines = [Decimal(each) for each in given["fees"]]
    lines += [_part(given, Decimal(each)) for each in given["prorated_fees"]]
    charged = add_up(round_amount(line, currency) for line in lines)
    return {"true_up": round_amount(true_up(minimum, charged).amount, currency)}


def _part(given: Given, amount: Decimal) -> Decimal:
    days = given.get("prorate")
    return prorate(amount, int(days["used_days"]), int(days["period_days"])) if days else amount


def _windowed(given: Given) -> Figures:
    """Each window is a charge of its own, of a meter that counts the window alone: two tiers, and its minimum."""
    found: Figures = dict.fromkeys(("utilized", "overage", "true_up"), ZERO)
    for window in given["windows"]:
        terms = _terms(given, window)
        bound = _committed(terms)
        (row,) = _window_charge(terms, bound).of([Decimal(window["quantity"])]).rows
        first, *beyond = row.priced.steps
        found["utilized"] += first.amount
        found["overage"] += add_up(step.amount for step in beyond)
        if terms.get("true_up") and bound is not None:
            minimum = PerUnit(Decimal(terms["unit_price"])).price(bound, "unit", 0).amount
            found["true_up"] += true_up(minimum, row.priced.amount).amount
    return {**found, "total": add_up(found.values())}


def _window_charge(terms: Given, bound: Decimal | None) -> Metered:
    price = Decimal(terms["unit_price"])
    if bound is None:
        return Metered(PerUnit(price))
    beyond = EXACT.multiply(price, Decimal(terms.get("overage_factor", 1)))
    return Metered(Graduated([Tier(bound, price), Tier(None, beyond)], flat_at_zero=False))


def _terms(given: Given, window: Given) -> Given:
    """Those of the part of the day that the window lies in, else those of the line."""
    for bucket in given.get("buckets", []):
        if "hour" in window and int(bucket["start_hour"]) <= int(window["hour"]) < int(bucket["end_hour"]):
            return dict(bucket)
    return dict(given["line"])


def _committed(terms: Given) -> Decimal | None:
    """The units that are committed to; what is committed to in money is as many as it buys."""
    if terms.get("commitment_quantity"):
        return Decimal(terms["commitment_quantity"])
    if terms.get("commitment_amount") and Decimal(terms["unit_price"]):
        return EXACT.divide(Decimal(terms["commitment_amount"]), Decimal(terms["unit_price"]))
    return None


def set_aside(case: Case) -> str | None:
    """Why a case is not run; None: it is."""
    given, kind = case.given, case.given["kind"]
    if kind not in KNOWN:
        return f"the kind of commitment “{kind}” is not offered"
    if unknown := next(_unknown(given), None):
        return f"uses “{unknown}”, which is not offered"
    if kind == "windowed":
        return _windows_set_aside(given)
    return _period_set_aside(case) if kind == "min_max_spend" else None


def _period_set_aside(case: Case) -> str | None:
    given = case.given
    if "discount_percent" in given:
        return "takes a discount off before the minimum or cap; here they look at usage before any discount"
    charge = {name: value for name, value in given.items() if name not in {"kind", *KNOWN["min_max_spend"]}}
    if reason := pricing.set_aside(Case(case.id, case.source, "pricing", charge, {})):
        return reason
    before = Decimal(given.get("quantity_before", 0))
    billed = sum(_to_date(given, before)) if before else ZERO
    if Decimal(given.get("previously_billed", billed)) != billed:
        return "billed the earlier part of the period otherwise than by its price"
    return None


def _windows_set_aside(given: Given) -> str | None:
    for window in given["windows"]:
        bound = _committed(_terms(given, window))
        if bound is not None and places_of([bound]) > PRICE_PLACES:
            return "commits to money that buys no exact number of units; here tiers are of units"
    return None


def _unknown(given: Given) -> Iterator[str]:
    if given["kind"] == "min_max_spend":
        return  # the rest is a charge, which `pricing` looks at
    yield from sorted(given.keys() - KNOWN[given["kind"]] - {"kind", "currency"})
    if given["kind"] == "windowed":
        yield from sorted(given["line"].keys() - IN_WINDOWS["line"])
        for bucket in given.get("buckets", []):
            yield from sorted(bucket.keys() - IN_WINDOWS["line"] - IN_WINDOWS["buckets"])
        for window in given["windows"]:
            yield from sorted(window.keys() - IN_WINDOWS["windows"])
