"""The lines of drafts, by binary COPY."""

from collections.abc import Sequence

from django.db import connection
from psycopg.types.json import Jsonb

from customers.rating.chunks import Rated
from invoicing.models import Line

_COLUMNS = {
    "invoice_id": "int8",
    "position": "int4",
    "kind": "varchar",
    "charge_id": "int8",
    "product_id": "int8",
    "description": "text",
    "dimensions": "jsonb",
    "quantity": "numeric",
    "included": "numeric",
    "unit": "varchar",
    "unit_price": "numeric",
    "amount": "numeric",
    "service_start": "timestamptz",
    "service_end": "timestamptz",
    "explanation": "jsonb",
}
_COPY = f"COPY {Line._meta.db_table} ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT BINARY)"


def replace(rated: Sequence[Rated]) -> None:
    """Write these lines in place of what the drafts (by `Rated.key`) had. Two statements, however many lines."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM invoicing_line WHERE invoice_id = ANY(%s)", [[each.key for each in rated]])
        with cursor.copy(_COPY) as copy:
            copy.set_types(list(_COLUMNS.values()))
            for each in rated:
                for position, line in enumerate(each.lines, start=1):
                    copy.write_row(
                        (
                            each.key,
                            position,
                            line.kind.value,
                            line.charge,
                            line.product,
                            line.description,
                            Jsonb(line.dimensions),
                            line.quantity,
                            line.included,
                            line.unit,
                            line.unit_price,
                            line.amount,
                            line.service.start,
                            line.service.end,
                            Jsonb(line.explanation),
                        )
                    )
