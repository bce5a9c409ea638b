"""Tables that people open in a spreadsheet."""

import csv
from collections.abc import Iterable, Sequence

from django.http import HttpResponse

# A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """A text from outside as a spreadsheet shows it and never runs it: it begins with an apostrophe if it has to."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_answer(rows: Iterable[Sequence[object]], filename: str, *, mark: bool = False) -> HttpResponse:
    """A download (RFC 4180), a line for each row; the first has the names. Texts from outside were made `harmless`.

    `mark`: begin it with a byte order mark, without which Excel takes UTF-8 for something else; programs need none.
    """
    answer = HttpResponse(content_type="text/csv; charset=utf-8; header=present")
    answer["Content-Disposition"] = f'attachment; filename="{filename}"'
    if mark:
        answer.write("\ufeff")
    csv.writer(answer).writerows(rows)
    return answer
