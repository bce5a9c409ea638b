"""Make, change and take away coupons. The writer of Coupon. Each verb raises Refused, and then nothing was changed."""

from collections.abc import Collection, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, TypedDict, Unpack

from django.db import transaction

from billing_site.foundation.errors import Fault
from billing_site.foundation.money import is_currency
from catalog.charges.checks import fee_faults
from catalog.models import Coupon, CouponPlan, CouponProduct, Plan, Product
from catalog.pricing.words import counted
from catalog.writing import refuse, save

# What stays open once it was redeemed.
LOOSE = frozenset({"name", "active", "max_redemptions", "max_per_customer", "redeem_by"})
MAX_CHARGE_CODE = 100


class Terms(TypedDict, total=False):
    """What a coupon can be given. Without charges and products it is for all lines, without plans for all plans."""

    code: str
    name: str
    percent: Decimal | None
    amount: Decimal | None
    currency: str
    duration: str
    periods: int | None
    charges: list[str]
    products: Collection[Product]
    plans: Collection[Plan]
    max_redemptions: int | None
    max_per_customer: int | None
    redeem_by: date | None
    active: bool


def create_coupon(**terms: Unpack[Terms]) -> Coupon:
    """A coupon that can be redeemed at once, unless it is not active."""
    products, plans = terms.pop("products", ()), terms.pop("plans", ())
    coupon = _put(Coupon(), terms)
    refuse(coupon_faults(coupon))
    with transaction.atomic():
        save(coupon)
        _set_parts(coupon, products, plans)
    return coupon


def change_coupon(coupon: Coupon, **terms: Unpack[Terms]) -> Coupon:
    """Change what is given and leave the rest. What was redeemed keeps all but its name, limits and being active."""
    products, plans = terms.pop("products", None), terms.pop("plans", None)
    with transaction.atomic():
        locked = Coupon.objects.select_for_update(no_key=True).get(pk=coupon.pk)
        before = {name: getattr(locked, name) for name in terms}
        _put(locked, terms)
        changed = {name for name, value in before.items() if getattr(locked, name) != value}
        changed |= {"products"} if products is not None and _others(products, products_of(locked)) else set()
        changed |= {"plans"} if plans is not None and _others(plans, plans_of(locked)) else set()
        refuse(_kept_faults(locked, changed) or coupon_faults(locked))
        save(locked)
        _set_parts(locked, products if "products" in changed else None, plans if "plans" in changed else None)
    return Coupon.objects.get(pk=coupon.pk)


def delete_coupon(coupon: Coupon) -> None:
    """Take away one that nobody has redeemed."""
    with transaction.atomic():
        locked = Coupon.objects.select_for_update().get(pk=coupon.pk)
        if locked.redeemed:
            message = f"“{locked}” was redeemed {counted(locked.redeemed, 'time')}: it stays. Make it inactive instead."
            refuse([Fault("coupon_redeemed_conflict", message, "code")])
        locked.delete()


def find(code: str) -> Coupon | None:
    """By its code, in any letters."""
    return None if "\0" in code else Coupon.objects.filter(code=as_code(code)).first()


def as_code(text: str) -> str:
    """Codes are kept in capital letters; blanks around one that was copied do not count."""
    return text.strip().upper()


def products_of(coupon: Coupon) -> list[Product]:
    return [each.product for each in coupon.for_products.all()]


def plans_of(coupon: Coupon) -> list[Plan]:
    return [each.plan for each in coupon.on_plans.all()]


def coupon_faults(coupon: Coupon) -> list[Fault]:
    """What is wrong with it as it would be saved; fields and constraints are looked at when it is."""
    found = [*_code_faults(coupon), *_reduction_faults(coupon), *_duration_faults(coupon)]
    return [*found, *_charge_faults(coupon), *_limit_faults(coupon)]


def _put(coupon: Coupon, terms: Any) -> Coupon:
    for name, value in terms.items():
        setattr(coupon, name, as_code(value) if name == "code" else value)
    return coupon


