"""Negotiated terms and coupons, as the tests of several rooms make them."""

from datetime import date
from decimal import Decimal
from typing import Any

from catalog.coupons import issuing as coupons
from catalog.models import Coupon
from catalog.pricing.price import Price, per_unit
from customers.deals import overriding
from customers.deals.days import Wanted
from customers.models import Override, Subscription


def wanted(what: str, starts_on: date, **fields: Any) -> Wanted:
    """Numbers may be given as text, a price as the text of a unit price."""
    for name in ("quantity", "amount", "percent"):
        if isinstance(fields.get(name), str):
            fields[name] = Decimal(fields[name])
    if isinstance(fields.get("price"), str):
        fields["price"] = per_unit(Decimal(fields["price"]))
    return Wanted(what=what, starts_on=starts_on, **{"reason": "Deal", **fields})


def override(subscription: Subscription, what: str, starts_on: date, **fields: Any) -> Override:
    return overriding.override(subscription, wanted(what, starts_on, **fields))


def coupon(code: str = "SPRING", percent: str | None = "10", amount: str | None = None, **fields: Any) -> Coupon:
    if amount is not None:
        return coupons.create_coupon(
            code=code, name=code.title(), amount=Decimal(amount), **{"currency": "USD", **fields}
        )
    assert percent is not None
    return coupons.create_coupon(code=code, name=code.title(), percent=Decimal(percent), **fields)


__all__ = ["Price", "coupon", "override", "wanted"]
