"""What a customer was granted beside its plans."""

from datetime import date

import pgtrigger
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now

from billing_site.foundation.history import tracked
from catalog.features.models import Feature, Given
from catalog.features.triggers import FITS_FEATURE
from catalog.features.values import Kind, words
from customers import triggers

# What a customer was promised means the same from then on: the feature is frozen, as by a published version.
OVERRIDE_FITS = pgtrigger.Trigger(
    name="override_fits",
    when=pgtrigger.Before,
    operation=pgtrigger.Insert,
    declare=[("feature", "RECORD")],
    func=f"""
        UPDATE catalog_feature SET frozen_at = now() WHERE id = NEW.feature_id AND frozen_at IS NULL;
        {FITS_FEATURE}
        RETURN NEW;
    """,  # noqa: S608 - no input reaches it
)

OVERRIDE_ENDS_ONLY = pgtrigger.Trigger(
    name="override_ends_only",
    when=pgtrigger.Before,
    operation=pgtrigger.Update | pgtrigger.Delete,
    func="""
        IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - 'ends_on' = to_jsonb(NEW) - 'ends_on'
            AND NEW.ends_on IS NOT NULL AND NEW.ends_on <= coalesce(OLD.ends_on, 'infinity')
        THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'What a customer was granted is kept: end it, and grant something else.'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'override_ends_only';
    """,
)


def _only(column: str) -> Func:
    """btree_gist is not everywhere: an id becomes a range of one, which plain gist can compare."""
    return Func(F(column), F(column), models.Value("[]"), function="int8range")


@tracked()
class EntitlementOverride(Given):
    """A value of a feature for one customer, whatever its plans give, on the days of its calendar [starts_on, ends_on).

    It is ended, never edited; one that ended on the day on which it began never counted.
    """

    customer = models.ForeignKey("customers.Customer", on_delete=models.PROTECT, related_name="overrides")
    feature = models.ForeignKey(Feature, on_delete=models.PROTECT, related_name="overrides")
    starts_on = models.DateField(help_text="The first day, in the customer's timezone.")
    ends_on = models.DateField(null=True, blank=True, help_text="The day after the last. Empty: no end.")
    reason = models.TextField(help_text="Why, for whoever asks later: the contract, the ticket, the promise.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "override"
        ordering = ["-starts_on", "-id"]
        triggers = [OVERRIDE_FITS, OVERRIDE_ENDS_ONLY, triggers.NO_TRUNCATE]
        constraints = [
            *Given.Meta.constraints,
            models.CheckConstraint(condition=~Q(reason=""), name="override_has_a_reason"),
            models.CheckConstraint(
                condition=Q(ends_on=None) | Q(ends_on__gte=F("starts_on")), name="override_ends_after_start"
            ),
            ExclusionConstraint(
                name="override_no_overlap",
                expressions=[
                    (_only("customer_id"), RangeOperators.OVERLAPS),
                    (_only("feature_id"), RangeOperators.OVERLAPS),
                    (Func(F("starts_on"), F("ends_on"), function="daterange"), RangeOperators.OVERLAPS),
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.feature}: {self.value_words}"

    @property
    def value_words(self) -> str:
        """For people. Reads its feature, and the feature's meter."""
        unit = self.feature.meter.unit if self.feature.meter else ""
        return words(Kind(self.feature.kind), self.value, unit)

    def state_on(self, day: date) -> str:
        """scheduled, active or ended, on a day of the customer's."""
        if self.ends_on is not None and self.ends_on <= max(day, self.starts_on):
            return "ended"
        return "scheduled" if day < self.starts_on else "active"
