"""Series and streams get their ids once, in a short transaction of their own, before the events that need them."""

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

import msgspec
from django.db import transaction

from meters import registry
from meters.counting import SeriesKey
from meters.database import columns, pipeline, rows, send

# Forgetting costs one more query, so what is kept is simply dropped when it grows beyond this.
CACHE_LIMIT = 200_000


_series: dict[SeriesKey, int] = {}
_streams: set[tuple[str, str]] = set()

# Uses the unique index stream_once.
_INSERT_STREAMS = """
    INSERT INTO meters_stream (customer, type) SELECT * FROM unnest(%b::text[], %b::text[]) ON CONFLICT DO NOTHING
"""

# Uses the unique index series_once.
_INSERT_SERIES = """
    INSERT INTO meters_series (customer, meter_id, generation, subscription, dimensions)
    SELECT customer, meter, generation, subscription, dimensions::jsonb
    FROM unnest(%b::text[], %b::bigint[], %b::int[], %b::text[], %b::text[])
        AS new (customer, meter, generation, subscription, dimensions)
    ON CONFLICT DO NOTHING
"""
_SELECT_SERIES = """
    SELECT ordinal, series.id
    FROM unnest(%b::text[], %b::bigint[], %b::int[], %b::text[], %b::text[])
        WITH ORDINALITY AS wanted (customer, meter, generation, subscription, dimensions, ordinal)
    JOIN meters_series AS series
        ON series.customer = wanted.customer
        AND series.meter_id = wanted.meter
        AND series.generation = wanted.generation
        AND series.subscription = wanted.subscription
        AND series.digest = md5(wanted.dimensions::jsonb::text)
"""


def intern(
    keys: Collection[SeriesKey], streams: Collection[tuple[str, str]], revision: UUID | None
) -> Mapping[SeriesKey, int]:
    """The id of every series, made if need be; streams are noted. No query when this process knows them already.

    Raises DefinitionsChanged when `revision`, by which the events were read, is no longer in force.
    """
    # One look-up each: another thread may forget all of it at any moment.
    found = {key: _series.get(key) for key in keys}
    known = {key: series for key, series in found.items() if series is not None}
    unknown = [key for key in found if key not in known] if len(known) < len(found) else []
    unseen = [stream for stream in streams if stream not in _streams]
    if not unknown and not unseen:
        return known
    with transaction.atomic(durable=True):
        with pipeline():
            in_force = registry.send_shared_lock()
        registry.check(in_force, revision)
        made = make(unknown, unseen)
    _remember(made, unseen)
    return {**known, **made}


def make(keys: Iterable[SeriesKey], streams: Iterable[tuple[str, str]]) -> dict[SeriesKey, int]:
    """Insert what is missing, in the caller's transaction, in one order for everybody, and read the ids back."""
    wanted = sorted(keys)
    table = [(key.customer, key.meter, key.generation, key.subscription, _json(key)) for key in wanted]
    with pipeline():
        send(_INSERT_STREAMS, *columns(sorted(streams), 2))
        send(_INSERT_SERIES, *columns(table, 5))
        found = send(_SELECT_SERIES, *columns(table, 5))
    return {wanted[ordinal - 1]: series for ordinal, series in rows(found)}


def forget() -> None:
    """Drop what this process knows: something was deleted behind its back."""
    _series.clear()
    _streams.clear()


def _remember(series: Mapping[SeriesKey, int], streams: Collection[tuple[str, str]]) -> None:
    if len(_series) > CACHE_LIMIT or len(_streams) > CACHE_LIMIT:
        forget()
    _series.update(series)
    _streams.update(streams)


def _json(key: SeriesKey) -> str:
    return msgspec.json.encode(dict(key.dimensions)).decode()
