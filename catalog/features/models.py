"""Features, and what plan versions give of them."""

from decimal import Decimal
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Func, Q, Value
from django.db.models.functions import Now

from billing_site.foundation.history import tracked
from catalog import triggers
from catalog.features import triggers as feature_triggers
from catalog.features import values
from catalog.features.values import UNLIMITED
from meters.models import CODE, Meter

WINDOWS, SEVERAL = [each.value for each in values.Window], [each.value for each in values.Several]
NOT_A_NUMBER = Q(meter=None, window="", filters={}, several="highest")


def _filters_have(path: str) -> Func:
    return Func(
        "filters",
        Value(path),
        function="jsonb_path_exists",
        template="%(function)s(%(expressions)s::jsonpath)",
        output_field=models.BooleanField(),
    )


@tracked()
class Feature(models.Model):
    """What a customer may do, or how much of it, as its plan version or an override says.

    `filters`: {dimension: values} of the meter's usage that a number counts; an empty text stands for a missing value.
    """

    class Kind(models.TextChoices):
        SWITCH = "switch", "Switch: on or off"
        NUMBER = "number", "Number: how much"
        LIST = "list", "List: which ones"

    class Window(models.TextChoices):
        BILLING_PERIOD = "billing_period", "Billing period of the subscription"
        HOUR = "hour", "Hour"
        DAY = "day", "Day"
        WEEK = "week", "Week, from Monday"
        MONTH = "month", "Month"

    class Several(models.TextChoices):
        HIGHEST = "highest", "The highest number counts"
        SUM = "sum", "The numbers are added up"

    code = models.CharField(max_length=100, unique=True, db_collation="C", validators=[CODE])
    name = models.CharField(max_length=200, help_text="As people know it, for example “Allowed models”.")
    description = models.TextField(blank=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.SWITCH)
    meter = models.ForeignKey(Meter, on_delete=models.PROTECT, null=True, blank=True, related_name="features")
    filters = models.JSONField(default=dict, blank=True)
    window = models.CharField(max_length=20, choices=Window.choices, blank=True)
    several = models.CharField(max_length=10, choices=Several.choices, default=Several.HIGHEST)
    allowed = ArrayField(models.CharField(max_length=255), default=list, blank=True)
    frozen_at = models.DateTimeField(
        null=True, editable=False, help_text="Set when a published plan version or a customer has it."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["code"]
        triggers = [
            feature_triggers.FROZEN_FEATURE,
            feature_triggers.KEEP_KIND,
            feature_triggers.KEEP_GIVEN_VALUES,
            feature_triggers.FEATURES_CHANGE,
            triggers.NO_TRUNCATE,
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(code="") & ~Q(code__contains="/"), name="feature_code_is_a_word"),
            models.CheckConstraint(
                condition=NOT_A_NUMBER & (Q(kind="switch", allowed=[]) | Q(kind="list", allowed__len__gt=0))
                | Q(kind="number", meter=None, window="", filters={}, allowed=[])
                | Q(kind="number", meter__isnull=False, window__in=WINDOWS, allowed=[]),
                name="feature_fields_fit_kind",
                violation_error_message="A number that counts use has a meter and a window; a list has values; a switch"
                " has none of them.",
            ),
            models.CheckConstraint(condition=Q(several__in=SEVERAL), name="feature_several_is_known"),
            models.CheckConstraint(
                condition=~Q(_filters_have('strict $ ? (@.type() != "object")'))
                & ~Q(_filters_have('strict $.* ? (@.type() != "array" || @.size() == 0)'))
                & ~Q(_filters_have('strict $.* ? (@.type() == "array")[*] ? (@.type() != "string")')),
                name="feature_filters_are_names_and_texts",
                violation_error_message="A filter names dimensions, each with a list of values as text.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Given(models.Model):
    """A value of a feature: exactly one of the four columns says it. `unlimited`: without a limit, or any value."""

    enabled = models.BooleanField(null=True)
    number = models.DecimalField(max_digits=38, decimal_places=12, null=True, validators=[MinValueValidator(0)])
    texts = ArrayField(models.CharField(max_length=255), null=True, blank=True)
    unlimited = models.BooleanField(default=False)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(enabled__isnull=False, number=None, texts=None, unlimited=False)
                | Q(enabled=None, number__isnull=False, number__gte=0, texts=None, unlimited=False)
                | Q(enabled=None, number=None, texts__isnull=False, unlimited=False)
                | Q(enabled=None, number=None, texts=None, unlimited=True),
                name="%(class)s_is_one_value",
            )
        ]

    @property
    def value(self) -> values.Value:
        return value_of(self.enabled, self.number, self.texts, unlimited=self.unlimited)

    @value.setter
    def value(self, value: values.Value) -> None:
        for name, written in columns_of(value).items():
            setattr(self, name, written)


def value_of(
    enabled: bool | None,  # noqa: FBT001 - a column, as it stands in a row
    number: Decimal | None,
    texts: list[str] | None,
    *,
    unlimited: bool,
) -> values.Value:
    """The value that the four columns say."""
    if unlimited:
        return UNLIMITED
    if enabled is not None:
        return enabled
    return tuple(texts or ()) if number is None else number


def columns_of(value: values.Value) -> dict[str, Any]:
    """The four columns that say the value."""
    return {
        "enabled": value if isinstance(value, bool) else None,
        "number": value if isinstance(value, Decimal) else None,
        "texts": list(value) if isinstance(value, tuple) else None,
        "unlimited": value is UNLIMITED,
    }


@tracked()
class FeatureValue(Given):
    """What a plan version gives of a feature, to every customer that is subscribed to it."""

    version = models.ForeignKey("catalog.PlanVersion", on_delete=models.CASCADE, related_name="feature_values")
    feature = models.ForeignKey(Feature, on_delete=models.PROTECT, related_name="values")

    class Meta:
        ordering = ["feature__code"]
        triggers = [feature_triggers.VALUE_IN_DRAFT, triggers.NO_TRUNCATE]
        constraints = [
            *Given.Meta.constraints,
            models.UniqueConstraint(fields=["version", "feature"], name="feature_value_once"),
        ]

    def __str__(self) -> str:
        return f"{self.feature}: {values.words(values.Kind(self.feature.kind), self.value)}"


class FeatureRevision(models.Model):
    """One row, renewed by a trigger with every change of a feature: what is cached of them is checked by it."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    revision = models.UUIDField()

    class Meta:
        triggers = [triggers.NO_TRUNCATE]
        constraints = [models.CheckConstraint(condition=Q(id=1), name="feature_revision_single_row")]

    def __str__(self) -> str:
        return str(self.revision)
