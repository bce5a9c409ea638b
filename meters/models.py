"""Meters, the events they read, and the usage that comes of them."""

from typing import TYPE_CHECKING

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import MD5, Cast, Now

from billing_site.foundation.history import tracked
from billing_site.foundation.models import ApiKey
from meters import triggers
from meters.backfills.models import Backfill
from meters.corrections.models import Correction
from meters.events.exact_json import ExactDecoder
from meters.measuring import folding
from meters.measuring.aggregation import AGGREGATIONS, MAX_ROUNDING_PLACES, VALUE_KINDS
from meters.uploads.models import Upload, UploadKey, UploadPart, UploadResult
from meters.usage.day_models import DayClosing, DayTotal
from meters.usage.hour_models import UsageHour

if TYPE_CHECKING:
    from meters.explorer.unknown import Seen

__all__ = [
    "Backfill",
    "Correction",
    "DayClosing",
    "DayTotal",
    "Upload",
    "UploadKey",
    "UploadPart",
    "UploadResult",
    "UsageHour",
]

CODE = RegexValidator(
    r"^[a-z0-9][a-z0-9_.-]*$", "Use lower-case letters, digits, “_”, “.” and “-”, beginning with a letter or digit."
)
PROPERTY_HELP = "Name of the property on the event; “a.b” is the property of that name, or else reads b inside a."


class Aggregation(models.TextChoices):
    COUNT = "count", "Count: how many events"
    SUM = "sum", "Sum: add up the values"
    MAX = "max", "Maximum: the greatest value of the period"
    MIN = "min", "Minimum: the smallest value of the period"
    AVERAGE = "average", "Average: the values added up, divided by how many there are"
    LATEST = "latest", "Latest: the last value of the period"
    UNIQUE_COUNT = "unique_count", "Unique count: how many different values"
    WEIGHTED_SUM = "weighted_sum", "Time-weighted sum: each value weighted by how long it holds, such as storage"


class ValueKind(models.TextChoices):
    LEVEL = "level", "Level: an event says what there is from now on"
    DELTA = "delta", "Delta: an event says how much is added, or with a minus taken away"


class Rounding(models.TextChoices):
    NONE = "none", "None: to the last digit"
    CEIL = "ceil", "Up: to the next greater number"
    FLOOR = "floor", "Down: to the next smaller number"
    HALF_UP = "half_up", "Half up: to the nearest number"


PLACES = MaxValueValidator(MAX_ROUNDING_PLACES), MinValueValidator(-MAX_ROUNDING_PLACES)


