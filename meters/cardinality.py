"""How many series each meter has: a request id declared as a dimension makes one for every request."""

from dataclasses import dataclass

from meters.database import fetch

COUNTED_UP_TO = 200_000

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
