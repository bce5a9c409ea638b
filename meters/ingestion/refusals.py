"""Events that were refused: a tally by day, API key, code and type, for who looks after the senders.

Kept beside ingestion: it is written after the batch is committed, only when something was refused, and what goes wrong
here changes nothing of the answer.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec
import structlog
from django.db import DatabaseError, InterfaceError, transaction

from billing_site.foundation import clock
from meters.database import columns, fetch, send
from meters.events.bodies import Malformed, split
from meters.events.decoding import Rejected
from meters.events.values import MAX_TEXT

logger = structlog.get_logger(__name__)

KEPT = timedelta(days=35)
# A sender that puts an id into the type's place must not fill the table: further types are not told apart.
KINDS_OF_A_DAY = 100
MAX_MESSAGE = 500
_TYPE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)

# Both use the unique index refusal_once.
_KINDS = "SELECT code, type FROM meters_refusal WHERE day = %b AND api_key_id = %b LIMIT %b"
_NOTE = """
    INSERT INTO meters_refusal AS refusal (day, api_key_id, code, type, events, reference, message)
    SELECT %b::date, %b::bigint, code, type, events, reference, message
    FROM unnest(%b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[])
        AS new (code, type, events, reference, message)
    ON CONFLICT (day, api_key_id, code, type) DO UPDATE
    SET events = refusal.events + excluded.events, reference = excluded.reference, message = excluded.message,
        last_at = excluded.last_at
"""
_FORGET = "DELETE FROM meters_refusal WHERE day < %b"
_SINCE = """
    SELECT refusal.api_key_id, api_key.name, refusal.code, refusal.type, sum(refusal.events)::bigint,
        max(refusal.last_at), (array_agg(refusal.message ORDER BY refusal.last_at DESC))[1],
        (array_agg(refusal.reference ORDER BY refusal.last_at DESC))[1], count(*) OVER ()
    FROM meters_refusal AS refusal JOIN foundation_apikey AS api_key ON api_key.id = refusal.api_key_id
    WHERE refusal.day >= %b
    GROUP BY refusal.api_key_id, api_key.name, refusal.code, refusal.type
    ORDER BY 5 DESC, 1, 3, 4
    LIMIT %b
"""

Kind = tuple[str, str]
"""Code and type."""


@dataclass(frozen=True)
class Refused:
    """Events of one type that one API key sent and that were refused with one code, and the last of them."""

    api_key: int
    key_name: str
    code: str
    type: str
    events: int
    last_at: datetime
    message: str
    reference: str


def note(api_key: int, body: bytes, rejected: Sequence[Rejected]) -> None:
    """Add what was refused of `body` to today's tally of the key: two statements. Failing is logged, never raised."""
    if not rejected:
        return
    try:
        with transaction.atomic():
            _add(api_key, clock.now().date(), _tally(rejected, _types(body, rejected)))
    except (DatabaseError, InterfaceError) as error:
        logger.warning("refusals_not_noted", events=len(rejected), error=type(error).__name__)


def since(day: date, limit: int) -> tuple[list[Refused], int]:
    """What was refused on `day` and after it, most events first; at most `limit`, and how many there are."""
    found = fetch(_SINCE, day, limit)
    return [Refused(*row[:-1]) for row in found], found[0][-1] if found else 0


def _add(api_key: int, today: date, tally: Mapping[Kind, tuple[int, str, str]]) -> None:
    known = {(code, kind) for code, kind in fetch(_KINDS, today, api_key, KINDS_OF_A_DAY)}
    if not known:
        send(_FORGET, today - KEPT)
    rows = _bounded(tally, known)
    # In order, so that two requests of one key wait for each other and do not lock each other out.
    send(_NOTE, today, api_key, *columns([(*kind, *rows[kind]) for kind in sorted(rows)], 5))


def _bounded(tally: Mapping[Kind, tuple[int, str, str]], known: Collection[Kind]) -> dict[Kind, tuple[int, str, str]]:
    """The tally, with kinds beyond the day's number under their code and no type."""
    room = KINDS_OF_A_DAY - len(known)
    rows: dict[Kind, tuple[int, str, str]] = {}
    for (code, kind), (events, *last) in tally.items():
        new = (code, kind) not in known and (code, kind) not in rows
        key = (code, "") if new and room <= 0 else (code, kind)
        room -= new
        rows[key] = (rows.get(key, (0,))[0] + events, *last)  # type: ignore[assignment]
    return rows


def _tally(rejected: Sequence[Rejected], types: Mapping[int, str]) -> dict[Kind, tuple[int, str, str]]:
    """By code and type: how many, and the reference and message of the last."""
    found: dict[Kind, tuple[int, str, str]] = {}
    for each in rejected:
        kind = (_storable(each.code, 50), types.get(each.index, ""))
        last = (_storable(each.reference or "", MAX_TEXT), _storable(each.message, MAX_MESSAGE))
        found[kind] = (found.get(kind, (0,))[0] + 1, *last)
    return found


def _types(body: bytes, rejected: Sequence[Rejected]) -> dict[int, str]:
    """The event types of refused items, by their place in the body; those that can be read."""
    try:
        items = split(body)
    except Malformed:
        return {}
    return {each.index: _type(items[each.index]) for each in rejected if each.index < len(items)}


def _type(item: bytes) -> str:
    try:
        return _storable(_TEXT.decode(_TYPE.decode(item)["type"]), MAX_TEXT)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return ""


def _storable(text: str, length: int) -> str:
    """As PostgreSQL can keep it: without NUL and halves of surrogate pairs, and not longer than there is room."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[:length]
