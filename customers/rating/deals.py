"""What differs for single subscriptions, read for a chunk of them: negotiated terms, and coupons that are redeemed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing_site.foundation.periods import local_date
from catalog.charges.cell_prices import price_of
from catalog.pricing.discounts import Discount
from customers.models import Override, Redemption, Subscription
from customers.rating.discounting import Offer
from customers.rating.negotiated import Negotiated, What


@dataclass(frozen=True)
class Redeemed:
    """A coupon for the invoices of the boundaries in [first_at, until_at); None: for all from the first one on."""

    first_at: datetime
    until_at: datetime | None
    offer: Offer


@dataclass(frozen=True)
class Deals:
    """Of one subscription."""

    negotiated: Sequence[Negotiated] = ()
    redeemed: Sequence[Redeemed] = ()

    def offers_at(self, boundary: datetime) -> Iterator[Offer]:
        for each in self.redeemed:
            if each.first_at <= boundary and (each.until_at is None or boundary < each.until_at):
                yield each.offer


NO_DEALS = Deals()


def load(subscriptions: Iterable[Subscription]) -> dict[int, Deals]:
    """By subscription; one without any is left out. Three queries at most, however many there are."""
    zones = {row.pk: row.timezone for row in subscriptions}
    negotiated: dict[int, list[Negotiated]] = {}
    redeemed: dict[int, list[Redeemed]] = {}
    for override in Override.objects.filter(subscription__in=zones).order_by("id"):
        term = as_negotiated(override, zones[override.subscription_id])
        if term.ends_at != term.starts_at:
            negotiated.setdefault(override.subscription_id, []).append(term)
    rows = Redemption.objects.filter(subscription__in=zones).order_by("id").select_related("coupon")
    for redemption in rows.prefetch_related("coupon__for_products"):
        redeemed.setdefault(redemption.subscription_id, []).append(_redeemed(redemption))
    return {
        key: Deals(tuple(negotiated.get(key, ())), tuple(redeemed.get(key, ())))
        for key in negotiated.keys() | redeemed.keys()
    }


def as_negotiated(override: Override, timezone: str) -> Negotiated:
    """The value of a row, saved or not."""
    what = What(override.what)
    percentage = what == What.DISCOUNT and override.percent is not None
    number = override.percent if percentage else override.quantity if what == What.INCLUDED else override.amount
    return Negotiated(
        id=override.pk or 0,
        what=what,
        charge=override.charge,
        starts_at=override.starts_at,
        ends_at=override.ends_at,
        since=override.created_at,
        number=number,
        percentage=percentage,
        match=override.match,
        price=price_of(override) if what == What.PRICE else None,
        said={
            "id": override.pk,
            "name": "Negotiated discount" if what == What.DISCOUNT else what.label,
            "reason": override.reason,
            "from": local_date(override.starts_at, timezone).isoformat(),
            "until": None if override.ends_at is None else local_date(override.ends_at, timezone).isoformat(),
        },
    )


def _redeemed(redemption: Redemption) -> Redeemed:
    coupon = redemption.coupon
    discount = Discount(
        key=redemption.pk,
        name=f"{coupon.name} ({coupon.code})",
        since=redemption.redeemed_at,
        percent=coupon.percent,
        amount=coupon.amount,
        charges=frozenset(coupon.charges),
        products=frozenset(each.product_id for each in coupon.for_products.all()),
    )
    said = {"coupon": {"code": coupon.code, "redemption": redemption.pk}}
    return Redeemed(redemption.first_at, redemption.until_at, Offer(discount, said))
