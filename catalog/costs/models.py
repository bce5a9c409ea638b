"""What the providers of models charge for them: append-only, from which hour on it holds, and when it was known."""

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Concat, Lower, Now

from catalog.costs import triggers
from catalog.pricing.model_costs import Action, CostRow, Hours, Source
from catalog.pricing.model_names import MAX_NAME, ModelName

MAX_PROVIDER = 60
MAX_MODEL = 200
PROVIDER = RegexValidator(
    r"^[a-z0-9][a-z0-9_.-]*$",
    "Write a provider in lower-case letters, digits, “_”, “.” and “-”, beginning with a letter or digit.",
)


class ProviderModel(models.Model):
    """A model as a provider offers it, by the provider's own id. It stays, also when nobody offers it any more."""

    provider = models.CharField(max_length=MAX_PROVIDER, db_collation="C", validators=[PROVIDER])
    model = models.CharField(max_length=MAX_MODEL, db_collation="C")
    name = models.GeneratedField(
        expression=Concat("provider", models.Value("/"), "model"),
        output_field=models.CharField(max_length=MAX_PROVIDER + 1 + MAX_MODEL, db_collation="C"),
        db_persist=True,
        unique=True,
    )
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "model cost"
        ordering = ["name"]
        triggers = [triggers.RECORDED_AT, triggers.APPEND_ONLY, triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(Lower("name"), name="provider_model_once"),
            models.CheckConstraint(condition=Q(provider__regex=r"^[a-z0-9][a-z0-9_.-]*$"), name="provider_is_a_code"),
            models.CheckConstraint(condition=~Q(model=""), name="provider_model_has_id"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"

    @property
    def key(self) -> ModelName:
        return ModelName(self.provider, self.model)


ON_THE_HOUR = Func(
    F("effective_from"),
    template="(mod(extract(epoch from %(expressions)s), 3600) = 0)",
    output_field=models.BooleanField(),
)


class ModelCost(models.Model):
    """What one unit of a token type costs from an hour on, until a later row of the same series takes over.

    A series is one token type, above one size of input, at certain hours of the UTC day or all day, by one source. Its
    rules are in `catalog/pricing/model_costs.py`.
    """

    model = models.ForeignKey(ProviderModel, on_delete=models.PROTECT, related_name="costs", db_index=False)
    token_type = models.CharField(max_length=40, db_collation="C")
    above = models.PositiveIntegerField(default=0)
    hours_start = models.PositiveSmallIntegerField(null=True)
    hours_end = models.PositiveSmallIntegerField(null=True)
    source = models.CharField(max_length=10, choices=[(each.value, each.value) for each in Source])
    action = models.CharField(max_length=10, choices=[(each.value, each.value) for each in Action])
    cost = models.DecimalField(max_digits=30, decimal_places=15, null=True, validators=[MinValueValidator(0)])
    effective_from = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    recorded_by = models.CharField(max_length=200)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = "recorded cost"
        ordering = ["id"]
        triggers = [triggers.RECORDED_AT, triggers.APPEND_ONLY, triggers.NO_TRUNCATE]
        indexes = [models.Index(fields=["model", "effective_from"], name="model_cost_by_model")]
        constraints = [
            models.CheckConstraint(
                condition=Q(action="costs", cost__isnull=False, cost__gte=0)
                | Q(action="ends", cost=None)
                # What the package says is not taken back: it says something else.
                | Q(action="withdrawn", cost=None, source="own"),
                name="model_cost_fits_action",
            ),
            models.CheckConstraint(condition=Q(source__in=["own", "package"]), name="model_cost_source_is_known"),
            models.CheckConstraint(condition=Q(ON_THE_HOUR), name="model_cost_from_a_full_hour"),
            models.CheckConstraint(
                condition=Q(hours_start=None, hours_end=None)
                | Q(hours_start__isnull=False, hours_end__isnull=False, hours_start__lt=24, hours_end__lt=24)
                & ~Q(hours_start=F("hours_end")),
                name="model_cost_hours_of_a_day",
            ),
            models.CheckConstraint(
                condition=Q(("token_type__regex", r"^[a-z][a-z0-9_]*$")), name="model_cost_type_is_a_code"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.token_type} · {self.effective_from:%Y-%m-%d %H:%M}"

    @property
    def row(self) -> CostRow:
        return CostRow(
            id=self.pk,
            token_type=self.token_type,
            above=self.above,
            hours=None
            if self.hours_start is None or self.hours_end is None
            else Hours(self.hours_start, self.hours_end),
            source=Source(self.source),
            action=Action(self.action),
            cost=self.cost,
            effective_from=self.effective_from,
            recorded_at=self.recorded_at,
        )


class ModelAlias(models.Model):
    """A further name, in lower case, by which events name a model. Its last row holds; one without a model ends it."""

    alias = models.CharField(max_length=MAX_NAME, db_collation="C")
    model = models.ForeignKey(ProviderModel, on_delete=models.PROTECT, null=True, related_name="aliases")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    recorded_by = models.CharField(max_length=200)

    class Meta:
        triggers = [triggers.RECORDED_AT, triggers.APPEND_ONLY, triggers.NO_TRUNCATE]
        constraints = [
            models.CheckConstraint(condition=Q(alias=Lower("alias")) & ~Q(alias=""), name="model_alias_in_lower_case")
        ]

    def __str__(self) -> str:
        return self.alias


class CostReading(models.Model):
    """One reading of the package's data. `names`: its providers, models and rules of matching, if they had changed."""

    class Outcome(models.TextChoices):
        CHANGED = "changed", "Something was new"
        SAME = "same", "Nothing was new"
        AWAY = "away", "The network was away"
        REFUSED = "refused", "It could not be read"

    origin = models.CharField(max_length=200, help_text="The package and its version, or the address asked.")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    problem = models.TextField(blank=True)
    models_stated = models.PositiveIntegerField(default=0)
    costs_recorded = models.PositiveIntegerField(default=0)
    names = models.JSONField(null=True)
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers = [triggers.RECORDED_AT, triggers.APPEND_ONLY, triggers.NO_TRUNCATE]
        indexes = [models.Index(fields=["recorded_at"], condition=Q(names__isnull=False), name="reading_with_names")]

    def __str__(self) -> str:
        return f"{self.origin} · {self.get_outcome_display()}"


class CostClock(models.Model):
    """When something was recorded last. One row, which every transaction that records holds until it ends."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last = models.DateTimeField()

    class Meta:
        triggers = [triggers.CLOCK_GOES_ON, triggers.NO_TRUNCATE]
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_cost_clock")]

    def __str__(self) -> str:
        return f"{self.last}"
