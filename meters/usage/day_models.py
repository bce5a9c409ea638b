"""Usage by day, and until when it is added up."""

from django.db import models
from django.db.models import F, Q

from meters import triggers


class DayTotal(models.Model):
    """Usage of a series in one UTC day: a cache of its buckets, merged as the meter aggregates; NULL as a bucket's is.

    `stale`: usage of the day changed since, and its buckets are read until it is added up anew. A day that is built
    (`DayClosing`) and has no row has no usage.
    """

    customer = models.CharField(max_length=255, db_collation="C")
    # No constraint in the database: what goes with a series is its buckets, and a day without any goes after them.
    series = models.ForeignKey(
        "meters.Series", on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    day = models.DateTimeField()
    # Wider than a bucket's: what fits the hours of a day fits the day.
    quantity = models.DecimalField(max_digits=50, decimal_places=12, null=True)
    events = models.BigIntegerField()
    stale = models.BooleanField()

    class Meta:
        triggers = [triggers.NO_TRUNCATE]
        constraints = [models.UniqueConstraint(fields=["customer", "series", "day"], name="day_total_once")]
        indexes = [models.Index(fields=["customer", "series", "day"], condition=Q(stale=True), name="day_total_stale")]

    def __str__(self) -> str:
        return f"{self.series_id} · {self.day:%Y-%m-%d}"


class DayClosing(models.Model):
    """One row: how far days are closed, and how far they are added up.

    Whoever changes buckets of a day before `closed_until` marks its total stale. Days before `built_until` are read by
    their totals. Between the two, the series up to the id `built_series` are added up. NULL: no day yet.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    closed_until = models.DateTimeField(null=True)
    built_until = models.DateTimeField(null=True)
    built_series = models.BigIntegerField(default=0)

    class Meta:
        triggers = [triggers.NO_TRUNCATE]
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="day_closing_single_row"),
            models.CheckConstraint(
                condition=Q(built_until=None) | Q(built_until__lte=F("closed_until"), closed_until__isnull=False),
                name="day_closing_builds_closed_days",
            ),
        ]

    def __str__(self) -> str:
        return f"closed until {self.closed_until}, built until {self.built_until}"
