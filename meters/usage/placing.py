"""The series at which a combination of dimension values is counted, made within the limit of its meter and customer.

Whoever counts asks here; that is why an event, its correction, a rebuild and a reader of raw events agree.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from django.conf import settings
from django.db import transaction
from psycopg import Cursor

from meters.database import columns, fetch, pipeline, rows, send
from meters.events.exact_json import from_text
from meters.measuring.counting import SeriesKey
from meters.measuring.folding import Fold, Step, too_many

logger = structlog.get_logger(__name__)

Pair = tuple[str, int]
"""Customer, meter."""

# Who makes series of one customer and meter makes them in turn, so that they are counted right. Few classes of them, so
# that a batch of many customers does not fill the server's table of locks.
_LOCK_SPACE, _LOCK_CLASSES = 74052, 64
_IN_TURN = f"""
    SELECT pg_advisory_xact_lock({_LOCK_SPACE}, class) FROM (
        SELECT DISTINCT abs(mod(hashtext(customer || ' ' || meter), {_LOCK_CLASSES})) AS class
        FROM unnest(%b::text[], %b::bigint[]) AS pair (customer, meter)
        ORDER BY class
    ) AS classes
"""  # noqa: S608
_FOLDS = """
    SELECT over.customer, over.meter_id, over.step, over.names, over.kept
    FROM unnest(%b::text[], %b::bigint[]) AS pair (customer, meter)
    JOIN meters_overlimit AS over ON over.customer = pair.customer AND over.meter_id = pair.meter
"""
# Uses the unique index series_once.
_SELECT = """
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
_INSERT = """
    INSERT INTO meters_series (customer, meter_id, generation, subscription, dimensions)
    SELECT customer, meter, generation, subscription, dimensions::jsonb
    FROM unnest(%b::text[], %b::bigint[], %b::int[], %b::text[], %b::text[])
        AS new (customer, meter, generation, subscription, dimensions)
    ON CONFLICT DO NOTHING
"""
# By the index series_once as well: as many entries as the limit allows.
_USED = """
    SELECT pair.customer, pair.meter,
        (
            SELECT count(*) FROM meters_series AS series
            WHERE series.customer = pair.customer AND series.meter_id = pair.meter
                AND series.generation = meter.generation
        ),
        coalesce(meter.series_limit, %b),
        meter.value_kind = 'level',
        ARRAY(SELECT name::text FROM meters_meterband AS band WHERE band.meter_id = meter.id),
        meter.label_dimension
    FROM unnest(%b::text[], %b::bigint[]) AS pair (customer, meter)
    JOIN meters_meter AS meter ON meter.id = pair.meter
"""
_KEYS = """
    SELECT series.customer, series.meter_id, series.subscription, series.dimensions::text, series.generation
    FROM unnest(%b::text[], %b::bigint[]) AS pair (customer, meter)
    JOIN meters_meter AS meter ON meter.id = pair.meter
    JOIN meters_series AS series
        ON series.customer = pair.customer AND series.meter_id = pair.meter AND series.generation = meter.generation
"""
_FOLDS_OF_METER = "SELECT customer, meter_id, step, names, kept FROM meters_overlimit WHERE meter_id = %b"
_TAKE_STEP = """
    INSERT INTO meters_overlimit AS over (customer, meter_id, step, names, kept, allowed, example)
    VALUES (%b, %b, %b, %b::text[], %b::text[], %b, %b::text::jsonb)
    ON CONFLICT (customer, meter_id) DO UPDATE SET step = greatest(over.step, excluded.step)
"""


@dataclass(frozen=True)
class _Use:
    """How many series there are, and may be. `levels`: they cannot be folded. `kept`: names that are not."""

    series: int
    limit: int
    levels: bool
    kept: frozenset[str]

    def room(self, fold: Fold | None) -> int | None:
        """How many more may be made at the step; None: as many as it takes, which are few."""
        if fold is not None and fold.step != Step.NAMES:
            return None
        return max(0, (self.limit if fold is None else 2 * self.limit) - self.series)


@dataclass
class _State:
    """What the database says of some pairs and keys."""

    folds: dict[Pair, Fold] = field(default_factory=dict)
    ids: dict[SeriesKey, int] = field(default_factory=dict)
    uses: dict[Pair, _Use] = field(default_factory=dict)

    def candidates(self, key: SeriesKey) -> tuple[SeriesKey, ...]:
        fold = self.folds.get(_pair(key))
        return fold.candidates(key) if fold else (key,)

    def settled(self, keys: Iterable[SeriesKey]) -> dict[SeriesKey, int]:
        """The id of the first candidate that is there, of the keys that have one."""
        found = {}
        for key in keys:
            for candidate in self.candidates(key):
                if candidate in self.ids:
                    found[key] = self.ids[candidate]
                    break
        return found


def place(keys: Collection[SeriesKey]) -> dict[SeriesKey, int]:
    """The id of the series at which each is counted, in the caller's transaction.

    What is not there is made, in one order for everybody, as long as the meter's limit for the customer allows it.
    Beyond it is counted at `__other__`; that is noted as an OverLimit, and stays so until the meter is counted anew.
    Two statements when all are there; three round trips when some are new.
    """
    state = _look(keys, {}, in_turn=False)
    if state.folds:
        state = _look(keys, state.folds, in_turn=False)
    placed = state.settled(keys)
    pending = [key for key in keys if key not in placed]
    while pending:
        state = _look(pending, state.folds, in_turn=True)
        found = state.settled(pending)
        placed |= found
        pending = [key for key in pending if key not in found]
        if pending:
            made = _make(pending, state)
            placed |= made
            pending = [key for key in pending if key not in made]
    return placed


