"""What a charge costs, as it is stored: the rows of its matrix, and price lists in further currencies."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import MD5, Cast, Coalesce
from django.db.models.lookups import Exact

from billing_site.foundation.history import tracked
from catalog import triggers
from catalog.pricing.price import Model


def sum_of_money(help_text: str) -> Any:
    """An amount that is optional, in the currency of the version or of its price list."""
    return models.DecimalField(
        max_digits=19, decimal_places=4, null=True, blank=True, validators=[MinValueValidator(0)], help_text=help_text
    )


def price_field(**options: Any) -> Any:
    return models.DecimalField(max_digits=30, decimal_places=15, validators=[MinValueValidator(0)], **options)


def quantity_field(**options: Any) -> Any:
    return models.DecimalField(max_digits=38, decimal_places=12, validators=[MinValueValidator(0)], **options)


@tracked()
class PriceList(models.Model):
    """The same charges in another currency than the version's own: its amounts, and its rows.

    A customer is billed by the list of its currency; the version's own currency needs none.
    """

    version = models.ForeignKey("catalog.PlanVersion", on_delete=models.CASCADE, related_name="price_lists")
    currency = models.CharField(max_length=3, help_text="Three letters, for example EUR.")
    minimum = sum_of_money("The least that all usage of a full period comes to, in this currency.")
    cap = sum_of_money("The most that all usage of a full period comes to, in this currency.")
    credit_price = price_field(null=True, blank=True, help_text="What one credit costs in this currency.")

    class Meta:
        ordering = ["currency"]
        triggers = [triggers.LIST_IN_DRAFT, triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(fields=["version", "currency"], name="price_list_once"),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="price_list_currency_is_a_code"),
            models.CheckConstraint(
                condition=(Q(minimum=None) | Q(minimum__gte=0))
                & (Q(cap=None) | Q(cap__gte=0))
                & (Q(minimum=None) | Q(cap=None) | Q(minimum__lte=F("cap")))
                & (Q(credit_price=None) | Q(credit_price__gte=0)),
                name="price_list_minimum_within_cap",
                violation_error_message="The minimum is above the cap.",
            ),
        ]

    def __str__(self) -> str:
        return self.currency


@tracked()
class ChargeAmount(models.Model):
    """The fee, minimum and cap of a charge in a further currency."""

    charge = models.ForeignKey("catalog.Charge", on_delete=models.CASCADE, related_name="amounts")
    price_list = models.ForeignKey(PriceList, on_delete=models.CASCADE, related_name="amounts")
    amount = sum_of_money("The flat fee of one full period, in this currency.")
    minimum = sum_of_money("The least that this charge comes to in a full period.")
    cap = sum_of_money("The most that this charge comes to in a full period.")

    class Meta:
        ordering = ["price_list", "id"]
        triggers = [triggers.AMOUNT_IN_DRAFT, triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(fields=["charge", "price_list"], name="charge_amount_once"),
            models.CheckConstraint(
                condition=(Q(amount=None) | Q(amount__gte=0))
                & (Q(minimum=None) | Q(minimum__gte=0))
                & (Q(cap=None) | Q(cap__gte=0))
                & (Q(minimum=None) | Q(cap=None) | Q(minimum__lte=F("cap"))),
                name="charge_amount_minimum_within_cap",
                violation_error_message="The minimum is above the cap.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.charge} in {self.price_list}"


IS_OBJECT = Exact(Func("match", function="jsonb_typeof", output_field=models.TextField()), "object")
# `*` is written by leaving the dimension out: two ways to say it would be two rows of equal keys.
HAS_UNFIT_VALUE = Func(
    "match",
    Value('strict $.* ? (@.type() != "string" || @ == "*")'),
    function="jsonb_path_exists",
    template="%(function)s(%(expressions)s::jsonpath)",
    output_field=models.BooleanField(),
)
TIERED = Q(model__in=[Model.GRADUATED, Model.VOLUME, Model.STAIRSTEP])
PRICE_FITS_MODEL = (
    Q(model=Model.PER_UNIT, unit_price__isnull=False, size=None, percent=None)
    | Q(model=Model.FLAT, unit_price__isnull=False, size=None, percent=None)
    | Q(model=Model.PACKAGE, unit_price__isnull=False, size__gt=0, percent=None)
    | Q(model=Model.PERCENTAGE, unit_price=None, size=None, percent__gte=0)
    | Q(model=Model.COST_PLUS, unit_price=None, size=None, percent__gte=-100)
    | TIERED & Q(unit_price=None, size=None, percent=None)
)
TIERS_FIT_MODEL = (TIERED & Q(unit_prices__len__gt=0)) | (~TIERED & Q(unit_prices=[]))
PRICE_NOT_NEGATIVE = (Q(unit_price=None) | Q(unit_price__gte=0)) & Q(free__gte=0, fixed__gte=0, free_events__gte=0)


class PriceColumns(models.Model):
    """A price, wherever one is stored: a row of a matrix, a negotiated row.

    A price is one value, so all of it stands in the row; `catalog.pricing.price.Price` says which fields a model uses.
    Tiers stand in arrays of equal length, but for `bounds`, which is one shorter: the last tier is open. `packages`
    holds NULL for a tier that is priced by the unit.
    """

    model = models.CharField(
        max_length=12, choices=[(each.value, each.label) for each in Model], default=Model.PER_UNIT.value
    )
    unit_price = price_field(null=True, blank=True)
    size = quantity_field(null=True, blank=True)
    free = quantity_field(default=0)
    percent = models.DecimalField(max_digits=30, decimal_places=15, null=True, blank=True)
    fixed = price_field(default=0)
    free_events = models.PositiveBigIntegerField(default=0)
    bounds = ArrayField(quantity_field(), default=list, blank=True)
    unit_prices = ArrayField(price_field(), default=list, blank=True)
    flat_prices = ArrayField(price_field(), default=list, blank=True)
    packages = ArrayField(quantity_field(null=True), default=list, blank=True)
    flat_at_zero = models.BooleanField(default=True)

    class Meta:
        abstract = True


@tracked()
class Cell(PriceColumns):
    """A row of a charge's price matrix: an exact value, or any, for every dimension of the meter; and its price.

    `match` holds the exact values as text; a dimension that is absent from it matches anything, a missing value too.
    """

    charge = models.ForeignKey("catalog.Charge", on_delete=models.CASCADE, related_name="cells")
    price_list = models.ForeignKey(
        PriceList,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="cells",
        help_text="Empty: the version's own currency.",
    )
    position = models.PositiveIntegerField(default=0)
    match = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = "row"
        ordering = ["position", "id"]
        triggers = [triggers.CELL_IN_DRAFT, triggers.CELL_TIERS_IN_ORDER, triggers.NO_TRUNCATE]
        constraints = [
            models.UniqueConstraint(
                F("charge"),
                Coalesce("price_list", 0),
                MD5(Cast("match", models.TextField())),
                name="cell_match_once",
                violation_error_message="Two rows have the same values: keep one of them.",
            ),
            models.CheckConstraint(
                condition=Q(IS_OBJECT) & ~Q(match__has_key="") & ~Q(HAS_UNFIT_VALUE),
                name="cell_match_is_names_and_texts",
                violation_error_message="A row names dimensions and their values as text.",
            ),
            models.CheckConstraint(
                condition=PRICE_FITS_MODEL,
                name="cell_price_fits_model",
                violation_error_message="The price does not fit its model.",
            ),
            models.CheckConstraint(
                condition=TIERS_FIT_MODEL,
                name="cell_tiers_fit_model",
                violation_error_message="Tiers belong to tiered prices, and those have one at least.",
            ),
            models.CheckConstraint(condition=PRICE_NOT_NEGATIVE, name="cell_unit_price_not_negative"),
        ]

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.match.items()) or "*"