@tracked(exclude=["updated_at", "generation"])
class Meter(models.Model):
    """Turns events of one type into a quantity that can be priced."""

    code = models.CharField(
        max_length=100,
        unique=True,
        db_collation="C",
        validators=[CODE],
        help_text="Short name used by the API, for example llm_tokens.",
    )
    name = models.CharField(max_length=200, help_text="What people read, for example “LLM tokens”.")
    description = models.TextField(blank=True)
    event_type = models.CharField(
        max_length=255, db_collation="C", help_text="Only events of this type are counted, for example llm.request."
    )
    aggregation = models.CharField(max_length=20, choices=Aggregation.choices, default=Aggregation.COUNT)
    value_kind = models.CharField(
        "values are",
        max_length=10,
        choices=ValueKind.choices,
        blank=True,
        help_text="Levels replace each other, deltas add up. Each combination of dimension values has a level of its "
        "own; over several of them the levels add up.",
    )
    recurring = models.BooleanField(
        "carried over",
        default=False,
        help_text="A period begins with the level at which the one before ended. Without it, it begins with nothing.",
    )
    rounding = models.CharField(
        max_length=10,
        choices=Rounding.choices,
        default=Rounding.NONE,
        help_text="How a quantity is rounded before it is priced.",
    )
    rounding_places = models.SmallIntegerField(
        "decimal places",
        default=0,
        validators=PLACES,
        help_text="0 rounds to whole numbers, 2 to hundredths, -3 to thousands.",
    )
    unit = models.CharField(
        max_length=50, help_text="What one of the quantity is called, for example token or request."
    )
    label_dimension = models.CharField(
        max_length=100,
        blank=True,
        validators=[CODE],
        help_text="When one event carries several values (input, output …): the name of the dimension that tells them "
        "apart, for example token_type.",
    )
    series_limit = models.PositiveIntegerField(
        "series for each customer",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="How many combinations of dimension values a customer may have; further ones are counted together as "
        "“__other__”. Empty: as many as the site's setting SERIES_LIMIT says.",
    )
    frozen_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Set when a published plan version uses the meter."
    )
    # Moved by every change of what it counts: its usage is in the series of this generation and in no other.
    generation = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True, editable=False)

    class Meta:
        ordering = ["code"]
        triggers = [
            triggers.FROZEN_METER,
            triggers.METER_CHANGES,
            triggers.DAYS_OF_CHANGED_METER,
            triggers.NO_TRUNCATE,
        ]
        constraints = [
            models.CheckConstraint(condition=Q(aggregation__in=AGGREGATIONS), name="meter_aggregation_is_known"),
            models.CheckConstraint(
                condition=Q(aggregation="weighted_sum", value_kind__in=VALUE_KINDS)
                | ~Q(aggregation="weighted_sum") & Q(value_kind="", recurring=False),
                name="meter_value_kind_fits_aggregation",
                violation_error_message="A time-weighted sum needs to know whether values are levels or deltas; "
                "nothing else does.",
            ),
            models.CheckConstraint(
                condition=Q(rounding="none", rounding_places=0)
                | Q(rounding__in=["ceil", "floor", "half_up"])
                & Q(rounding_places__gte=-MAX_ROUNDING_PLACES, rounding_places__lte=MAX_ROUNDING_PLACES),
                name="meter_rounding_is_known",
                violation_error_message="Decimal places go with a rounding, and lie between -12 and 12.",
            ),
            models.CheckConstraint(condition=~Q(code="") & ~Q(event_type=""), name="meter_code_and_type_not_empty"),
        ]

    def __str__(self) -> str:
        return self.name


@tracked()
class MeterValue(models.Model):
    """Which property holds the value; several labelled values give one quantity per label."""

    meter = models.ForeignKey(Meter, on_delete=models.CASCADE, related_name="values")
    label = models.CharField(
        max_length=100,
        blank=True,
        db_collation="C",
        help_text="For example input. Empty when the meter has a single value.",
    )
    property = models.CharField(
        max_length=200, db_collation="C", blank=True, help_text=PROPERTY_HELP + " Empty: the event's own value."
    )
    plus = ArrayField(
        models.CharField(max_length=200),
        blank=True,
        default=list,
        help_text="Further properties that are added to it, separated by commas: “total” is input_tokens plus "
        "output_tokens.",
    )
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        triggers = [triggers.PART_OF_FROZEN_METER, triggers.PART_CHANGES, triggers.NO_TRUNCATE]
        constraints = [models.UniqueConstraint(fields=["meter", "label"], name="meter_value_label_once")]

    def __str__(self) -> str:
        return self.label or self.property or "value"


