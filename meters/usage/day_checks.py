"""Day totals are a cache of buckets: prove it, or make it so again."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from meters.database import fetch
from meters.events.exact_json import from_text
from meters.measuring import registry
from meters.measuring.aggregation import Hourly
from meters.measuring.counting import SeriesKey, Tally
from meters.models import Meter
from meters.usage import stale_days

# One statement, so one snapshot: nobody is held back. It reads all the meter's buckets by their primary key; what is
# left of earlier generations is read by nobody, and is being cleared away.
_DIFFERENCES = """
    WITH built AS MATERIALIZED (SELECT built_until FROM meters_dayclosing),
    whole AS (
        SELECT series.id AS series_id, date_trunc('day', bucket.hour, 'UTC') AS day,
            {merged}(bucket.quantity) AS quantity, sum(bucket.events)::bigint AS events
        FROM meters_series AS series
        JOIN meters_bucket AS bucket ON bucket.series_id = series.id
        WHERE series.meter_id = %b AND series.generation = %b AND bucket.hour < (SELECT built_until FROM built)
        GROUP BY 1, 2
    ), total AS (
        SELECT series.id AS series_id, total.day, total.quantity, total.events, total.stale
        FROM meters_series AS series
        JOIN meters_daytotal AS total ON total.customer = series.customer AND total.series_id = series.id
        WHERE series.meter_id = %b AND series.generation = %b AND total.day < (SELECT built_until FROM built)
    )
    SELECT series.id, series.customer, series.subscription, series.dimensions::text, day,
        total.quantity, coalesce(total.events, 0), whole.quantity, coalesce(whole.events, 0)
    FROM whole FULL JOIN total USING (series_id, day)
    JOIN meters_series AS series ON series.id = series_id
    WHERE total.stale IS NOT TRUE
        AND (total.quantity, coalesce(total.events, 0)) IS DISTINCT FROM (whole.quantity, coalesce(whole.events, 0))
    ORDER BY series.customer, series.id, day
"""


@dataclass(frozen=True)
class DayDifference:
    """A UTC day of a series (of id `series_id`) whose total is read and says other than its buckets."""

    series_id: int
    series: SeriesKey
    day: datetime
    total: Tally
    buckets: Tally


def differences(meter: Meter) -> list[DayDifference]:
    """The meter's days whose totals are not what their buckets come to, by customer, series and day. One query more."""
    definition = registry.definition(meter)
    merged, mine = definition.aggregation.hourly or Hourly.SUM, (definition.id, definition.generation)
    return [
        DayDifference(
            row[0],
            SeriesKey(row[1], definition.id, row[2], tuple(sorted(from_text(row[3]).items())), definition.generation),
            row[4],
            Tally(*row[5:7]),
            Tally(*row[7:9]),
        )
        for row in fetch(_DIFFERENCES.format(merged=merged), *mine, *mine)
    ]


def mark_differences(meter: Meter) -> list[DayDifference]:
    """Have those days read by their buckets at once, and added up anew; what was wrong is returned."""
    with transaction.atomic():
        registry.lock_shared()
        found = differences(meter)
        stale_days.mark((each.series.customer, each.series_id, each.day) for each in found)
    return found
