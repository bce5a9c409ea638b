"""Customers, the references they are known by, and what they are subscribed to."""

from datetime import datetime
from typing import Any

from babel import Locale
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now

from billing_site.foundation.history import tracked
from billing_site.foundation.money import is_currency
from billing_site.foundation.periods import Alignment, timezones
from catalog.models import PlanVersion
from customers import triggers
from customers.deals.models import Override, Redemption
from customers.entitlements.models import EntitlementOverride
from customers.subscriptions.plan_move_models import PlanMove, PlanMoveItem
from meters.models import Meter, Stream

__all__ = [
    "Alias",
    "Contact",
    "Customer",
    "EntitlementOverride",
    "MeterClaim",
    "Override",
    "PlanMove",
    "PlanMoveItem",
    "Redemption",
    "Subscription",
    "UnknownCustomer",
]

COUNTRIES = frozenset(
    code for code in map(str, Locale("en").territories) if len(code) == 2 and code not in {"EU", "EZ", "UN", "ZZ"}
)


def validate_currency(code: str) -> None:
    if not is_currency(code):
        raise ValidationError(
            f"“{code}” is not a currency code; use three capital letters such as USD or EUR.", "currency_unknown"
        )


def validate_timezone(name: str) -> None:
    if name not in timezones():
        raise ValidationError(
            f"“{name}” is not a timezone; use a name such as Europe/Berlin or UTC.", "timezone_unknown"
        )


def validate_country(code: str) -> None:
    if code not in COUNTRIES:
        raise ValidationError(
            f"“{code}” is not a country; use two capital letters such as DE or US.", "country_unknown"
        )


