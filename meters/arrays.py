"""Arrays as PostgreSQL reads them in binary, built a column at a time: psycopg builds them value by value.

The format: the number of dimensions, whether there are NULLs, the type of the elements, how many, the first index; then
each element's length and value.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct, pack
from typing import ClassVar

import psycopg
from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_HEADER = Struct(">iiIii").pack
_length = Struct(">i").pack


class Array(bytes):
    """A parameter for `database.send`: a whole array in binary, of elements of one type."""

    element: ClassVar[TypeInfo]


class Texts(Array):
    element = psycopg.adapters.types["text"]


class Longs(Array):
    element = psycopg.adapters.types["int8"]


class Instants(Array):
    element = psycopg.adapters.types["timestamptz"]


def texts(values: Sequence[str]) -> Texts:
    """As text[]. Neighbours are often the same, and are encoded once."""
    parts, last, element = [_header(Texts, len(values))], None, b""
    for value in values:
        if value != last:
            last, encoded = value, value.encode()
            element = _length(len(encoded)) + encoded
        parts.append(element)
    return Texts(b"".join(parts))


def longs(values: Sequence[int]) -> Longs:
    """As int8[]."""
    return Longs(_header(Longs, len(values)) + _of_64_bits(values))


def instants(values: Sequence[datetime]) -> Instants:
    """As timestamptz[]. Few of them differ."""
    microseconds = {value: (value - POSTGRES_EPOCH) // MICROSECOND for value in set(values)}
    return Instants(_header(Instants, len(values)) + _of_64_bits([microseconds[value] for value in values]))


def _header(kind: type[Array], count: int) -> bytes:
    return _HEADER(1, 0, kind.element.oid, count, 1)


def _of_64_bits(values: Sequence[int]) -> bytes:
    flat = [8] * (2 * len(values))  # the length before each
    flat[1::2] = values
    return pack(f">{'iq' * len(values)}", *flat)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def __init__(self, cls: type[Array], context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self.oid = cls.element.array_oid

    def dump(self, obj: Array) -> Array:
        return obj


def register() -> None:
    """Let psycopg take them, before anybody connects."""
    for kind in (Texts, Longs, Instants):
        psycopg.adapters.register_dumper(kind, _ArrayDumper)