def where(keys: Collection[SeriesKey]) -> dict[SeriesKey, SeriesKey]:
    """Of these, the ones that are counted at another combination, and at which. One query, two when there are any."""
    folds = _folds(rows(_send_folds(keys)))
    affected = [key for key in keys if _pair(key) in folds]
    if not affected:
        return {}
    state = _look(affected, folds, in_turn=False)
    return {key: _first(state.candidates(key), state.ids) for key in affected}


def of_meter(meter: int) -> Callable[[SeriesKey], SeriesKey]:
    """Where combinations of the meter are counted, for whoever asks for many. Two queries."""
    folds = _folds(fetch(_FOLDS_OF_METER, meter))
    if not folds:
        return lambda key: key
    table = [[each[place] for each in folds] for place in (0, 1)]
    there = {_key(row) for row in fetch(_KEYS, *table)}

    def resolve(key: SeriesKey) -> SeriesKey:
        fold = folds.get(_pair(key))
        return _first(fold.candidates(key), there) if fold else key

    return resolve


def _first(candidates: tuple[SeriesKey, ...], there: Collection[SeriesKey]) -> SeriesKey:
    return next((each for each in candidates if each in there), candidates[-1])


def _look(keys: Collection[SeriesKey], folds: Mapping[Pair, Fold], *, in_turn: bool) -> _State:
    """Read folds, and the ids of the candidates by `folds`; when `in_turn`, wait for it and count what there is."""
    known = _State(dict(folds))
    wanted = sorted({each for key in keys for each in known.candidates(key)})
    pairs = _pairs(keys)
    with pipeline():
        if in_turn:
            send(_IN_TURN, *pairs)
        ids = send(_SELECT, *_table(wanted))
        found = _send_folds(keys)
        used = send(_USED, settings.SERIES_LIMIT, *pairs) if in_turn else None
    state = _State(_folds(rows(found)), {wanted[ordinal - 1]: series for ordinal, series in rows(ids)})
    if used is not None:
        state.uses = {
            (row[0], row[1]): _Use(row[2], row[3], row[4], frozenset([*row[5], row[6]]) - {""}) for row in rows(used)
        }
    if in_turn and state.folds != known.folds:
        return _look(keys, state.folds, in_turn=True)
    return state


def _make(keys: Collection[SeriesKey], state: _State) -> dict[SeriesKey, int]:
    """Make the last candidates of keys that have none yet, as far as there is room; the rest takes a further step."""
    by_pair: dict[Pair, list[SeriesKey]] = defaultdict(list)
    for key in keys:
        by_pair[_pair(key)].append(key)
    new: list[SeriesKey] = []
    for pair, mine in by_pair.items():
        fold, use = state.folds.get(pair), state.uses.get(pair)
        wanted = sorted({state.candidates(key)[-1] for key in mine})
        room = use.room(fold) if use else None  # a meter that is gone is named by the foreign key
        new += wanted if room is None else wanted[:room]
        if use and room is not None and len(wanted) > room:
            _take_step(pair, fold, use, wanted[room:])
    made = {key for key in keys if state.candidates(key)[-1] in set(new)}
    with pipeline():
        send(_INSERT, *_table(sorted(new)))
        ids = send(_SELECT, *_table(sorted(new)))
    state.ids |= {sorted(new)[ordinal - 1]: series for ordinal, series in rows(ids)}
    return {key: state.ids[state.candidates(key)[-1]] for key in made}


def _take_step(pair: Pair, fold: Fold | None, use: _Use, beyond: list[SeriesKey]) -> None:
    customer, meter = pair
    if fold is not None:
        names, step = fold.names, Step.ALL
    elif use.levels:
        names, step = frozenset[str](), Step.NOTHING
    else:
        there = [_key(row) for row in fetch(_KEYS, [customer], [meter])]
        names, step = too_many([*there, *beyond], use.kept, max(1, use.limit // 2)), Step.NAMES
    example = _json(beyond[0])
    send(_TAKE_STEP, customer, meter, int(step), sorted(names), sorted(use.kept), use.limit, example)
    transaction.on_commit(
        lambda: logger.warning(
            "series_over_limit", customer=customer, meter=meter, limit=use.limit, step=step.name, folded=sorted(names)
        )
    )


def _send_folds(keys: Iterable[SeriesKey]) -> Cursor[tuple[Any, ...]]:
    return send(_FOLDS, *_pairs(keys))


def _folds(found: Iterable[tuple[Any, ...]]) -> dict[Pair, Fold]:
    return {(row[0], row[1]): Fold(Step(row[2]), frozenset(row[3]), frozenset(row[4])) for row in found}


def _pair(key: SeriesKey) -> Pair:
    return key.customer, key.meter


def _pairs(keys: Iterable[SeriesKey]) -> list[list[Any]]:
    return columns(sorted({_pair(key) for key in keys}), 2)


def _key(row: tuple[Any, ...]) -> SeriesKey:
    customer, meter, subscription, dimensions, generation = row
    return SeriesKey(customer, meter, subscription, tuple(sorted(from_text(dimensions).items())), generation)


def _table(keys: Iterable[SeriesKey]) -> list[list[Any]]:
    return columns([(key.customer, key.meter, key.generation, key.subscription, _json(key)) for key in keys], 5)


def _json(key: SeriesKey) -> str:
    return msgspec.json.encode(dict(key.dimensions)).decode()