@tracked()
class Customer(models.Model):
    """Somebody who is billed."""

    reference = models.CharField(
        max_length=255,
        db_collation="C",
        help_text="Your own id of this customer, as it stands on usage events. A former one stays an alias.",
    )
    name = models.CharField(max_length=255, help_text="As it stands on the invoice.")
    currency = models.CharField(
        max_length=3,
        default="USD",
        validators=[validate_currency],
        help_text="Three letters, for example USD. It stays as it is once there is a subscription.",
    )
    timezone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[validate_timezone],
        help_text="Billing periods begin at midnight here. A subscription keeps the timezone that it began with.",
    )
    email = models.EmailField(blank=True, help_text="Where invoices go.")
    tax_id = models.CharField(max_length=50, blank=True, verbose_name="tax id")
    address = models.TextField(blank=True, help_text="As it stands on the invoice.")
    country = models.CharField(
        max_length=2, blank=True, validators=[validate_country], help_text="Two letters, for example DE."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["reference"]
        constraints = [
            models.UniqueConstraint(fields=["reference"], name="customer_reference_once"),
            models.CheckConstraint(condition=~Q(reference=""), name="customer_reference_not_empty"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="customer_currency_is_a_code"),
        ]
        triggers = [triggers.KEEP_OWN_ALIAS, triggers.DROP_ALIASES, triggers.KEEP_CURRENCY, triggers.NO_TRUNCATE]

    def __str__(self) -> str:
        return self.name


@tracked()
class Alias(models.Model):
    """A reference by which events may name a customer.

    The customer's own reference is one of them, kept by a trigger.
    """

    # The database drops the aliases of a deleted customer; the own one can only go that way.
    customer = models.ForeignKey(Customer, on_delete=models.DO_NOTHING, related_name="aliases")
    reference = models.CharField(
        max_length=255, db_collation="C", help_text="Another id that events carry for this customer."
    )
    own = models.BooleanField(default=False, editable=False)

    class Meta:
        verbose_name_plural = "aliases"
        ordering = ["reference"]
        constraints = [
            models.UniqueConstraint(fields=["reference"], name="alias_reference_once"),
            models.UniqueConstraint(fields=["customer"], condition=Q(own=True), name="alias_one_own"),
            models.CheckConstraint(condition=~Q(reference=""), name="alias_reference_not_empty"),
        ]
        triggers = [triggers.GUARD_OWN_ALIAS, triggers.ALIASED_USAGE_MOVES, triggers.NO_TRUNCATE]

    def __str__(self) -> str:
        return self.reference


@tracked()
class Contact(models.Model):
    """A person at the customer."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="contacts")
    name = models.CharField(max_length=200)
    email = models.EmailField()
    role = models.CharField(max_length=100, blank=True, help_text="For example Accounts payable.")

    class Meta:
        ordering = ["id"]
        triggers = [triggers.NO_TRUNCATE]

    def __str__(self) -> str:
        return self.name


@tracked(exclude=["due_at", "due_from"])
class Subscription(models.Model):
    """A customer on a plan version, from a date on.

    `due_at` is the next boundary at which something is invoiced: usage and fees in arrears of [due_from, due_at), and
    fees in advance for the period that begins at due_at. A first boundary with `due_from` = `due_at` opens the
    subscription. Null: all has been invoiced that ever will be.
    """

    reference = models.CharField(
        max_length=255, db_collation="C", help_text="Your own id of this subscription, by which events may name it."
    )
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="subscriptions")
    version = models.ForeignKey(PlanVersion, on_delete=models.PROTECT, related_name="subscriptions")
    alignment = models.CharField(
        max_length=12,
        choices=[
            ("calendar", "Calendar: from the first of the month"),
            ("anniversary", "Anniversary: from the day it began"),
        ],
        default=Alignment.CALENDAR.value,
    )
    anchor = models.DateField(help_text="The local day from which anniversary periods count.")
    timezone = models.CharField(max_length=64, validators=[validate_timezone])
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    named_events_only = models.BooleanField(
        default=False,
        help_text="Charge only events that name this subscription; needed when two subscriptions read one meter.",
    )
    due_at = models.DateTimeField(null=True, editable=False)
    due_from = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["due_at", "id"], condition=Q(due_at__isnull=False), name="subscription_due")]
        triggers = [
            triggers.FIT_VERSION,
            triggers.KEEP_TERMS,
            triggers.MOVE_FORWARD,
            triggers.INVOICED_STAYS,
            triggers.CLAIM_METERS,
            triggers.DROP_CLAIMS,
            triggers.NO_TRUNCATE,
        ]
        constraints = [
            models.UniqueConstraint(fields=["reference"], name="subscription_reference_once"),
            models.CheckConstraint(condition=~Q(reference=""), name="subscription_reference_not_empty"),
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")), name="subscription_ends_after_start"
            ),
            models.CheckConstraint(
                condition=Q(due_at=None, due_from=None) | Q(due_from__lte=F("due_at"), due_from__gte=F("starts_at")),
                name="subscription_due_from_before_due_at",
            ),
            models.CheckConstraint(
                condition=Q(due_at=None) | Q(ends_at=None) | Q(due_at__lte=F("ends_at")), name="subscription_due_within"
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    def state_at(self, instant: datetime) -> str:
        """scheduled, active or ended."""
        if instant < self.starts_at:
            return "scheduled"
        return "active" if self.ends_at is None or instant < self.ends_at else "ended"


class MeterClaim(models.Model):
    """Which subscription reads a customer's meter, and when.

    Two that overlap are refused, unless they read only events that name them. The triggers of Subscription write it.
    """

    subscription = models.ForeignKey(Subscription, on_delete=models.DO_NOTHING, related_name="claims")
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="+")
    meter = models.ForeignKey(Meter, on_delete=models.PROTECT, related_name="+")
    period = DateTimeRangeField()
    named_events_only = models.BooleanField()

    class Meta:
        triggers = [triggers.GUARD_CLAIMS, triggers.NAMED_USAGE_MOVES, triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "meter"], name="meter_claim_once"),
            # btree_gist is not everywhere: an id becomes a range of one, which plain gist can compare.
            ExclusionConstraint(
                name="meter_claim_no_overlap",
                expressions=[
                    (
                        Func(F("customer_id"), F("customer_id"), models.Value("[]"), function="int8range"),
                        RangeOperators.OVERLAPS,
                    ),
                    (
                        Func(F("meter_id"), F("meter_id"), models.Value("[]"), function="int8range"),
                        RangeOperators.OVERLAPS,
                    ),
                    ("period", RangeOperators.OVERLAPS),
                ],
                condition=Q(named_events_only=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscription_id} reads {self.meter_id}"


class UnknownCustomer(Stream):
    """A customer reference on events that no alias knows: usage that nobody is billed for yet."""

    seen: Any
    """A `customers.accounts.unknown.Seen`, on the rows of the list."""

    class Meta:
        proxy = True
        ordering = ["-first_seen_at"]

    def __str__(self) -> str:
        return self.customer
