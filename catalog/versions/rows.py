"""The rows of a charge, written as a set: a few statements, however many rows. The writer of Cell."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db import connection

from billing_site.foundation.money import EXACT
from catalog.charges.cell_prices import COLUMNS, put
from catalog.charges.row_checks import DraftRow
from catalog.models import Cell

_TYPES = {
    "model": "text",
    "unit_price": "numeric",
    "size": "numeric",
    "free": "numeric",
    "percent": "numeric",
    "fixed": "numeric",
    "free_events": "bigint",
    "bounds": "numeric[]",
    "unit_prices": "numeric[]",
    "flat_prices": "numeric[]",
    "packages": "numeric[]",
    "flat_at_zero": "boolean",
}
# Rows that say what they said stay as they are, so that the history tells of those alone that changed.
_UPDATE = """
    UPDATE catalog_cell AS cell
    SET position = changed.position, {assignments}
    FROM jsonb_to_recordset(%s::jsonb) AS changed (id bigint, position integer, {types})
    WHERE cell.id = changed.id
""".format(  # noqa: S608 - made of the constants above
    assignments=", ".join(f"{column} = changed.{column}" for column in COLUMNS),
    types=", ".join(f"{column} {_TYPES[column]}" for column in COLUMNS),
)


def replace(charge: int, price_list: int | None, drafts: Sequence[DraftRow]) -> None:
    """Make these the rows of a charge in a price list. A row that keeps its values keeps its place in the history.

    The caller holds the draft and has checked the rows.
    """
    stored = {key(cell.match): cell for cell in Cell.objects.filter(charge=charge, price_list=price_list)}
    new, changed = [], []
    for position, row in enumerate(drafts):
        cell = stored.pop(key(row.match), None)
        if cell is None:
            cell = Cell(charge_id=charge, price_list_id=price_list, match=dict(row.match), position=position)
            put(cell, row.price)
            new.append(cell)
            continue
        before = _values(cell)
        cell.position = position
        put(cell, row.price)
        if (after := _values(cell)) != before:
            changed.append({"id": cell.pk, **after})
    Cell.objects.filter(pk__in=[cell.pk for cell in stored.values()]).delete()
    if changed:
        with connection.cursor() as cursor:
            cursor.execute(_UPDATE, [json.dumps(changed, default=str)])
    Cell.objects.bulk_create(new, batch_size=1_000)


def key(match: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What makes a row the same row: its exact values."""
    return tuple(sorted(match.items()))


def _values(cell: Cell) -> dict[str, Any]:
    return {"position": cell.position, **{column: _plain(getattr(cell, column)) for column in COLUMNS}}


def _plain(value: Any) -> Any:
    """Decimals compare as numbers, whatever zeros they end in."""
    if isinstance(value, Decimal):
        return format(value.normalize(EXACT), "f")
    return [_plain(each) for each in value] if isinstance(value, list) else value
