"""Coupons in words for people."""

from billing_site.foundation.money import grouped, show
from catalog.models import Coupon
from catalog.pricing.words import counted

_HOW_LONG = {Coupon.Duration.ONCE: "on one invoice", Coupon.Duration.FOREVER: "on every invoice"}


def takes_off(coupon: Coupon) -> str:
    """For example “10 % on 3 invoices”."""
    if coupon.amount is not None:
        what = show(coupon.amount, coupon.currency)
    else:
        what = "?" if coupon.percent is None else f"{grouped(coupon.percent)} %"
    for_some = f"on {'?' if coupon.periods is None else counted(coupon.periods, 'invoice')}"
    return f"{what} {_HOW_LONG.get(Coupon.Duration(coupon.duration), for_some)}"


def uses(coupon: Coupon) -> str:
    """For example “3 of 100, 97 left”."""
    if coupon.max_redemptions is None:
        return f"{coupon.redeemed:,}, no limit"
    left = coupon.max_redemptions - coupon.redeemed
    return f"{coupon.redeemed:,} of {coupon.max_redemptions:,}, {left:,} left"
