"""Rows of a file, and what was rejected of them, as bytes to keep. Pure."""

import zlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

PART_BYTES = 4_000_000


class Fault(msgspec.Struct, frozen=True, array_like=True):
    code: str
    message: str
    field: str


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One row: JSON text, or why there is none. `place`: its line, or in a JSON array its number, from 1 on."""

    place: int
    item: bytes | None
    fault: Fault | None = None


class Reject(msgspec.Struct, frozen=True, array_like=True):
    """A row that was not taken, for the report."""

    place: int
    reference: str | None
    code: str
    message: str
    field: str


_RECORDS = msgspec.msgpack.Decoder(list[Record])
_REJECTS = msgspec.msgpack.Decoder(list[Reject])


def split(records: Iterable[Record], rows: int) -> Iterator[list[Record]]:
    """In parts of `rows` records, or fewer when they are long."""
    part: list[Record] = []
    size = 0
    for record in records:
        part.append(record)
        size += len(record.item or b"")
        if len(part) == rows or size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def pack(values: Sequence[Record] | Sequence[Reject]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(values))


def records(content: bytes) -> list[Record]:
    return _RECORDS.decode(zlib.decompress(content))


def rejects(content: bytes) -> list[Reject]:
    return _REJECTS.decode(zlib.decompress(content))
