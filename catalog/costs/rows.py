"""What a source states, written by binary COPY: a first reading has thousands of rows."""

from collections.abc import Iterable

from django.db import connection

from catalog.models import ModelCost
from catalog.pricing.cost_changes import Change
from catalog.pricing.model_costs import Action, Source

_COLUMNS = {
    "model_id": "int8",
    "token_type": "varchar",
    "above": "int4",
    "hours_start": "int2",
    "hours_end": "int2",
    "source": "varchar",
    "action": "varchar",
    "cost": "numeric",
    "effective_from": "timestamptz",
    "recorded_by": "varchar",
    "note": "varchar",
}
_COPY = f"COPY {ModelCost._meta.db_table} ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT BINARY)"


def write(found: Iterable[tuple[int, Change]], origin: str) -> None:
    """Record what is new of each model, by its id, as the package's. One statement."""
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(list(_COLUMNS.values()))
        for model, change in found:
            code, above, hours = change.series
            copy.write_row(
                (
                    model,
                    code,
                    above,
                    hours.start if hours else None,
                    hours.end if hours else None,
                    Source.PACKAGE.value,
                    (Action.ENDS if change.cost is None else Action.COSTS).value,
                    change.cost,
                    change.effective_from,
                    origin,
                    "",
                )
            )
