"""Products, plans, their versions, and what each version charges."""

from datetime import timedelta

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import MD5, Cast, Now
from django.db.models.lookups import Exact

from billing_site.foundation.history import tracked
from billing_site.foundation.periods import Interval
from catalog import triggers
from meters.models import CODE, Meter


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

    def __str__(self) -> str:
        return self.name


@tracked()
class Plan(models.Model):
    """A name under which priced versions follow each other."""

    code = models.CharField(max_length=100, unique=True, db_collation="C", validators=[CODE])
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


@tracked()
class PlanVersion(models.Model):
    """A price list. A draft can be edited; a published one never changes again."""

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        PUBLISHED = "published", "Published"
        RETIRED = "retired", "Retired"

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
    published_at = models.DateTimeField(null=True, editable=False)
    retired_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["plan__code", "-number"]
        permissions = [("publish_planversion", "Can publish and retire plan versions")]
        triggers = [triggers.VERSION_STATES, triggers.NO_TRUNCATE]
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
        ]

    def __str__(self) -> str:
        return f"{self.plan} v{self.number}"


@tracked()
class Charge(models.Model):
    """One thing a version charges for: a flat fee, or the usage of a meter priced by its rows."""

    class Kind(models.TextChoices):
        FLAT = "flat", "Flat fee"
        USAGE = "usage", "Usage of a meter"

    class Timing(models.TextChoices):
        ADVANCE = "advance", "In advance, at the start of each period"
        ARREARS = "arrears", "In arrears, at the end of each period"

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
                condition=Q(kind="flat", amount__isnull=False, amount__gte=0, meter=None)
                & Q(timing__in=["advance", "arrears"])
                | Q(kind="usage", amount=None, meter__isnull=False, timing="arrears"),
                name="charge_fields_fit_kind",
            ),
        ]

    def __str__(self) -> str:
        return self.name


IS_OBJECT = Exact(Func("match", function="jsonb_typeof", output_field=models.TextField()), "object")
# `*` is written by leaving the dimension out: two ways to say it would be two rows of equal keys.
HAS_UNFIT_VALUE = Func(
    "match",
    Value('strict $.* ? (@.type() != "string" || @ == "*")'),
    function="jsonb_path_exists",
    template="%(function)s(%(expressions)s::jsonpath)",
    output_field=models.BooleanField(),
)


@tracked()
class Cell(models.Model):
    """A row of a charge's price matrix: an exact value, or any, for every dimension of the meter; and a unit price.

    `match` holds the exact values as text; a dimension that is absent from it matches anything, a missing value too.
    """

    charge = models.ForeignKey(Charge, on_delete=models.CASCADE, related_name="cells")
    position = models.PositiveIntegerField(default=0)
    match = models.JSONField(default=dict, blank=True)
    unit_price = models.DecimalField(max_digits=30, decimal_places=15, validators=[MinValueValidator(0)])

    class Meta:
        verbose_name = "row"
        ordering = ["position", "id"]
        triggers = [triggers.CELL_IN_DRAFT, triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(
                F("charge"),
                MD5(Cast("match", models.TextField())),
                name="cell_match_once",
                violation_error_message="Two rows have the same values: keep one of them.",
            ),
            models.CheckConstraint(
                condition=Q(IS_OBJECT) & ~Q(match__has_key="") & ~Q(HAS_UNFIT_VALUE),
                name="cell_match_is_names_and_texts",
                violation_error_message="A row names dimensions and their values as text.",
            ),
            models.CheckConstraint(condition=Q(unit_price__gte=0), name="cell_unit_price_not_negative"),
        ]

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.match.items()) or "*"
