"""What it costs to read a month of an always busy customer: 20 series, each with 744 hours of 8 slots.

Ours: reading its usage by `meters.usage.reading`, closed days by their totals. The floor: a bare select of 31 rows of
each series by an index, from a table that holds nothing else. Printed besides: the same without day totals.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.db import connection

from billing_site.foundation.periods import Period
from meters.definitions.metering import define_meter
from meters.models import Meter
from meters.usage import day_totals
from meters.usage.reading import Window, read

SERIES = 20
HOURS, SLOTS, DAYS = 744, 8, 31
TIMES, RUNS = 50, 3
MONTH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
UNIT = f"a month of one customer, {SERIES} series, read once"

_FLOOR = "SELECT day, quantity, events FROM bench_days WHERE customer = 'acme' AND series_id = ANY(%s) AND day >= %s"


def measure(progress: Callable[[str], None]) -> list[tuple[float, float]]:
    """(floor, ours) in months per second, of each of three runs. Wants an empty, migrated database."""
    meter = define_meter(
        code="calls", name="Calls", event_type="call", aggregation="count", unit="call", dimensions=[("model", "model")]
    )
    series = _fill(meter)
    without = _ours(meter, times=5)
    progress(f"without day totals: {without:.0f} a second")
    day_totals.close(MONTH.end)
    while day_totals.work(timedelta(minutes=1)):
        pass
    _fill_floor()
    return [(_floor(series), _ours(meter)) for _ in range(RUNS)]


def _fill(meter: Meter) -> list[int]:
    """Series and buckets as ingestion leaves them, and as much of nine other customers."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO meters_series (customer, meter_id, subscription, dimensions)"
            " SELECT CASE customer WHEN 0 THEN 'acme' ELSE 'other ' || customer END, %s, '',"
            " jsonb_build_object('model', 'model-' || model)"
            " FROM generate_series(0, 9) customer, generate_series(1, %s) model",
            [meter.pk, SERIES],
        )
        cursor.execute(
            "INSERT INTO meters_bucket (series_id, hour, slot, quantity, events)"
            " SELECT id, %s::timestamptz + hour * interval '1 hour', slot, 3, 3"
            " FROM meters_series, generate_series(0, %s) hour, generate_series(0, %s) slot",
            [MONTH.start, HOURS - 1, SLOTS - 1],
        )
        cursor.execute("ANALYZE")
        cursor.execute("SELECT id FROM meters_series WHERE customer = 'acme'")
        return [row[0] for row in cursor.fetchall()]


def _fill_floor() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bench_days AS SELECT customer, series_id, day, quantity, events FROM meters_daytotal"
        )
        cursor.execute("CREATE UNIQUE INDEX ON bench_days (customer, series_id, day)")
        cursor.execute("ANALYZE")


def _ours(meter: Meter, times: int = TIMES) -> float:
    began = time.perf_counter()
    for _ in range(times):
        usages = read([Window(1, ("acme",), meter.pk, MONTH)])[1]
        assert [usage.quantity for usage in usages] == [HOURS * SLOTS * 3] * SERIES
    return times / (time.perf_counter() - began)


def _floor(series: list[int]) -> float:
    began = time.perf_counter()
    with connection.cursor() as cursor:
        for _ in range(TIMES):
            cursor.execute(_FLOOR, [series, MONTH.start])
            assert len(cursor.fetchall()) == SERIES * DAYS
    return TIMES / (time.perf_counter() - began)
