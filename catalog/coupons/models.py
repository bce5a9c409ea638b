"""Coupons: what anybody who has the code may have taken off its invoices."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from billing_site.foundation.history import tracked
from catalog.coupons import triggers as coupon_triggers

COUPON_CODE = RegexValidator(
    r"^[A-Z0-9][A-Z0-9_-]*\Z",
    "A coupon's code consists of letters, digits, - and _, for example SPRING-24; small letters count as capital ones.",
    "code_invalid",
)
HUNDRED = 100


@tracked(exclude=["redeemed"])
class Coupon(models.Model):
    """A percentage, or an amount, off all lines of an invoice or off those of some charges and products.

    The code is stored in capital letters, and read in any. Without charges and products it is for all lines. Once it
    was redeemed only its name, its limits and whether it is active change: triggers.
    """

    class Duration(models.TextChoices):
        ONCE = "once", "Once: one invoice"
        PERIODS = "periods", "For some invoices, one each billing period"
        FOREVER = "forever", "For ever: every invoice"

    code = models.CharField(max_length=50, db_collation="C", validators=[COUPON_CODE])
    name = models.CharField(max_length=200, help_text="What the customer reads on the invoice, for example “Spring”.")
    percent = models.DecimalField(
        max_digits=7,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(HUNDRED)],
        help_text="10 is 10 %. Either a percentage or an amount.",
    )
    amount = models.DecimalField(
        max_digits=19,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Taken off each invoice. What an invoice is too small for lapses.",
    )
    currency = models.CharField(
        max_length=3, blank=True, help_text="Of the amount: only subscriptions in it can redeem. Three letters."
    )
    duration = models.CharField(max_length=10, choices=Duration.choices, default=Duration.ONCE)
    periods = models.PositiveSmallIntegerField(
        "number of invoices",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="For how many billing periods, counted from the first invoice.",
    )
    charges = ArrayField(
        models.CharField(max_length=100),
        default=list,
        blank=True,
        help_text="Codes of the charges that it is for. Without charges and products it is for everything.",
    )
    max_redemptions = models.PositiveIntegerField(
        "redemptions in all", null=True, blank=True, help_text="How often it can be redeemed. Empty: no limit."
    )
    max_per_customer = models.PositiveIntegerField(
        "redemptions by one customer", null=True, blank=True, default=1, help_text="Empty: no limit."
    )
    redeem_by = models.DateField(
        null=True, blank=True, help_text="The last day, in UTC, on which it can be redeemed. Empty: no end."
    )
    active = models.BooleanField(
        default=True, help_text="Whether it can be redeemed. What was redeemed goes on to its end either way."
    )
    redeemed = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["code"]
        triggers = [coupon_triggers.COUPON_STAYS, coupon_triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(
                fields=["code"],
                name="coupon_code_once",
                violation_error_message="Another coupon has this code: choose another one.",
            ),
            models.CheckConstraint(condition=Q(code__regex=r"^[A-Z0-9][A-Z0-9_-]*$"), name="coupon_code_is_capital"),
            models.CheckConstraint(
                condition=Q(percent__isnull=False, percent__gt=0, percent__lte=HUNDRED, amount=None, currency="")
                | Q(percent=None, amount__isnull=False, amount__gt=0, currency__regex=r"^[A-Z]{3}$"),
                name="coupon_percent_or_amount",
                violation_error_message="A coupon takes off either a percentage, or an amount in a currency.",
            ),
            models.CheckConstraint(
                condition=Q(duration="periods", periods__isnull=False, periods__gte=1)
                | Q(duration__in=["once", "forever"], periods=None),
                name="coupon_periods_fit_duration",
                violation_error_message="Say for how many invoices, or choose once or for ever.",
            ),
            models.CheckConstraint(
                condition=Q(max_redemptions=None) | Q(redeemed__lte=F("max_redemptions")),
                name="coupon_redeemed_within_limit",
                violation_error_message="It has been redeemed more often than that already.",
            ),
        ]

    def __str__(self) -> str:
        return self.code


@tracked()
class CouponProduct(models.Model):
    """A product whose lines a coupon is for."""

    coupon = models.ForeignKey(Coupon, on_delete=models.CASCADE, related_name="for_products")
    product = models.ForeignKey("catalog.Product", on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["id"]
        triggers = [coupon_triggers.PART_STAYS, coupon_triggers.NO_TRUNCATE]
        constraints = [models.UniqueConstraint(fields=["coupon", "product"], name="coupon_product_once")]

    def __str__(self) -> str:
        return str(self.product)


@tracked()
class CouponPlan(models.Model):
    """A plan on which a coupon can be redeemed; a coupon without any can be on all."""

    coupon = models.ForeignKey(Coupon, on_delete=models.CASCADE, related_name="on_plans")
    plan = models.ForeignKey("catalog.Plan", on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["id"]
        triggers = [coupon_triggers.PART_STAYS, coupon_triggers.NO_TRUNCATE]
        constraints = [models.UniqueConstraint(fields=["coupon", "plan"], name="coupon_plan_once")]

    def __str__(self) -> str:
        return str(self.plan)
