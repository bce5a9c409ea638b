"""Events as the rows of a binary COPY, built here because nothing builds them faster.

The format is PostgreSQL's: https://www.postgresql.org/docs/current/sql-copy.html, “Binary Format”; every value as its
type's receive function reads it.
"""

from collections.abc import Sequence
from decimal import Decimal
from struct import Struct

from psycopg.adapt import PyFormat, Transformer

from meters.arrays import MICROSECOND, POSTGRES_EPOCH
from meters.events.exact_json import to_json
from meters.events.sent import SentEvent

COLUMNS = "customer, type, status, subscription, reference, timestamp, value, properties"

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_FIELDS = Struct(">h").pack
_length = Struct(">i").pack
_long = Struct(">iq").pack
_JSONB_VERSION = b"\x01"
# Of nearly everything that an event holds.
_LENGTHS = [_length(length) for length in range(1_000)]


def rows(events: Sequence[SentEvent], ids: Sequence[int] | None = None) -> bytes:
    """All of a COPY of the events with COLUMNS; with the `ids` of each, they are the first column.

    A column at a time, which takes two thirds of the time that event by event does.
    """
    references = [event.reference.encode() for event in events]
    properties = [_JSONB_VERSION + to_json(event.properties) for event in events]
    columns = (
        [_FIELDS(8)] * len(events) if ids is None else [_FIELDS(9) + _long(8, each) for each in ids],
        _customers(events),
        _kinds(events),
        _lengths(references),
        references,
        _instants(events),
        [_NULL if event.value is None else _number(event.value) for event in events],
        _lengths(properties),
        properties,
    )
    parts = [b""] * (len(columns) * len(events))
    for place, column in enumerate(columns):
        parts[place :: len(columns)] = column
    return b"".join((_HEADER, *parts, _END))


def _customers(events: Sequence[SentEvent]) -> list[bytes]:
    customers = [event.customer for event in events]
    made = {customer: _text(customer) for customer in set(customers)}
    return [made[customer] for customer in customers]


def _kinds(events: Sequence[SentEvent]) -> list[bytes]:
    """The three columns in which most events are alike."""
    kinds = [(event.type, event.status, event.subscription) for event in events]
    made = {kind: b"".join(map(_text, kind)) for kind in set(kinds)}
    return [made[kind] for kind in kinds]


def _instants(events: Sequence[SentEvent]) -> list[bytes]:
    instants = [event.timestamp for event in events]
    made = {instant: _long(8, (instant - POSTGRES_EPOCH) // MICROSECOND) for instant in set(instants)}
    return [made[instant] for instant in instants]


def _lengths(values: Sequence[bytes]) -> list[bytes]:
    lengths = list(map(len, values))
    if max(lengths, default=0) < len(_LENGTHS):
        return [_LENGTHS[length] for length in lengths]
    return list(map(_length, lengths))


def _text(text: str) -> bytes:
    value = text.encode()
    return _length(len(value)) + value


def _number(number: Decimal) -> bytes:
    value = Transformer().get_dumper(number, PyFormat.BINARY).dump(number)
    assert value is not None
    return _length(len(value)) + bytes(value)
