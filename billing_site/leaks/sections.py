"""What the page of leaks is made of: sections of rows, each with what mends it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

SHOWN = 20
COUNTED_UP_TO = 1_000
UNKNOWABLE = "cannot be known"


@dataclass(frozen=True)
class Fix:
    """What mends a leak: a link, or with `fields` a button that posts them. `address` None: the user may not."""

    text: str
    address: str | None
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Leak:
    """A row: a text for each column of its section, what it may be worth, and its fixes."""

    cells: Sequence[str]
    worth: str
    fixes: Sequence[Fix] = ()


@dataclass(frozen=True)
class Section:
    """One kind of leak. `count`: how many there are, as text. `failed`: why it could not be looked for."""

    key: str
    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Leak] = ()
    count: str = "0"
    more: str | None = None
    failed: str = ""
    numbers: Sequence[str] = ()

    @property
    def shown(self) -> list[tuple[list[tuple[str, str]], Leak]]:
        """Each row with its cells by the names of their columns, which a phone shows beside them."""
        return [(list(zip(self.columns, row.cells, strict=True)), row) for row in self.rows]


def count(rows: QuerySet[Any]) -> str:
    count = rows.order_by()[: COUNTED_UP_TO + 1].count()
    return f"{count:,}" if count <= COUNTED_UP_TO else f"more than {COUNTED_UP_TO:,}"


def instant(instant: Any) -> str:
    return "–" if instant is None else f"{instant:%Y-%m-%d %H:%M} UTC"
