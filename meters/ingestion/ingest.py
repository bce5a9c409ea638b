"""Events in: stored, deduplicated and counted in one transaction. The only writer of events.

A batch is first stored as if all of it were new, which it nearly always is: in the order received, and counted before.
The unique index refuses it as a whole when an event is there already; then it is stored again with care, event by
event, and so is the next one at once: duplicates seldom come alone.

Locks are taken in one order by everybody: the definitions (shared), events, with care by (customer, reference), then,
at the end, buckets by (customer, series, hour), the totals of closed days by (customer, series, day), and the different
values. Only a batch stored as new and another one with some of the same events in another order may lock each other
out; the one that the database ends is tried again with care.
"""

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import IntegrityError, OperationalError, transaction

from meters.database import send_commit
from meters.events.decoding import Batch, Rejected
from meters.ingestion import combining, event_rows
from meters.ingestion.additions import add, lay_out, send_additions
from meters.ingestion.storing import copy_all, send_all, store_all, store_new
from meters.measuring import registry
from meters.measuring.counting import Added, Ids, add_up
from meters.measuring.preparing import Prepared, merge, prepare
from meters.measuring.registry import Registry
from meters.measuring.summing import Where
from meters.usage import interning

ATTEMPTS = 8
# Batches of at most so many events share a transaction, of at most so many together. Larger ones win nothing by it:
# merging what they count costs as much as it saves, and side by side they keep the server busy. So many events are also
# stored and counted in one pipeline: COPY, which takes less for each, is a round trip more.
SMALL = 50
MOST_TOGETHER = 500
_DEADLOCK, _SERIALIZATION = "40P01", "40001"
_FOREIGN_KEY = "23503"  # a meter and its series were deleted meanwhile
_UNIQUE = "23505"


@dataclass(frozen=True)
class Outcome:
    """What became of a batch: accepted + duplicates + rejected = its items."""

    accepted: int
    duplicates: int
    rejected: list[Rejected]


Note = Callable[[Outcome], None]
Stored = Mapping[tuple[str, str], int] | None
"""The (customer, reference) of events that were not there, with their ids; None: all, whose ids do not matter."""


class _Expected:
    """Whether the last batch of this process that was stored with care had duplicates: who sends again goes on so."""

    duplicates = False


@dataclass(frozen=True)
class _Ready:
    """A batch that was read by `definitions`, and the ids of its series."""

    prepared: Prepared
    ids: Ids
    definitions: Registry


def accept(batch: Batch, note: Note | None = None) -> Outcome:
    """Store and count a batch, each (customer, reference) once for ever; on return it is committed.

    `note` writes down what became of it in the same transaction; it is called again when that is tried again. Without
    it, small batches that come at the same time to threads of a process share one transaction, whose failure is none of
    theirs: each is then tried by itself.

    Raises Django's OperationalError or InterfaceError when the database is away or too busy: then the same batch may be
    sent again, whatever became of it.
    """
    if not batch.events:
        return _nothing(batch, note)
    carefully = False
    together = note is None and len(batch.events) <= SMALL
    for attempt in range(1, ATTEMPTS + 1):
        try:
            ready = _read(batch, registry.cached())
            if together:
                together = False
                return _together(ready, len(batch.events))
            return _outcome(ready.prepared, _store(ready, note, carefully=carefully))
        except combining.Apart:
            continue
        except registry.DefinitionsChanged:
            registry.load()
        except (OperationalError, IntegrityError) as error:
            carefully = _try_again(error, attempt, carefully=carefully)
    raise OperationalError("The meters were changed again and again while the events were counted.")


def _nothing(batch: Batch, note: Note | None) -> Outcome:
    outcome = Outcome(0, 0, batch.rejected)
    if note is not None:
        with transaction.atomic(durable=True):
            note(outcome)
    return outcome


def _read(batch: Batch, definitions: Registry) -> _Ready:
    prepared = prepare(batch, definitions.by_type)
    ids = interning.intern(prepared.added, prepared.streams(), definitions)
    return _Ready(prepared, ids, definitions)