def _others(wanted: Collection[Any], held: Collection[Any]) -> bool:
    return {each.pk for each in wanted} != {each.pk for each in held}


def _set_parts(coupon: Coupon, products: Collection[Product] | None, plans: Collection[Plan] | None) -> None:
    """Replace them; None: they stay."""
    if products is not None:
        coupon.for_products.all().delete()
        CouponProduct.objects.bulk_create([CouponProduct(coupon=coupon, product=each) for each in products])
    if plans is not None:
        coupon.on_plans.all().delete()
        CouponPlan.objects.bulk_create([CouponPlan(coupon=coupon, plan=each) for each in plans])


def _kept_faults(coupon: Coupon, changed: set[str]) -> list[Fault]:
    if not coupon.redeemed:
        return []
    message = (
        f"The coupon was redeemed {counted(coupon.redeemed, 'time')}, and what it takes off never changes. Only its"
        " name, its limits and whether it is active do: make another coupon."
    )
    return [Fault("coupon_redeemed_conflict", message, name) for name in sorted(changed - LOOSE)]


def _code_faults(coupon: Coupon) -> Iterator[Fault]:
    other = None if coupon.code == "" else find(coupon.code)
    if other is not None and other.pk != coupon.pk:
        message = f"Another coupon, “{other.name}”, has the code {other.code}: choose another one."
        yield Fault("code_conflict", message, "code")


def _reduction_faults(coupon: Coupon) -> Iterator[Fault]:
    if (coupon.percent is None) == (coupon.amount is None):
        message = "A coupon takes off either a percentage or an amount: write one of the two."
        yield Fault("coupon_percent_or_amount", message, "percent")
    if coupon.percent is not None and not (coupon.percent.is_finite() and 0 < coupon.percent <= 100):
        message = f"“{coupon.percent}” is no percentage to take off: write more than 0 and at most 100."
        yield Fault("percent_invalid", message, "percent")
    if coupon.amount is None:
        if coupon.currency:
            message = f"A percentage has no currency: leave “{coupon.currency}” out."
            yield Fault("currency_unused", message, "currency")
    elif not is_currency(coupon.currency):
        message = f"“{coupon.currency}” is no currency: an amount needs one, three capital letters such as USD."
        yield Fault("currency_unknown", message, "currency")
    else:
        yield from fee_faults(coupon.amount, coupon.currency, "amount")
        if coupon.amount == 0:
            yield Fault("amount_invalid", "An amount of 0 takes off nothing: write more.", "amount")


def _duration_faults(coupon: Coupon) -> Iterator[Fault]:
    some = coupon.duration == Coupon.Duration.PERIODS
    if coupon.duration not in Coupon.Duration.values:
        known = ", ".join(Coupon.Duration.values)
        yield Fault("duration_unknown", f"“{coupon.duration}” is no duration: {known}.", "duration")
    elif some and not (coupon.periods and coupon.periods > 0):
        yield Fault("periods_missing", "For how many invoices? Write a whole number, for example 3.", "periods")
    elif not some and coupon.periods is not None:
        message = f"A coupon “{coupon.duration}” has no number of invoices: leave {coupon.periods} out."
        yield Fault("periods_unused", message, "periods")


def _charge_faults(coupon: Coupon) -> Iterator[Fault]:
    for index, code in enumerate(coupon.charges):
        if not code or len(code) > MAX_CHARGE_CODE or "\0" in code:
            message = f"“{code[:60]}” is no code of a charge: write one, or leave it out."
            yield Fault("charge_invalid", message, f"charges.{index}")


def _limit_faults(coupon: Coupon) -> Iterator[Fault]:
    if coupon.max_redemptions is not None and coupon.max_redemptions < coupon.redeemed:
        message = (
            f"It was redeemed {counted(coupon.redeemed, 'time')} already: write {coupon.redeemed} or more, or make it"
            " inactive."
        )
        yield Fault("limit_below_redeemed", message, "max_redemptions")