@tracked()
class MeterFilter(models.Model):
    """A condition on an event's properties; an event counts when all conditions of its meter hold."""

    class Operator(models.TextChoices):
        ONE_OF = "one_of", "is one of"
        NONE_OF = "none_of", "is none of"
        PRESENT = "present", "is present"
        ABSENT = "absent", "is absent"

    meter = models.ForeignKey(Meter, on_delete=models.CASCADE, related_name="filters")
    property = models.CharField(max_length=200, db_collation="C", help_text=PROPERTY_HELP)
    operator = models.CharField(max_length=10, choices=Operator.choices, default=Operator.ONE_OF)
    values = ArrayField(models.CharField(max_length=255), blank=True, default=list, help_text="Separated by commas.")

    class Meta:
        ordering = ["id"]
        triggers = [triggers.PART_OF_FROZEN_METER, triggers.PART_CHANGES, triggers.NO_TRUNCATE]
        constraints = [
            models.CheckConstraint(
                condition=Q(operator__in=["one_of", "none_of"], values__len__gt=0)
                | Q(operator__in=["present", "absent"], values__len=0),
                name="meter_filter_values_fit_operator",
                violation_error_message="“is one of” and “is none of” need values; “is present” and “is absent” take "
                "none.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.property} {self.get_operator_display()} {', '.join(self.values)}".strip()


@tracked()
class Dimension(models.Model):
    """A property of events by which a meter's quantity is kept apart."""

    class Status(models.TextChoices):
        PENDING = "pending", "Pending: recorded, cannot be priced yet"
        ACTIVE = "active", "Active: recorded and can be priced"
        RETIRED = "retired", "Retired: no longer recorded"

    meter = models.ForeignKey(Meter, on_delete=models.CASCADE, related_name="dimensions")
    name = models.CharField(max_length=100, db_collation="C", validators=[CODE], help_text="For example model.")
    property = models.CharField(max_length=200, db_collation="C", help_text=PROPERTY_HELP)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        triggers = [triggers.PART_OF_FROZEN_METER, triggers.PART_CHANGES, triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(fields=["meter", "name"], name="dimension_name_once"),
            models.CheckConstraint(
                condition=Q(status__in=["pending", "active", "retired"]), name="dimension_status_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


@tracked()
class MeterBand(models.Model):
    """A dimension that says how large an event is: between which thresholds a sum of its properties lies.

    Its values are named by the thresholds: 200000 gives “0-200000” and “200000+”.
    """

    meter = models.ForeignKey(Meter, on_delete=models.CASCADE, related_name="bands")
    name = models.CharField(max_length=100, db_collation="C", validators=[CODE], help_text="For example context_band.")
    properties = ArrayField(
        models.CharField(max_length=200),
        help_text="Properties whose sum decides, separated by commas: input_tokens, cache_read_tokens.",
    )
    thresholds = ArrayField(
        models.DecimalField(max_digits=30, decimal_places=12),
        help_text="Where the next band begins, ascending, separated by commas. 200000 tells “0-200000”, which holds "
        "200000 itself, from “200000+”.",
    )
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = "band"
        ordering = ["position", "id"]
        triggers = [triggers.PART_OF_FROZEN_METER, triggers.PART_CHANGES, triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(fields=["meter", "name"], name="band_name_once"),
            models.CheckConstraint(
                condition=Q(properties__len__gt=0, thresholds__len__gt=0), name="band_has_properties_and_thresholds"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class DefinitionRevision(models.Model):
    """One row, renewed by triggers with every change to what meters count: what is cached of them is checked by it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    revision = models.UUIDField()

    class Meta:
        triggers = [triggers.NO_TRUNCATE]
        constraints = [models.CheckConstraint(condition=Q(id=1), name="definition_revision_single_row")]

    def __str__(self) -> str:
        return str(self.revision)


class Event(models.Model):
    """One request, as the caller sent it, or as it was amended to. Append-only: `Correction` says which of them counts.

    `replaces`: the event as it was first sent, whose place this amended form takes; NULL for what was sent.
    """

    class Status(models.TextChoices):
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"

    customer = models.CharField(max_length=255, db_collation="C")
    reference = models.CharField(max_length=255, db_collation="C")
    type = models.CharField(max_length=255, db_collation="C")
    timestamp = models.DateTimeField()
    received_at = models.DateTimeField(db_default=Now())
    value = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    status = models.CharField(max_length=10, choices=Status.choices)
    subscription = models.CharField(max_length=255, db_collation="C", blank=True)
    properties = models.JSONField(decoder=ExactDecoder)
    # No constraint in the database, which every event would pay for: triggers check those on which it is set.
    replaces = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        db_column="replaces",
        db_index=False,
        db_constraint=False,
        related_name="amended_forms",
    )

    class Meta:
        triggers = [triggers.APPEND_ONLY, triggers.NO_TRUNCATE, triggers.REPLACEMENT_IS_A_CORRECTION]
        permissions = [("correct_event", "Can void and amend events")]
        constraints = [
            models.UniqueConstraint(fields=["customer", "reference"], condition=Q(replaces=None), name="event_once"),
            models.CheckConstraint(condition=Q(status__in=["succeeded", "failed"]), name="event_status_is_known"),
        ]
        indexes = [
            models.Index(fields=["customer", "type", "timestamp"], name="event_customer_type_time"),
            models.Index(fields=["replaces"], condition=Q(replaces__isnull=False), name="event_amended_forms"),
        ]

    def __str__(self) -> str:
        return self.reference


class Stream(models.Model):
    """A customer reference and event type that has been seen, noted once: the way to what nobody knows yet."""

    customer = models.CharField(max_length=255, db_collation="C")
    type = models.CharField(max_length=255, db_collation="C")
    first_seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        triggers = [triggers.NO_TRUNCATE]
        constraints = [models.UniqueConstraint(fields=["customer", "type"], name="stream_once")]

    def __str__(self) -> str:
        return f"{self.customer} · {self.type}"


class UnknownType(Stream):
    """A stream whose type no meter reads: `explorer.unknown` picks one for each type, and says what was seen of it."""

    seen: "Seen"

    class Meta:
        proxy = True
        ordering = ["-first_seen_at"]

    def __str__(self) -> str:
        return self.type


class Series(models.Model):
    """One customer's usage of one meter at one combination of dimension values, interned once.

    `dimensions` holds the values that the event had, as text; a missing property is absent from it. Series of an
    earlier `generation` than the meter's hold what it counted before it was changed, until that is cleared away.
    """

    customer = models.CharField(max_length=255, db_collation="C")
    meter = models.ForeignKey(Meter, on_delete=models.PROTECT, related_name="series", db_index=False)
    generation = models.PositiveIntegerField(default=1, db_default=1)
    subscription = models.CharField(max_length=255, db_collation="C", blank=True)
    dimensions = models.JSONField(default=dict)
    digest = models.GeneratedField(
        expression=MD5(Cast("dimensions", models.TextField())),
        output_field=models.CharField(max_length=32),
        db_persist=True,
    )

    class Meta:
        verbose_name_plural = "series"
        triggers = [triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "meter", "generation", "subscription", "digest"], name="series_once"
            )
        ]
        indexes = [models.Index(fields=["meter", "id"], name="series_meter")]

    def __str__(self) -> str:
        return f"{self.customer} · {self.dimensions}"


class OverLimit(models.Model):
    """A customer has more combinations of a meter's dimension values than it may: further ones are counted together.

    `step`, `names` and `kept`: how, as `measuring.folding` says. `allowed`: how many it might have when it began.
    `example`: a combination that had no room. Deleted when the meter is counted anew.
    """

    class Step(models.IntegerChoices):
        NOTHING = folding.Step.NOTHING.value, "counted apart all the same: levels cannot be counted together"
        NAMES = folding.Step.NAMES.value, "counted together over the dimensions with most values"
        ALL = folding.Step.ALL.value, "counted together over all dimensions"

    customer = models.CharField(max_length=255, db_collation="C")
    meter = models.ForeignKey(Meter, on_delete=models.CASCADE, related_name="over_limit", db_index=False)
    step = models.PositiveSmallIntegerField(choices=Step.choices)
    names = ArrayField(models.CharField(max_length=100))
    kept = ArrayField(models.CharField(max_length=100))
    allowed = models.BigIntegerField()
    example = models.JSONField()
    since = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "over limit"
        triggers = [triggers.definition_changes(pgtrigger.Delete), triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(fields=["meter", "customer"], name="over_limit_once"),
            models.CheckConstraint(condition=Q(step__in=[0, 1, 2]), name="over_limit_step_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.customer} · {self.meter_id}"


class Bucket(models.Model):
    """Usage of a series in one UTC hour, in a few slots that are merged on reading: a cache of events.

    `quantity` is the sum, the greatest or the smallest of the hour's values, as the meter aggregates; NULL when an hour
    by itself says nothing: then points or values are kept beside it.

    Whose usage it is, the series says. The primary key, meters_bucket_pkey, is the only index: two of these rows are
    written for each event.
    """

    pk = models.CompositePrimaryKey("series_id", "hour", "slot")
    series = models.ForeignKey(Series, on_delete=models.PROTECT, related_name="buckets", db_index=False)
    hour = models.DateTimeField()
    events = models.BigIntegerField()
    slot = models.PositiveSmallIntegerField()
    quantity = models.DecimalField(max_digits=38, decimal_places=12, null=True)

    class Meta:
        triggers = [triggers.DAYS_OF_DELETED_BUCKETS, triggers.NO_TRUNCATE]

    def __str__(self) -> str:
        return f"{self.series_id} · {self.hour:%Y-%m-%d %H}h"


class Point(models.Model):
    """A value at its instant, of a meter whose quantity depends on time: a cache of events.

    The unique index gives a series' points in order: the later instant, then the event received later, is the last.
    """

    customer = models.CharField(max_length=255, db_collation="C")
    series = models.ForeignKey(Series, on_delete=models.PROTECT, related_name="points", db_index=False)
    timestamp = models.DateTimeField()
    # No constraint in the database: events are never deleted, and looking each up again costs.
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    value = models.DecimalField(max_digits=38, decimal_places=12)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer", "series", "timestamp", "event"], include=["value"], name="point_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.series_id} · {self.timestamp:%Y-%m-%d %H:%M:%S}"


class UniqueValue(models.Model):
    """A value that a series had in one UTC hour, once, of a meter that counts different values: a cache of events."""

    customer = models.CharField(max_length=255, db_collation="C")
    series = models.ForeignKey(Series, on_delete=models.PROTECT, related_name="values", db_index=False)
    hour = models.DateTimeField()
    value = models.CharField(max_length=255, db_collation="C")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "series", "hour", "value"], name="value_once")]

    def __str__(self) -> str:
        return f"{self.series_id} · {self.hour:%Y-%m-%d %H}h · {self.value}"


class UsageChange(models.Model):
    """Usage of a meter changed from an hour on: written with the events, deleted by what acts on it."""

    customer = models.CharField(max_length=255, db_collation="C")
    # No constraint in the database: it would lock the meter's row in every batch of every sender.
    meter = models.ForeignKey(Meter, on_delete=models.CASCADE, db_index=False, db_constraint=False)
    hour = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        triggers = [triggers.NO_TRUNCATE]

    def __str__(self) -> str:
        return f"{self.customer} · {self.meter_id} · {self.hour:%Y-%m-%d %H}h"


class Refusal(models.Model):
    """How many events of one type an API key sent in a UTC day that were refused with one code, and the last of them.

    The events themselves are not kept: the caller was told. `type` is empty when none could be read, and when a key
    sends more types than are told apart.
    """

    day = models.DateField()
    api_key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+", db_index=False)
    code = models.CharField(max_length=50, db_collation="C")
    type = models.CharField(max_length=255, db_collation="C", blank=True)
    events = models.BigIntegerField()
    reference = models.CharField(max_length=255, db_collation="C", blank=True)
    message = models.TextField()
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["day", "api_key", "code", "type"], name="refusal_once"),
            models.CheckConstraint(condition=Q(events__gt=0), name="refusal_counts_events"),
        ]

    def __str__(self) -> str:
        return f"{self.day} · {self.code} · {self.type}"