def _store(ready: _Ready, note: Note | None, *, carefully: bool) -> Stored:
    """Store, and count what was new, in one transaction."""
    prepared, definitions = ready.prepared, ready.definitions
    carefully = carefully or _Expected.duplicates
    if not carefully and not prepared.added.keeps_points():
        _store_as_laid_out(ready, note)
        return None
    with transaction.atomic(durable=True):
        stored = (store_new if carefully else store_all)(prepared.events, definitions)
        if note is not None:
            note(_outcome(prepared, stored))
        counted = _of_stored(prepared, stored, definitions).counted(ready.ids, stored)
        add(lay_out(counted), definitions.closed_until, commit=note is None)
    if carefully:
        _Expected.duplicates = len(stored) < len(prepared.events)
    return stored


def _store_as_laid_out(ready: _Ready, note: Note | None) -> None:
    """All events are taken to be new, so what they are and add is made beforehand: locks are held for less."""
    events, definitions = ready.prepared.events, ready.definitions
    additions = lay_out(ready.prepared.added.counted(ready.ids, {}))
    if note is None and len(events) <= SMALL:
        with transaction.atomic(durable=True), registry.held(definitions):
            send_all(events)
            send_additions(additions, definitions.closed_until)
            send_commit()
        return
    rows = event_rows.rows(events)
    with transaction.atomic(durable=True):
        with registry.held(definitions):
            pass
        copy_all(rows)
        if note is not None:
            note(_outcome(ready.prepared, None))
        add(additions, definitions.closed_until, commit=note is None)


def _outcome(prepared: Prepared, stored: Stored, others: int = 0) -> Outcome:
    """What became of a batch, of which together with `others` events `stored` were new."""
    accepted = len(prepared.events)
    if stored is not None and len(stored) < accepted + others:
        accepted = sum((event.customer, event.reference) in stored for event in prepared.events)
    return Outcome(accepted, len(prepared.events) - accepted + prepared.repeated, prepared.rejected)


def _store_several(several: list[_Ready]) -> list[Outcome]:
    """Store what threads have brought at the same time. Raises Apart where that would not be as if each came alone."""
    if len(several) == 1:
        [ready] = several
        return [_outcome(ready.prepared, _store(ready, None, carefully=False))]
    first = several[0].definitions
    keys = {(event.customer, event.reference) for ready in several for event in ready.prepared.events}
    events = sum(len(ready.prepared.events) for ready in several)
    if len(keys) < events or any(ready.definitions is not first for ready in several):
        raise combining.Apart
    merged = _Ready(merge([ready.prepared for ready in several]), _ids(several), first)
    try:
        stored = _store(merged, None, carefully=False)
    except IntegrityError as error:
        if _sqlstate(error) != _UNIQUE:
            raise
        stored = _store(merged, None, carefully=True)
    return [_outcome(ready.prepared, stored, len(keys) - len(ready.prepared.events)) for ready in several]


def _ids(several: list[_Ready]) -> Ids:
    """All of them: of one place, different batches may know different labels."""
    found: dict[Where, Mapping[str, int]] = {}
    for ready in several:
        for where, labels in ready.ids.items():
            known = found.setdefault(where, labels)
            if known is not labels:
                found[where] = {**known, **labels}
    return found


_together = combining.Together(_store_several, MOST_TOGETHER)
# Whoever was at work in another process is not in this one.
os.register_at_fork(after_in_child=lambda: _together.__init__(_store_several, MOST_TOGETHER))  # type: ignore[misc]


def _of_stored(prepared: Prepared, stored: Mapping[tuple[str, str], int], definitions: Registry) -> Added:
    if len(stored) == len(prepared.events):
        return prepared.added
    new = [event for event in prepared.events if (event.customer, event.reference) in stored]
    return add_up(new, definitions.by_type)


def _try_again(error: OperationalError | IntegrityError, attempt: int, *, carefully: bool) -> bool:
    """Whether to try again carefully, after a while where others are in the way. Raises what will not work again."""
    sqlstate = _sqlstate(error)
    if sqlstate == _FOREIGN_KEY:
        interning.forget()
        registry.load()
    taken = sqlstate == _UNIQUE and not carefully
    crossed = sqlstate == _DEADLOCK
    if attempt == ATTEMPTS or not (taken or crossed or sqlstate in (_SERIALIZATION, _FOREIGN_KEY)):
        raise error
    if not taken:
        time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311
    return carefully or taken or crossed


def _sqlstate(error: OperationalError | IntegrityError) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)
