"""Series and streams get their ids once, in a short transaction of their own, before the events that need them."""

from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from django.db import transaction

from meters.database import columns, send
from meters.measuring import registry
from meters.measuring.counting import Added, Ids, SeriesKey
from meters.measuring.registry import Registry
from meters.measuring.summing import Where
from meters.usage import placing

# Forgetting costs one more query, so what is kept is simply dropped when it grows beyond this.
CACHE_LIMIT = 200_000


_series: dict[Where, dict[str, int]] = {}
_streams: set[tuple[str, str]] = set()


class _Known:
    """Where combinations are counted changes only together with the revision."""

    revision: UUID | None = None


# Uses the unique index stream_once.
_INSERT_STREAMS = """
    INSERT INTO meters_stream (customer, type) SELECT * FROM unnest(%b::text[], %b::text[]) ON CONFLICT DO NOTHING
"""


def intern(added: Added, streams: Collection[tuple[str, str]], definitions: Registry) -> Ids:
    """The id of every series, made if need be; streams are noted. No query when this process knows them already.

    Raises DefinitionsChanged when `definitions`, by which the events were read, are no longer in force.
    """
    if definitions.revision != _Known.revision:
        forget()
        _Known.revision = definitions.revision
    found: dict[Where, dict[str, int]] = {}
    unknown: list[tuple[Where, str]] = []
    for where, labels in added.labels():
        # One look-up each: another thread may forget all of it at any moment.
        known = found[where] = _series.get(where) or {}
        unknown += [(where, label) for label in labels if label not in known]
    unseen = [stream for stream in streams if stream not in _streams]
    if not unknown and not unseen:
        return found
    with transaction.atomic(durable=True):
        with registry.held(definitions):
            pass
        keys = {each: added.key(*each) for each in unknown}
        made = make(set(keys.values()), unseen)
    for (where, label), key in keys.items():
        found[where] = {**found[where], label: made[key]}
    _remember({where: found[where] for where, _ in unknown}, unseen)
    return found


def make(keys: Collection[SeriesKey], streams: Iterable[tuple[str, str]]) -> dict[SeriesKey, int]:
    """The id of the series at which each is counted, made if need be, in the caller's transaction."""
    send(_INSERT_STREAMS, *columns(sorted(streams), 2))
    return placing.place(keys)


def forget() -> None:
    """Drop what this process knows: something was deleted behind its back."""
    _series.clear()
    _streams.clear()


def _remember(series: Mapping[Where, dict[str, int]], streams: Collection[tuple[str, str]]) -> None:
    if len(_series) > CACHE_LIMIT or len(_streams) > CACHE_LIMIT:
        forget()
    _series.update(series)
    _streams.update(streams)
