"""Usage as CSV: all rows, read and written a page at a time, so that a large answer costs no more memory.

References and values of dimensions are what callers sent: none of them is a formula to a spreadsheet.
"""

import csv
from collections.abc import Iterator
from datetime import datetime
from io import StringIO

from billing_site.foundation.errors import Fault, Refused
from billing_site.foundation.money import plain
from billing_site.foundation.periods import in_zone
from billing_site.foundation.spreadsheets import harmless
from customers.usage.pages import Asked, Position, Row, read_page
from customers.usage.periodic import still_counting

ROWS_AT_ONCE = 1_000
# A dimension may be called like a column, so it carries where it stands in the JSON answer.
DIMENSION = "dimensions."


def lines(asked: Asked, after: Position | None = None) -> Iterator[str]:
    """The document in parts: a line of names, then a line for each row (RFC 4180).

    Raises Refused while a meter has not counted all stored events. When one begins to count anew later on, the document
    breaks off with `usage.StillCounting`: a part of it says nothing wrong, and is seen not to be all.
    """
    if counting := still_counting(asked.meters):
        message = f"{counting[0]} A file could not say so: ask again later, or for other meters by “meter”."
        raise Refused(Fault("usage_still_counting_conflict", message, "meter"))
    return _lines(asked, after)


def _lines(asked: Asked, after: Position | None) -> Iterator[str]:
    names = ["customer", "meter", "unit", "start", "end", *(DIMENSION + name for name in asked.group_by)]
    yield _written([[*names, "quantity", "events"]])
    while True:
        page = read_page(asked, after, ROWS_AT_ONCE)
        if page.rows:
            yield _written([_line(row, asked.group_by) for row in page.rows])
        if page.next is None:
            return
        after = page.next


def _line(row: Row, group_by: tuple[str, ...]) -> list[str]:
    customer, meter, period = row.span
    bounds = [_text(instant, customer.timezone) for instant in (period.start, period.end)]
    values = [harmless(row.usage.dimensions.get(name, "")) for name in group_by]
    return [
        harmless(customer.reference),
        meter.code,
        harmless(meter.unit),
        *bounds,
        *values,
        plain(row.usage.quantity),
        str(row.usage.events),
    ]


def _text(instant: datetime, timezone: str) -> str:
    """As JSON has it."""
    text = in_zone(instant, timezone).isoformat()
    return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text


def _written(rows: list[list[str]]) -> str:
    text = StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
