"""How many series each meter has: a request id declared as a dimension makes one for every request."""

from dataclasses import dataclass
from datetime import datetime

from meters.database import fetch
from meters.events.exact_json import from_text
from meters.measuring.folding import Step

COUNTED_UP_TO = 200_000
# Of one customer and meter: some tenth of a second, however long ago it began.
BUCKETS_AT_MOST = 20_000

# The newest series: what grows, grows there. The end of the primary key costs the same however many there are.
_LARGEST = """
    SELECT meter.id, meter.name, counted.series, counted.customers, counted.most_customer, counted.most
    FROM (
        SELECT meter_id, sum(series)::bigint AS series, count(*) AS customers, max(series) AS most,
            (array_agg(customer ORDER BY series DESC, customer))[1] AS most_customer
        FROM (
            SELECT meter_id, customer, count(*) AS series
            FROM meters_series AS series
            JOIN meters_meter AS counting ON counting.id = series.meter_id AND counting.generation = series.generation
            WHERE series.id > (SELECT max(id) FROM meters_series) - %b
            GROUP BY meter_id, customer
        ) AS of_customer
        GROUP BY meter_id
    ) AS counted
    JOIN meters_meter AS meter ON meter.id = counted.meter_id
    ORDER BY counted.most DESC, counted.series DESC, meter.id
    LIMIT %b
"""


@dataclass(frozen=True)
class Cardinality:
    """`series` of a meter in all, of how many customers, and the customer with most of them."""

    meter: int
    name: str
    series: int
    customers: int
    most_customer: str
    most: int


def largest(limit: int) -> list[Cardinality]:
    """The meters with most series for one customer, among the latest 200,000 series of the site. One query."""
    return [Cardinality(*row) for row in fetch(_LARGEST, COUNTED_UP_TO, limit)]


# The series that are folded by the index series_once (customer, meter, generation), then their buckets by the primary
# key.
_OVER = """
    SELECT over.meter_id, meter.name, over.customer, over.since, over.allowed, over.names, over.step,
        over.example::text, counted.events, counted.buckets
    FROM (SELECT * FROM meters_overlimit ORDER BY since DESC, id DESC LIMIT %b) AS over
    JOIN meters_meter AS meter ON meter.id = over.meter_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(events), 0)::bigint AS events, count(*) AS buckets
        FROM (
            SELECT bucket.events
            FROM meters_series AS series
            JOIN meters_bucket AS bucket ON bucket.series_id = series.id
            WHERE series.customer = over.customer AND series.meter_id = over.meter_id
                AND series.generation = meter.generation AND series.dimensions @? '$.* ? (@ == "__other__")'
            LIMIT %b
        ) AS added
    ) AS counted
    ORDER BY over.since DESC, over.id DESC
"""


@dataclass(frozen=True)
class Over:
    """A customer with more combinations of a meter's values than `allowed`; see `meters.models.OverLimit`.

    `events`: how many quantities of events were counted as `__other__`; at least so many, unless they are `all` of
    them. `names`: the dimensions that were folded.
    """

    meter: int
    name: str
    customer: str
    since: datetime
    allowed: int
    names: list[str]
    step: Step
    example: dict[str, str]
    events: int
    all: bool


def over_limit(limit: int) -> list[Over]:
    """Whose combinations are counted together, the newest first. One query."""
    found = fetch(_OVER, limit, BUCKETS_AT_MOST)
    return [
        Over(meter, name, customer, since, allowed, names, Step(step), from_text(example), events, n < BUCKETS_AT_MOST)
        for meter, name, customer, since, allowed, names, step, example, events, n in found
    ]
