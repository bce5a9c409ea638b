"""Statements with binary parameters, several in one round trip."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from billing_site.foundation.statements import logged, send

__all__ = ["Rows", "columns", "copy", "fetch", "pipeline", "rows", "send", "send_commit", "stream"]

ROWS_AT_ONCE = 1_000

Rows = list[tuple[Any, ...]]


def copy(statement: str, rows: bytes) -> None:
    """Copy rows in. Not within a `pipeline`."""
    connection.ensure_connection()
    with (
        connection.wrap_database_errors,
        logged(statement),
        psycopg.Cursor(connection.connection).copy(statement) as copying,
    ):
        copying.write(rows)


def send_commit() -> None:
    """Commit together with what is sent before it in a `pipeline`, the last of the transaction: a round trip less.

    Django, which commits at the end of its `atomic`, then finds that nothing is left to do. Within another `atomic`, as
    in most tests, nothing is committed.
    """
    if connection.savepoint_ids:
        return
    with connection.wrap_database_errors:
        psycopg.Cursor(connection.connection).execute("COMMIT")


def rows(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Rows:
    """All rows of a statement that was sent; waits for it."""
    with connection.wrap_database_errors:
        return cursor.fetchall()


def stream(statement: str, *parameters: object) -> Iterator[tuple[Any, ...]]:
    """Send one statement; its rows as they come, so that memory does not grow with them. Nothing else meanwhile."""
    connection.ensure_connection()
    with connection.wrap_database_errors, logged(statement):
        yield from psycopg.Cursor(connection.connection).stream(statement, parameters or None, size=ROWS_AT_ONCE)


def fetch(statement: str, *parameters: object, prepare: bool = False) -> Rows:
    """Send one statement and wait for its rows."""
    return rows(send(statement, *parameters, prepare=prepare))


@contextmanager
def pipeline() -> Iterator[None]:
    """What is sent inside goes out without waiting; leaving it waits for all."""
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


def columns(table: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as `width` arrays, for `unnest`."""
    return [list(column) for column in zip(*table, strict=True)] if table else [[] for _ in range(width)]
