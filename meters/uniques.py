"""How many different values there are: a union over hours and series, made by the database."""

from collections.abc import Collection, Hashable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypeVar

from meters.database import columns, fetch

Key = TypeVar("Key", bound=Hashable)

# Uses the unique index value_once (customer, series, hour, value).
_COUNT = """
    SELECT ordinal, count(*)
    FROM (
        SELECT wanted.ordinal, kept.value
        FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::timestamptz[], %b::timestamptz[])
            AS wanted (ordinal, customer, series, first_hour, end_hour)
        CROSS JOIN LATERAL (
            SELECT DISTINCT value
            FROM meters_uniquevalue
            WHERE customer = wanted.customer
                AND series_id = wanted.series
                AND hour >= wanted.first_hour
                AND hour < wanted.end_hour
        ) AS kept
        UNION
        SELECT * FROM unnest(%b::bigint[], %b::text[])
    ) AS every (ordinal, value)
    GROUP BY ordinal
"""


class Source(NamedTuple):
    """The values of a series from an hour until another."""

    customer: str
    series: int
    first_hour: datetime
    end_hour: datetime


def count(wanted: Mapping[Key, tuple[Collection[Source], Collection[str]]]) -> dict[Key, Decimal]:
    """How many different values each has, of sources and of texts that were read elsewhere. One query."""
    kept, read = [], []
    for ordinal, (sources, texts) in enumerate(wanted.values()):
        kept += [(ordinal, *source) for source in sources]
        read += [(ordinal, text) for text in texts]
    found: dict[int, int] = dict(fetch(_COUNT, *columns(kept, 5), *columns(read, 2)))
    return {key: Decimal(found.get(ordinal, 0)) for ordinal, key in enumerate(wanted)}
