"""What kind of file it is, and its rows. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePath
from typing import IO

import msgspec

from meters.events.bodies import Malformed
from meters.events.bodies import split as split_body
from meters.events.decoding import MAX_EVENT_BYTES
from meters.files import tables
from meters.files.opening import Source, Unusable, beginning_of, lines, whole
from meters.files.parts import Fault, Record

CSV, JSON_LINES, JSON = "csv", "jsonl", "json"
MAX_JSON_BYTES = 50_000_000
_NAMES = {".csv": CSV, ".tsv": CSV, ".txt": CSV, ".jsonl": JSON_LINES, ".ndjson": JSON_LINES}


@dataclass
class Rows:
    """A file that is being read: `records` may be gone through once; `columns` is the header of a CSV."""

    format: str
    records: Iterator[Record]
    source: Source
    columns: list[str] = field(default_factory=list)

    def digest(self) -> str:
        """Of all that is in the file, once `records` is at its end."""
        return self.source.digest()


def read(file: IO[bytes], name: str, limit: int) -> Rows:
    """The rows of a file of at most `limit` bytes inflated. Raises Unusable, now or while the rows are gone through."""
    kind = _kind(name) or _guessed(file, limit)
    source = Source(file, limit)
    if kind == JSON:
        return Rows(JSON, _items(whole(source, MAX_JSON_BYTES)), source)
    if kind == JSON_LINES:
        return Rows(JSON_LINES, _json_lines(lines(source)), source)
    columns, records = tables.read(lines(source))
    return Rows(CSV, records, source, columns)


def _kind(name: str) -> str | None:
    suffixes = [each.lower() for each in PurePath(name).suffixes]
    named = next((each for each in reversed(suffixes) if each != ".gz"), "")
    return _NAMES.get(named)


def _guessed(file: IO[bytes], limit: int) -> str:
    """By how it begins: “[” an array; “{” one event to a line, unless the first line is but the start of an object."""
    start = beginning_of(Source(file, limit)).lstrip()
    file.seek(0)
    if start.startswith(b"["):
        return JSON
    if not start.startswith(b"{"):
        return CSV
    first, newline, rest = start.partition(b"\n")
    try:
        msgspec.json.decode(first)
    except msgspec.DecodeError:
        return JSON if newline and not first.rstrip().endswith(b"}") and rest else JSON_LINES
    return JSON_LINES


def _items(body: bytes) -> Iterator[Record]:
    try:
        items = split_body(body)
    except Malformed as error:
        raise Unusable("malformed_json", str(error).replace("The body", "The file")) from None
    for number, item in enumerate(items, start=1):
        yield _record(number, item)


def _json_lines(texts: Iterator[str]) -> Iterator[Record]:
    for number, text in enumerate(texts, start=1):
        line = text.strip().encode()
        if not line:
            continue
        if not line.startswith(b"{"):
            message = f"The line is no JSON object, but {text[:40].strip()}: one event stands on each line."
            yield Record(number, None, Fault("not_an_object", message, ""))
            continue
        try:
            (item,) = split_body(line)
        except Malformed as error:
            yield Record(number, None, Fault("malformed_json", str(error).replace("The body", "The line"), ""))
        else:
            yield _record(number, item)


def _record(number: int, item: bytes) -> Record:
    if len(item) <= MAX_EVENT_BYTES:
        return Record(number, item)
    message = (
        f"The event has {len(item):,} bytes; at most {MAX_EVENT_BYTES:,} are taken: leave out what is not billed by."
    )
    return Record(number, None, Fault("event_too_large", message, ""))


def beginning(rows: Rows, count: int) -> tuple[list[Record], Iterator[Record]]:
    """The first records, and all of them again."""
    first = [record for _, record in zip(range(count), rows.records, strict=False)]
    return first, chain(first, rows.records)
