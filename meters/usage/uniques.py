"""How many different values there are: a union over hours and series, made by the database."""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from meters.database import columns, fetch

Key = TypeVar("Key", bound=Hashable)
SeriesHours = tuple[str, int, datetime, datetime]
"""Customer and id of a series, the first hour, the end of the last."""

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


@dataclass(frozen=True)
class Wanted:
    """The values of some series, each from an hour until another; and more, read from events."""

    series: Collection[SeriesHours]
    texts: Collection[str]


def count(wanted: Mapping[Key, Wanted]) -> dict[Key, Decimal]:
    """How many different values each has. One query."""
    kept, read = [], []
    for ordinal, each in enumerate(wanted.values()):
        kept += [(ordinal, *series) for series in each.series]
        read += [(ordinal, text) for text in each.texts]
    found: dict[int, int] = dict(fetch(_COUNT, *columns(kept, 5), *columns(read, 2)))
    return {key: Decimal(found.get(ordinal, 0)) for ordinal, key in enumerate(wanted)}
