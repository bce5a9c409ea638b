"""Series and streams get their ids once, in a short transaction of their own, before the events that need them."""

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from django.db import transaction

from meters import placing, registry
from meters.counting import SeriesKey
from meters.database import columns, pipeline, send

# Forgetting costs one more query, so what is kept is simply dropped when it grows beyond this.
CACHE_LIMIT = 200_000


_series: dict[SeriesKey, int] = {}
_streams: set[tuple[str, str]] = set()


class _Known:
    """Where combinations are counted changes only together with the revision."""

    revision: UUID | None = None


# Uses the unique index stream_once.
_INSERT_STREAMS = """
    INSERT INTO meters_stream (customer, type) SELECT * FROM unnest(%b::text[], %b::text[]) ON CONFLICT DO NOTHING
"""


def intern(
    keys: Collection[SeriesKey], streams: Collection[tuple[str, str]], revision: UUID | None
) -> Mapping[SeriesKey, int]:
    """The id of every series, made if need be; streams are noted. No query when this process knows them already.

    Raises DefinitionsChanged when `revision`, by which the events were read, is no longer in force.
    """
    if revision != _Known.revision:
        forget()
        _Known.revision = revision
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


def make(keys: Collection[SeriesKey], streams: Iterable[tuple[str, str]]) -> dict[SeriesKey, int]:
    """The id of the series at which each is counted, made if need be, in the caller's transaction."""
    send(_INSERT_STREAMS, *columns(sorted(streams), 2))
    return placing.place(keys)


def forget() -> None:
    """Drop what this process knows: something was deleted behind its back."""
    _series.clear()
    _streams.clear()


def _remember(series: Mapping[SeriesKey, int], streams: Collection[tuple[str, str]]) -> None:
    if len(_series) > CACHE_LIMIT or len(_streams) > CACHE_LIMIT:
        forget()
    _series.update(series)
    _streams.update(streams)
