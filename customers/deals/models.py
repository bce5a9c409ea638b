"""Terms that differ for one subscription: what was negotiated beside its plan, and the coupons that it redeemed."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Cast, Concat, Now

from billing_site.foundation.history import tracked
from catalog import triggers as catalog_triggers
from catalog.charges.models import (
    HAS_UNFIT_VALUE,
    IS_OBJECT,
    PRICE_FITS_MODEL,
    PRICE_NOT_NEGATIVE,
    TIERS_FIT_MODEL,
    PriceColumns,
    quantity_field,
    sum_of_money,
)
from catalog.models import Coupon
from catalog.pricing.price import Model
from customers.deals import triggers as override_triggers
from customers.rating.negotiated import What

_NO_PRICE = Q(model="", unit_price=None, size=None, free=0, fixed=0, free_events=0, unit_prices=[], match={})


_NO_PERCENT = _NO_PRICE & Q(percent=None)
_HAS_PERCENT = Q(percent__isnull=False, percent__gt=0, percent__lte=100)
_HAS_AMOUNT = Q(amount__isnull=False, amount__gte=0)
_OF_CHARGE = ~Q(charge="")


def _only_of(column: str) -> Func:
    """An id as a range of one: btree_gist, which could compare ids, is not everywhere."""
    return Func(F(column), F(column), Value("[]"), function="int8range")


# What of the terms it is about, as a range of one number: 64 bits of it, so that two subjects of one subscription that
# share them by chance (1 : 2⁶⁴) would be refused to hold at once, and nothing worse.
_HASH = Func(
    Concat(
        "what", Value("/"), "charge", Value("/"), Cast("match", models.TextField()), output_field=models.TextField()
    ),
    Value(0),
    function="hashtextextended",
    output_field=models.BigIntegerField(),
)
_SUBJECT = Func(_HASH, _HASH, Value("[]"), function="numrange")


@tracked()
class Override(PriceColumns):
    """One term of a subscription that is another than its plan says, from `starts_at` until `ends_at` (null: no end).

    It names the charge by its code, and a row by its exact values, so that it goes on to hold when the subscription
    moves to a later version. Bounds are local midnights of the subscription. A row that ended where it began was taken
    back before it ever held. It never changes but for an earlier end: trigger.

    `what` says which columns count: price → those of a price, with `match`; included → `quantity`; minimum, cap, fee →
    `amount`; discount → `percent`, or `amount` in a full period. `charge` "": all usage charges (minimum, cap), or all
    lines (discount). A cap without an amount: none.
    """

    subscription = models.ForeignKey("customers.Subscription", on_delete=models.PROTECT, related_name="overrides")
    what = models.CharField(max_length=10, choices=[(each.value, each.label) for each in What])
    charge = models.CharField(max_length=100, blank=True, db_collation="C", help_text="Its code; empty: all of them.")
    match = models.JSONField(default=dict, blank=True)
    model = models.CharField(max_length=12, choices=[(each.value, each.label) for each in Model], blank=True)
    quantity = quantity_field(null=True, blank=True)
    amount = sum_of_money("Of a full period, in the customer's currency.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    reason = models.CharField(
        max_length=500, help_text="Why, for whoever asks later. It is named on the invoice's page."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "negotiated term"
        ordering = ["-id"]
        triggers = [
            override_triggers.OVERRIDE_ONLY_ENDS,
            catalog_triggers.CELL_TIERS_IN_ORDER,
            override_triggers.NO_TRUNCATE,
        ]
        constraints = [
            ExclusionConstraint(
                name="term_one_at_a_time",
                expressions=[
                    (_only_of("subscription_id"), RangeOperators.OVERLAPS),
                    (_SUBJECT, RangeOperators.OVERLAPS),
                    (Func(F("starts_at"), F("ends_at"), function="tstzrange"), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(
                condition=Q(what="price", quantity=None, amount=None) & _OF_CHARGE & PRICE_FITS_MODEL & TIERS_FIT_MODEL
                | Q(what="included", quantity__isnull=False, quantity__gte=0, amount=None) & _OF_CHARGE & _NO_PERCENT
                | Q(what="minimum", quantity=None) & _HAS_AMOUNT & _NO_PERCENT
                | Q(what="cap", quantity=None) & (Q(amount=None) | _HAS_AMOUNT) & _NO_PERCENT
                | Q(what="fee", quantity=None) & _HAS_AMOUNT & _OF_CHARGE & _NO_PERCENT
                | Q(what="discount", quantity=None, amount=None) & _HAS_PERCENT & _NO_PRICE
                | Q(what="discount", quantity=None) & ~Q(amount=0) & _HAS_AMOUNT & _OF_CHARGE & _NO_PERCENT,
                name="term_fields_fit_what",
            ),
            models.CheckConstraint(condition=PRICE_NOT_NEGATIVE, name="term_price_not_negative"),
            models.CheckConstraint(
                condition=Q(IS_OBJECT) & ~Q(match__has_key="") & ~Q(HAS_UNFIT_VALUE),
                name="term_match_is_names_and_texts",
            ),
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gte=F("starts_at")), name="term_ends_after_start"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="term_has_reason"),
        ]

    def __str__(self) -> str:
        return f"Negotiated term {self.pk}"


@tracked()
class Redemption(models.Model):
    """A coupon that a subscription redeemed.

    It is for the invoices whose boundary lies in [first_at, until_at); null: for all from the first one on. A boundary
    is where a billing period ends by the subscription's schedule, or where the subscription begins. Whether there was
    still one to have is decided by the database, which counts it on the coupon: trigger.
    """

    coupon = models.ForeignKey(Coupon, on_delete=models.PROTECT, related_name="redemptions")
    subscription = models.ForeignKey("customers.Subscription", on_delete=models.PROTECT, related_name="redemptions")
    redeemed_at = models.DateTimeField()
    first_at = models.DateTimeField()
    until_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        triggers = [
            override_triggers.REDEMPTION_ONLY_ENDS,
            override_triggers.TAKES_ONE,
            override_triggers.NO_TRUNCATE,
        ]
        constraints = [
            ExclusionConstraint(
                name="redemption_one_at_a_time",
                expressions=[
                    (_only_of("subscription_id"), RangeOperators.OVERLAPS),
                    (_only_of("coupon_id"), RangeOperators.OVERLAPS),
                    (Func(F("first_at"), F("until_at"), function="tstzrange"), RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(
                condition=Q(until_at=None) | Q(until_at__gte=F("first_at")), name="redemption_ends_after_first"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.coupon} on {self.subscription}"
