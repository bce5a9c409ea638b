"""Invoices and the run that makes them."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import MD5, Cast, Now

from billing_site.foundation.history import tracked
from catalog.models import Charge, PlanVersion, Product
from customers.models import Customer, Override, Redemption, Subscription
from invoicing import guards
from meters.models import Meter


@tracked(exclude=["next_number"])
class NumberSeries(models.Model):
    """Gapless invoice numbers: prefix and a counter that moves only with the invoices that take from it."""

    DEFAULT = "default"

    code = models.CharField(
        max_length=50,
        unique=True,
        db_collation="C",
        help_text="Invoices take their numbers from the series “default”.",
    )
    prefix = models.CharField(
        max_length=50,
        blank=True,
        help_text="What stands before the number, for example INV-. Counts from the next invoice on.",
    )
    digits = models.PositiveSmallIntegerField(
        default=6,
        validators=[MaxValueValidator(20)],
        help_text="Shorter numbers are padded with zeros to this length; longer ones are written in full.",
    )
    next_number = models.PositiveBigIntegerField(default=1, editable=False)

    class Meta:
        verbose_name_plural = "number series"
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=Q(digits__lte=20), name="number_series_digits_fit"),
            models.CheckConstraint(condition=Q(next_number__gte=1), name="number_series_begins_at_one"),
        ]
        triggers = [guards.ONLY_FORWARD, guards.SERIES_STAYS, guards.MOVES_WITH_INVOICES, guards.NO_TRUNCATE]

    def __str__(self) -> str:
        return self.code


class Run(models.Model):
    """One pass over what was due: how many invoices, how far it has come."""

    due_until = models.DateTimeField(help_text="Everything due at or before this instant.")
    started_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Run {self.pk}"


class Chunk(models.Model):
    """Work of a run: draft invoices to rate or to finalize. A worker holds it by a lease; the queue is only a hint.

    `attempts` is also the fencing token: a worker that finds another count than the one it took with has lost the
    chunk.
    """

    class Step(models.TextChoices):
        RATE = "rate", "Preview"
        FINALIZE = "finalize", "Finalize"

    class Status(models.TextChoices):
        PENDING = "pending", "Waiting or running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed: given up"

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="chunks")
    step = models.CharField(max_length=10, choices=Step.choices)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    invoices = models.PositiveIntegerField(help_text="How many invoices it holds.")
    attempts = models.PositiveSmallIntegerField(default=0)
    leased_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=255, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["leased_until"],
                condition=Q(status="pending"),
                name="chunk_pending",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="pending", finished_at=None) | ~Q(status="pending") & Q(finished_at__isnull=False),
                name="chunk_finished_at_fits_status",
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_step_display()} {self.pk}"


class Invoice(models.Model):
    """What a subscription owes at one boundary. Finalized, it never changes again."""

    class Kind(models.TextChoices):
        OPENING = "opening", "Start of the subscription"
        PERIOD = "period", "End of a period"

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        FINALIZED = "finalized", "Finalized"
        EMPTY = "empty", "Nothing to bill"
        VOID = "void", "Void"

    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="invoices")
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="invoices", db_index=False)
    version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    sequence = models.PositiveSmallIntegerField(default=0)
    period_start = models.DateTimeField(help_text="Usage and fees in arrears from here")
    period_end = models.DateTimeField(help_text="to here, not included; fees in advance begin here.")
    advance_end = models.DateTimeField(
        null=True,
        help_text="Fees in advance are billed up to here; empty when the subscription ends.",
    )
    timezone = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT)
    finalize_after = models.DateTimeField()
    hold_reason = models.TextField(blank=True, help_text="Why this draft cannot be finalized.")
    chunk = models.ForeignKey(
        Chunk,
        on_delete=models.PROTECT,
        null=True,
        related_name="held_invoices",
        help_text="The work that holds this draft, or that closed it. A draft without one is free to be taken.",
    )
    series = models.ForeignKey(
        NumberSeries,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
    )
    place = models.PositiveBigIntegerField(null=True, help_text="Which of the series' numbers it took.")
    number = models.CharField(max_length=80, blank=True, db_collation="C")
    total = models.DecimalField(max_digits=20, decimal_places=4, default=0)
    bill_to = models.JSONField(
        default=dict,
        help_text="The customer's name, address and tax id as they stood at finalization.",
    )
    seller = models.JSONField(
        default=dict,
        help_text="Your name, address and tax id as they stood at finalization.",
    )
    rated_at = models.DateTimeField(null=True)
    costs_known_at = models.DateTimeField(
        null=True, help_text="Priced by cost as far as costs were recorded by then; empty: nothing is priced by cost."
    )
    finalized_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        # The planner's: drafts that nobody holds, in the order in which it takes them.
        indexes = [
            models.Index(
                fields=["id"],
                condition=Q(status="draft", chunk=None),
                name="invoice_draft_free",
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "period_start", "kind", "sequence"],
                condition=~Q(status="void"),
                name="invoice_once",
            ),
            # Two periods of a subscription never overlap. btree_gist is not everywhere: an id becomes a range of one.
            ExclusionConstraint(
                name="invoice_periods_apart",
                expressions=[
                    (
                        Func(F("subscription_id"), F("subscription_id"), models.Value("[]"), function="int8range"),
                        RangeOperators.OVERLAPS,
                    ),
                    (Func(F("period_start"), F("period_end"), function="tstzrange"), RangeOperators.OVERLAPS),
                ],
                condition=Q(kind="period", sequence=0) & ~Q(status="void"),
            ),
            models.UniqueConstraint(fields=["number"], condition=~Q(number=""), name="invoice_number_once"),
            models.UniqueConstraint(fields=["series", "place"], name="invoice_place_once"),
            models.CheckConstraint(
                condition=Q(period_start__lte=F("period_end")),
                name="invoice_period_in_order",
            ),
            models.CheckConstraint(
                condition=Q(
                    status="finalized",
                    finalized_at__isnull=False,
                    series__isnull=False,
                    place__isnull=False,
                    hold_reason="",
                )
                & ~Q(number="")
                | Q(status="void", finalized_at__isnull=False, place__isnull=False) & ~Q(number="")
                | Q(status__in=["draft", "empty"], number="", series=None, place=None),
                name="invoice_number_fits_status",
            ),
        ]
        triggers = [
            guards.BORN_A_DRAFT,
            guards.FROZEN,
            guards.KNOWN_WAY_OUT,
            guards.KEEP_TERMS,
            guards.DRAFTS_STAY,
            guards.TOTAL_IS_SUM,
            guards.NUMBERS_ARE_THE_SERIES,
            guards.NO_TRUNCATE,
        ]

    def __str__(self) -> str:
        return self.number or f"{self.get_status_display()} {self.pk}"


class Line(models.Model):
    """A rounded amount and how it came about.

    `included`: how much of the quantity cost nothing. `unit_price` is empty where no single price holds, as in tiers.
    A line over several charges, such as a minimum of all usage, has no charge.
    """

    class Kind(models.TextChoices):
        USAGE = "usage", "Usage"
        FEE = "fee", "Fee"
        MINIMUM = "minimum", "Minimum commitment"
        CAP = "cap", "Cap"
        DISCOUNT = "discount", "Discount"

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines", db_index=False)
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+", db_index=False)
    description = models.TextField()
    dimensions = models.JSONField(default=dict)
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    included = models.DecimalField(max_digits=38, decimal_places=12, default=0, db_default=0)
    unit = models.CharField(max_length=50, blank=True)
    unit_price = models.DecimalField(max_digits=30, decimal_places=15, null=True)
    amount = models.DecimalField(max_digits=20, decimal_places=4)
    service_start = models.DateTimeField()
    service_end = models.DateTimeField()
    explanation = models.JSONField(help_text="Version, row and arithmetic.")

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="line_position_once"),
            models.CheckConstraint(
                condition=Q(kind__in=["usage", "fee"], charge__isnull=False)
                | Q(kind__in=["minimum", "cap", "discount"], included=0),
                name="line_kind_is_known",
            ),
        ]
        triggers = [*guards.LINES_FROZEN, guards.NO_TRUNCATE]

    def __str__(self) -> str:
        return self.description


class GuardedOverride(Override):
    """Negotiated terms, which never reach into what is finalized: the guard is of this room, which knows that."""

    class Meta:
        proxy = True
        triggers = [guards.TERMS_AFTER_CLOSED]

    def __str__(self) -> str:
        return super().__str__()


class GuardedRedemption(Redemption):
    """Redeemed coupons, likewise."""

    class Meta:
        proxy = True
        triggers = [guards.COUPONS_AFTER_CLOSED]

    def __str__(self) -> str:
        return super().__str__()


class LateUsage(models.Model):
    """Usage now − usage invoiced, per charge and combination: what came, or went, after the period was closed."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="late_usage", db_index=False)
    charge = models.ForeignKey(Charge, on_delete=models.PROTECT, related_name="+", db_index=False)
    dimensions = models.JSONField(default=dict)
    quantity = models.DecimalField(max_digits=38, decimal_places=12)
    noticed_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "late usage"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                F("invoice"),
                F("charge"),
                MD5(Cast("dimensions", models.TextField())),
                name="late_usage_once",
            ),
            models.CheckConstraint(condition=~Q(quantity=0), name="late_usage_is_a_difference"),
        ]
        triggers = [guards.NO_TRUNCATE]

    def __str__(self) -> str:
        return f"{self.invoice} · {self.charge}"


class LateProblem(models.Model):
    """Changed usage of a customer and meter that could not be compared with what was invoiced, and why.

    The change waits until `retry_at`, the others go on. The row goes with the comparison that succeeds.
    """

    customer = models.CharField(max_length=255, db_collation="C", help_text="The reference on the events.")
    meter = models.ForeignKey(Meter, on_delete=models.CASCADE, related_name="+", db_index=False)
    error = models.TextField()
    noticed_at = models.DateTimeField(db_default=Now())
    retry_at = models.DateTimeField()

    class Meta:
        verbose_name = "late usage that cannot be compared"
        verbose_name_plural = "late usage that cannot be compared"
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["customer", "meter"], name="late_problem_once")]

    def __str__(self) -> str:
        return f"{self.customer} · {self.meter}"
