"""Usage by hour, as an operator looks at it."""

from django.db import models


class UsageHour(models.Model):
    """Usage of a series in one UTC hour: its buckets, merged as its meter aggregates. A view of the database.

    Only what is counted now, as whoever prices usage reads it: no series of an earlier generation, no hour whose events
    are all gone. `id` is made of the series' id and the hour.

    Quick by customer, meter or series, the newest series first: the view goes from series to their buckets. What asks
    for an id reads everything there is.
    """

    id = models.TextField(primary_key=True)
    series = models.ForeignKey("meters.Series", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    customer = models.CharField(max_length=255)
    meter = models.ForeignKey("meters.Meter", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    subscription = models.CharField(max_length=255)
    dimensions = models.JSONField()
    hour = models.DateTimeField()
    quantity = models.DecimalField(max_digits=50, decimal_places=12, null=True)
    events = models.BigIntegerField("values")

    class Meta:
        managed = False
        default_permissions = ()  # who may see buckets may see this
        verbose_name = "usage of an hour"
        verbose_name_plural = "usage by hour"
        constraints = [models.UniqueConstraint(fields=["series", "hour"], name="usage_hour_once")]

    def __str__(self) -> str:
        return f"{self.customer} · {self.hour:%Y-%m-%d %H}h"
