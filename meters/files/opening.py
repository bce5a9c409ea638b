"""From the bytes of an uploaded file to its lines: gzip, byte order marks, encodings, and how much is read. Pure."""

import codecs
import io
import zlib
from collections.abc import Iterator
from gzip import BadGzipFile, GzipFile
from hashlib import sha256
from typing import IO, Any

MAX_LINE_BYTES = 1_000_000
_SAVE = "save it as “CSV UTF-8” and upload that"
_MAGIC = {
    codecs.BOM_UTF16_LE: f"The file is UTF-16, and UTF-8 is read: {_SAVE}.",
    codecs.BOM_UTF16_BE: f"The file is UTF-16, and UTF-8 is read: {_SAVE}.",
    b"PK": f"The file is an Excel workbook or a ZIP archive, and text is read: {_SAVE}, or as .gz.",
    b"\xd0\xcf\x11\xe0": f"The file is an old Excel workbook, and text is read: {_SAVE}.",
    b"%PDF": f"The file is a PDF, and text is read: {_SAVE}.",
    b"\x1f\x8b": "The file is gzip inside gzip: compress it once only.",
}


class Unusable(Exception):
    """A file that is not read at all; the message names the mend."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Source(io.RawIOBase):
    """The bytes of a file, inflated, counted up to `limit` and digested on the way. Raises Unusable."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        super().__init__()
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self._file: Any = GzipFile(fileobj=file) if zipped else file
        self._limit, self._read, self._digest = limit, 0, sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except (BadGzipFile, EOFError, zlib.error) as error:
            message = f"The .gz file cannot be inflated ({error}): compress it again, and upload all of it."
            raise Unusable("malformed_gzip", message) from None
        self._read += len(data)
        if self._read > self._limit:
            message = f"The file holds more than {self._limit:,} bytes when inflated: upload it in parts."
            raise Unusable("file_too_large", message)
        self._digest.update(data)
        buffer[: len(data)] = data
        return len(data)

    def digest(self) -> str:
        """SHA-256 of all that was read, in hexadecimal."""
        return self._digest.hexdigest()


def lines(source: Source) -> Iterator[str]:
    """The lines as text, line ends kept, without a byte order mark. Raises Unusable, which says in which line."""
    stream = io.BufferedReader(source, 1 << 16)
    _check_kind(stream.peek(64)[:64])
    for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b""), start=1):
        if len(line) > MAX_LINE_BYTES:
            message = (
                f"Line {number:,} has more than {MAX_LINE_BYTES:,} bytes: is this a file of events, one to a line?"
            )
            raise Unusable("line_too_long", message)
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        yield _decoded(text, number)


def beginning_of(source: Source) -> bytes:
    """The first 64 KiB at most, without a byte order mark. Raises Unusable for what is no text."""
    data = io.BufferedReader(source, 1 << 16).read(1 << 16)
    _check_kind(data[:64])
    return data.removeprefix(codecs.BOM_UTF8)


def whole(source: Source, most: int) -> bytes:
    """All of it, up to `most` bytes, without a byte order mark. Raises Unusable."""
    stream = io.BufferedReader(source, 1 << 16)
    _check_kind(stream.peek(64)[:64])
    data = stream.read(most + 1)
    if len(data) > most:
        message = (
            f"The JSON holds more than {most:,} bytes, and is read at once: upload JSON Lines, one event to a line."
        )
        raise Unusable("file_too_large", message)
    return data.removeprefix(codecs.BOM_UTF8)


def _check_kind(start: bytes) -> None:
    if not start:
        raise Unusable("empty_file", "The file is empty.")
    for magic, message in _MAGIC.items():
        if start.startswith(magic):
            raise Unusable("not_text", message)
    if start.count(0) * 4 > len(start):
        raise Unusable("not_text", f"The file is no text in UTF-8; it may be UTF-16: {_SAVE}.")


def _decoded(line: bytes, number: int) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{line[error.start]:02x}"
        message = f"Line {number:,} is not UTF-8 ({found}); it may be Latin-1 or Windows-1252: {_SAVE}."
        raise Unusable("not_utf8", message) from None
    if number == 1 and "\r" in text.rstrip("\r\n"):
        raise Unusable("old_line_ends", f"The lines end as on an old Macintosh, with CR alone: {_SAVE}.")
    return text
