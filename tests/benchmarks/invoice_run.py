"""What an invoice run costs: 2,000 subscriptions of 2,000 customers, 10 lines each, by the product's own verbs.

Ours: planning and working all chunks, one after the other, in one process: drafts, usage, prices, lines, numbers.
The floor: one grouped query for the same usage, read to the end, plus binary COPY of as many lines, from a buffer made
before, into a table of the same columns and indexes. Each of three runs bills the next month of the same subscriptions.
"""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction

from billing_site.foundation.periods import midnight
from catalog.models import PlanVersion, Product
from catalog.versions.publishing import add_usage_charge, create_plan, draft_version, publish
from customers.subscriptions.subscribing import create_customer, subscribe
from invoicing import chunks, closing, planning
from invoicing.models import Invoice, Line
from meters.definitions.metering import define_meter
from meters.models import Meter

SUBSCRIPTIONS = 2_000
COMBINATIONS = 10
BUSY_HOURS = 12
MONTHS = (date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1))
END = date(2024, 4, 1)
UNIT = f"one finalized invoice of {COMBINATIONS} lines"


def measure(progress: Callable[[str], None]) -> list[tuple[float, float]]:
    """(floor, ours) in invoices per second, of each of three runs. Wants an empty, migrated database."""
    progress(f"making {SUBSCRIPTIONS:,} subscriptions and their usage of {len(MONTHS)} months")
    _prepare()
    return [(_floor(start, end), _ours(end)) for start, end in zip(MONTHS, (*MONTHS[1:], END), strict=True)]


def _prepare() -> None:
    meter = define_meter(
        code="llm_tokens",
        name="LLM tokens",
        event_type="llm.request",
        aggregation="sum",
        unit="token",
        values=[("input", "input"), ("output", "output")],
        label_dimension="token_type",
        dimensions=[("model", "model")],
    )
    version = _version(meter)
    with transaction.atomic():
        for number in range(SUBSCRIPTIONS):
            customer = create_customer(reference=f"customer-{number:05}", name=f"Customer {number}")
            subscribe(customer=customer, version=version, starts_on=MONTHS[0])
    _fill(meter)


def _version(meter: Meter) -> PlanVersion:
    product = Product.objects.create(code="api", name="API")
    version = draft_version(
        create_plan(code="bench", name="Bench"), currency="USD", interval="month", grace=timedelta(0)
    )
    rows = [
        ({"model": f"model-{number}", "token_type": kind}, Decimal("0.00001") * (number + 1))
        for number in range(COMBINATIONS // 2)
        for kind in ("input", "output")
    ]
    add_usage_charge(version, code="tokens", name="Tokens", product=product, meter=meter, rows=rows, unmatched="hold")
    return publish(version)


def _fill(meter: Meter) -> None:
    """Series and buckets as ingestion leaves them: every combination busy in some hours of each month."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO meters_series (customer, meter_id, subscription, dimensions)
            SELECT 'customer-' || lpad(customer::text, 5, '0'), %s, '',
                   jsonb_build_object('model', 'model-' || model, 'token_type', kind)
              FROM generate_series(0, %s) customer, generate_series(0, %s) model, unnest(ARRAY['input', 'output']) kind
            """,
            [meter.pk, SUBSCRIPTIONS - 1, COMBINATIONS // 2 - 1],
        )
        cursor.execute(
            """
            INSERT INTO meters_bucket (series_id, hour, slot, quantity, events)
            SELECT series.id, month + make_interval(hours => busy * 61 + (series.id %% 7)::int), 0,
                   1000 + series.id %% 977 + busy, 3
              FROM meters_series series, unnest(%s::timestamptz[]) month, generate_series(0, %s) busy
            """,
            [[midnight(month, "UTC") for month in MONTHS], BUSY_HOURS - 1],
        )
        cursor.execute("ANALYZE")


def _ours(end: date) -> float:
    began = time.perf_counter()
    planning.plan(midnight(end, "UTC"))
    for chunk in chunks.takeable():
        assert closing.work(chunk, "benchmark")
    seconds = time.perf_counter() - began
    made = Invoice.objects.filter(period_end=midnight(end, "UTC"), status="finalized").count()
    lines = Line.objects.filter(invoice__period_end=midnight(end, "UTC")).count()
    assert (made, lines) == (SUBSCRIPTIONS, SUBSCRIPTIONS * COMBINATIONS)
    return SUBSCRIPTIONS / seconds


_USAGE = """
SELECT series.customer, series.dimensions, sum(bucket.quantity), sum(bucket.events)
  FROM meters_series series
  JOIN meters_bucket bucket ON bucket.series_id = series.id
 WHERE bucket.hour >= %s AND bucket.hour < %s
 GROUP BY series.id
"""
_COLUMNS = (
    "invoice_id, position, kind, charge_id, product_id, description, dimensions, quantity, unit, unit_price, amount, "
    "service_start, service_end, explanation"
)


def _floor(start: date, end: date) -> float:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_line")
        cursor.execute("CREATE TABLE bench_line (LIKE invoicing_line INCLUDING ALL)")
        buffer = _buffer(start)
        began = time.perf_counter()
        cursor.execute(_USAGE, [midnight(start, "UTC"), midnight(end, "UTC")])
        assert len(cursor.fetchall()) == SUBSCRIPTIONS * COMBINATIONS
        with cursor.copy(f"COPY bench_line ({_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(buffer)
        return SUBSCRIPTIONS / (time.perf_counter() - began)


def _buffer(start: date) -> bytes:
    """As many lines as a run writes, as binary COPY wants them: made by PostgreSQL itself."""
    service = datetime(start.year, start.month, start.day, tzinfo=UTC)
    with (
        connection.cursor() as cursor,
        cursor.copy(
            f"""
        COPY (
          SELECT invoice::bigint, position::int, 'usage'::varchar, 1::bigint, 1::bigint,
                 'Tokens · model-' || position || ' · input',
                 '{{"model": "model-1", "token_type": "input"}}'::jsonb, 12345.000000000000::numeric, 'token'::varchar,
                 0.00001::numeric, 0.1200::numeric, '{service.isoformat()}'::timestamptz,
                 '{service.isoformat()}'::timestamptz,
                 '{{"row": {{"id": 1, "match": {{"model": "model-1", "token_type": "input"}}}}, "steps":
                   ["12,345 token × 0.00001 = 0.12345", "rounded to 0.12"], "charge": "tokens",
                   "version": "Bench v1", "version_id": 1}}'::jsonb
            FROM generate_series(1, {SUBSCRIPTIONS}) invoice, generate_series(1, {COMBINATIONS}) position
        ) TO STDOUT (FORMAT BINARY)
        """
        ) as copy,
    ):
        return b"".join(bytes(part) for part in copy)
