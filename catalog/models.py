"""Products, plans, their versions, and what each version charges."""

from datetime import timedelta

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from billing_site.foundation.history import tracked
from billing_site.foundation.periods import Interval
from catalog import triggers
from catalog.charges.models import Cell, ChargeAmount, PriceList, sum_of_money
from catalog.costs.models import CostClock, CostReading, ModelAlias, ModelCost, ProviderModel
from catalog.coupons.models import Coupon, CouponPlan, CouponProduct
from catalog.features import triggers as feature_triggers
from catalog.features.models import Feature, FeatureRevision, FeatureValue
from meters.models import CODE, Meter

__all__ = [
    "Cell",
    "Charge",
    "ChargeAmount",
    "CostClock",
    "CostReading",
    "Coupon",
    "CouponPlan",
    "CouponProduct",
    "Feature",
    "FeatureRevision",
    "FeatureValue",
    "ModelAlias",
    "ModelCost",
    "Plan",
    "PlanVersion",
    "PriceList",
    "Product",
    "ProviderModel",
]


@tracked()
class Product(models.Model):
    """What is sold: the name and the tax category of a line item."""

    code = models.CharField(max_length=100, unique=True, db_collation="C", validators=[CODE])
    name = models.CharField(max_length=200, help_text="As customers know it, for example “Chatbot API”.")
    description = models.TextField(blank=True)
    tax_category = models.CharField(
        max_length=100, blank=True, help_text="Your own name for how this product is taxed."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["code"]
        triggers = [triggers.NO_TRUNCATE]

    def __str__(self) -> str:
        return self.name


@tracked()
class Plan(models.Model):
    """A name under which priced versions follow each other."""

    class Consumption(models.TextChoices):
        METERED = "metered", "Metered: what was used is invoiced when the period is over"
        CREDITS = "credits", "Credits: usage is priced in credits, and spends those that were granted or bought"
        BALANCE = "balance", "Balance: usage is priced in money, and spends what was paid in beforehand"

    code = models.CharField(max_length=100, unique=True, db_collation="C", validators=[CODE])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    consumption = models.CharField(
        max_length=10,
        choices=Consumption.choices,
        default=Consumption.METERED,
        help_text="How usage is paid for. One way for each plan; it stays once a version was published.",
    )
    margin_floor = models.DecimalField(
        "margin floor",
        max_digits=7,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="In percent: a price below cost + this is not published. 0: none below cost. Empty: no check.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["code"]
        triggers = [triggers.CONSUMPTION_STAYS, triggers.NO_TRUNCATE]
        constraints = [
            models.CheckConstraint(
                condition=Q(consumption__in=["metered", "credits", "balance"]), name="plan_consumption_is_known"
            ),
            models.CheckConstraint(
                condition=Q(margin_floor=None) | Q(margin_floor__gt=-100), name="plan_margin_floor_above_minus_100"
            ),
        ]

    def __str__(self) -> str:
        return self.name


@tracked()
class PlanVersion(models.Model):
    """A price list. A draft can be edited; a published one never changes again."""

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        PUBLISHED = "published", "Published"
        RETIRED = "retired", "Retired"

    class WhenEmpty(models.TextChoices):
        INVOICE = "invoice", "Go on, and invoice what is beyond it when the period is over"
        BLOCK = "block", "Stop"

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(editable=False, help_text="1, 2, 3 … within the plan.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT, editable=False)
    currency = models.CharField(max_length=3, default="USD", help_text="Three letters, for example USD.")
    interval = models.CharField(
        max_length=10,
        choices=[(i.value, i.value.title()) for i in Interval],
        default=Interval.MONTH.value,
        help_text="How often it is billed.",
    )
    grace = models.DurationField(
        default=timedelta(hours=1),
        help_text="How long after the end of a period an invoice stays a draft, so that late events still count."
        " Hours:minutes:seconds, for example 01:00:00.",
    )
    minimum = sum_of_money(
        "The least that all usage of a full period comes to: what is missing is charged on a line of its own."
    )
    cap = sum_of_money("The most that all usage of a full period comes to: what is above it is credited.")
    commitment_product = models.ForeignKey(
        Product,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="What is sold by the line that fills up to the minimum.",
    )
    when_empty = models.CharField(
        "when the wallet is empty",
        max_length=10,
        choices=WhenEmpty.choices,
        blank=True,
        help_text="Of plans that are paid for beforehand.",
    )
    included_credits = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Credits that each period grants; what is left of them lapses with it. Of plans in credits.",
    )
    credit_price = models.DecimalField(
        max_digits=30,
        decimal_places=15,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="What one credit costs that was used beyond those that were there. Of plans in credits.",
    )
    published_at = models.DateTimeField(null=True, editable=False)
    retired_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["plan__code", "-number"]
        permissions = [("publish_planversion", "Can publish and retire plan versions")]
        triggers = [feature_triggers.FREEZE_FEATURES, triggers.VERSION_STATES, triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="plan_version_number_once"),
            models.CheckConstraint(
                condition=Q(status="draft", published_at=None, retired_at=None)
                | Q(status="published", published_at__isnull=False, retired_at=None)
                | Q(status="retired", published_at__isnull=False, retired_at__isnull=False),
                name="plan_version_instants_fit_status",
            ),
            models.CheckConstraint(
                condition=Q(interval__in=[interval.value for interval in Interval]),
                name="plan_version_interval_is_known",
            ),
            models.CheckConstraint(
                condition=Q(grace__gte=timedelta(0)),
                name="plan_version_grace_not_negative",
                violation_error_message="The grace cannot be negative. 0 finalizes as soon as the period is over.",
            ),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="plan_version_currency_is_a_code"),
            models.CheckConstraint(
                condition=(Q(minimum=None) | Q(minimum__gte=0))
                & (Q(cap=None) | Q(cap__gte=0))
                & (Q(minimum=None) | Q(cap=None) | Q(minimum__lte=F("cap"))),
                name="plan_version_minimum_within_cap",
                violation_error_message="The minimum is above the cap.",
            ),
            models.CheckConstraint(
                condition=Q(minimum=None) | Q(commitment_product__isnull=False),
                name="plan_version_minimum_has_product",
                violation_error_message="Say which product the line is that fills up to the minimum.",
            ),
            models.CheckConstraint(
                condition=Q(when_empty__in=["", "invoice", "block"]), name="plan_version_when_empty_is_known"
            ),
            models.CheckConstraint(
                condition=(Q(included_credits=None) | Q(included_credits__gte=0))
                & (Q(credit_price=None) | Q(credit_price__gte=0)),
                name="plan_version_credits_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan} v{self.number}"

    def currencies(self) -> list[str]:
        """Those in which it is offered, its own first. No query when its price lists were prefetched."""
        return [self.currency, *(each.currency for each in self.price_lists.all())]


@tracked()
class Charge(models.Model):
    """One thing a version charges for: a flat fee, or the usage of a meter priced by its rows."""

    class Kind(models.TextChoices):
        FLAT = "flat", "Flat fee"
        USAGE = "usage", "Usage of a meter"

    class Timing(models.TextChoices):
        ADVANCE = "advance", "In advance, at the start of each period"
        ARREARS = "arrears", "In arrears, at the end of each period"
        ONCE = "once", "Once, when the subscription begins"

    class Unmatched(models.TextChoices):
        HOLD = "hold", "Hold the invoice until somebody prices it"
        ZERO = "zero", "Charge nothing: it stands on the invoice at 0"

    version = models.ForeignKey(PlanVersion, on_delete=models.CASCADE, related_name="charges")
    position = models.PositiveSmallIntegerField(default=0)
    code = models.CharField(max_length=100, db_collation="C", validators=[CODE])
    name = models.CharField(max_length=200, help_text="What the customer reads on the invoice.")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="charges")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.USAGE)
    timing = models.CharField(max_length=10, choices=Timing.choices, default=Timing.ARREARS)
    # A line's unit price holds 15 digits before the point; a fee is one.
    amount = models.DecimalField(
        max_digits=19,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="The flat fee of one full period, in the version's currency.",
    )
    meter = models.ForeignKey(
        Meter,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="charges",
        help_text="Whose usage is priced.",
    )
    included = models.DecimalField(
        max_digits=38,
        decimal_places=12,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Units of each full period that cost nothing: taken off all rows in proportion to their usage.",
    )
    minimum = sum_of_money("The least that this charge comes to in a full period.")
    cap = sum_of_money("The most that this charge comes to in a full period: what is above it is credited.")
    cost_model = models.CharField(
        "dimension with the model",
        max_length=100,
        blank=True,
        db_collation="C",
        help_text="Whose values are names of models, so that the catalogue of model costs knows what a unit costs you.",
    )
    cost_token_type = models.CharField(
        "dimension with the token type",
        max_length=100,
        blank=True,
        db_collation="C",
        help_text="Whose values are input, output, cache_read … Empty: every unit is an input token.",
    )
    cost_context = models.CharField(
        "band of the request's size",
        max_length=100,
        blank=True,
        db_collation="C",
        help_text="For models whose cost steps with the size of a request. Empty: the cost of small requests.",
    )
    unmatched = models.CharField(
        max_length=10,
        choices=Unmatched.choices,
        default=Unmatched.HOLD,
        help_text="What happens to usage that no row prices. A row of only * prices everything.",
    )

    class Meta:
        ordering = ["position", "id"]
        triggers = [triggers.CHARGE_IN_DRAFT, triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(fields=["version", "code"], name="charge_code_once"),
            models.CheckConstraint(condition=Q(unmatched__in=["hold", "zero"]), name="charge_unmatched_is_known"),
            models.CheckConstraint(
                condition=Q(kind="flat", amount__isnull=False, amount__gte=0, meter=None, included=None)
                & Q(timing__in=["advance", "arrears", "once"], minimum=None, cap=None)
                & Q(cost_model="", cost_token_type="", cost_context="")
                | Q(kind="usage", amount=None, meter__isnull=False, timing="arrears"),
                name="charge_fields_fit_kind",
            ),
            models.CheckConstraint(
                condition=(Q(included=None) | Q(included__gte=0))
                & (Q(minimum=None) | Q(minimum__gte=0))
                & (Q(cap=None) | Q(cap__gte=0))
                & (Q(minimum=None) | Q(cap=None) | Q(minimum__lte=F("cap"))),
                name="charge_minimum_within_cap",
                violation_error_message="The minimum is above the cap.",
            ),
            models.CheckConstraint(
                condition=~Q(cost_model="") | Q(cost_token_type="", cost_context=""),
                name="charge_cost_names_a_model",
                violation_error_message="Say first which dimension holds the model.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
