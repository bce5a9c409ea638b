"""CSV: a header, and rows as JSON objects of column to cell, all cells text. Pure."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from meters.events.decoding import MAX_EVENT_BYTES
from meters.files.opening import Unusable
from meters.files.parts import Fault, Record

if TYPE_CHECKING:
    import _csv

DELIMITERS = ",;\t|"
MAX_COLUMNS = 200
MAX_NAME = 200
# A header holds names. A number or a day in it is a row that lost its header.
_DATA = re.compile(r"-?\d+([.,]\d+)*|\d{4}-\d\d-\d\d([T ].*)?", re.ASCII)


def read(lines: Iterator[str]) -> tuple[list[str], Iterator[Record]]:
    """The names of the columns, and the rows. Raises Unusable; a row that cannot be read is a record with a fault."""
    blank, first = next(((number, line) for number, line in enumerate(lines) if line.strip()), (0, None))
    if first is None:
        raise Unusable("empty_file", "The file is empty but for blank lines.")
    reader = csv.reader(chain([first], lines), delimiter=_delimiter(first), strict=True, skipinitialspace=True)
    try:
        header = [cell.strip() for cell in next(reader)]
    except csv.Error as error:
        raise Unusable("malformed_csv", f"The header cannot be read ({error}): look for a quotation mark.") from None
    columns = [name or f"column {number}" for number, name in enumerate(header, start=1)]
    _check_header(columns)
    return columns, _rows(reader, columns, blank)


def _delimiter(line: str) -> str:
    """The one that the header has most of, outside of quotes."""
    bare = re.sub(r'"[^"]*"', "", line)
    return max(DELIMITERS, key=bare.count)


def _check_header(columns: Sequence[str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise Unusable("wrong_header", f"The header has {len(columns)} columns; at most {MAX_COLUMNS} are read.")
    for name in columns:
        if _DATA.fullmatch(name):
            message = (
                f"The first line holds “{name[:60]}”, which is no name of a column: put a line of names above the rows."
            )
            raise Unusable("wrong_header", message)
        if len(name) > MAX_NAME:
            message = f"A column is called “{name[:60]}…”: a name has at most {MAX_NAME} characters."
            raise Unusable("wrong_header", message)
        if "\0" in name:
            raise Unusable("wrong_header", "The name of a column holds the character NUL: leave it out.")
    name, times = Counter(columns).most_common(1)[0]
    if times > 1:
        raise Unusable("wrong_header", f"{times} columns are called “{name[:60]}”: give each a name of its own.")


def _rows(reader: "_csv.Reader", columns: Sequence[str], blank: int) -> Iterator[Record]:
    while True:
        place = blank + reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            last = blank + reader.line_num
            message = (
                f"The row cannot be read as CSV ({error}){_swallowed(place, last)}: "
                "look for a quotation mark that is not closed or doubled."
            )
            yield Record(place, None, Fault("malformed_csv", message, ""))
            continue
        if any(cells):
            yield _record(place, cells, columns)


def _swallowed(first: int, last: int) -> str:
    """A quotation mark that is not closed takes the lines behind it along: nobody may think that they were read."""
    return f"; it goes on to line {last:,}, and none of these lines is read" if last > first else ""


def _record(place: int, cells: list[str], columns: Sequence[str]) -> Record:
    if len(cells) != len(columns) and (len(cells) < len(columns) or any(cells[len(columns) :])):
        message = (
            f"The row has {len(cells)} cells and the header {len(columns)} columns: quote cells that hold delimiters."
        )
        return Record(place, None, Fault("wrong_number_of_cells", message, ""))
    row = {name: cell for name, cell in zip(columns, cells, strict=False) if cell}
    item = msgspec.json.encode(row)
    if len(item) > MAX_EVENT_BYTES:
        message = (
            f"The row has {len(item):,} bytes; at most {MAX_EVENT_BYTES:,} are taken: leave out what is not billed by."
        )
        return Record(place, None, Fault("event_too_large", message, ""))
    return Record(place, item)
