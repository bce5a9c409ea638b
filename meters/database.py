"""Statements with binary parameters, several in one round trip."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import psycopg
from django.db import connection

Rows = list[tuple[Any, ...]]


def send(statement: str, *parameters: object, prepare: bool = False) -> psycopg.Cursor[tuple[Any, ...]]:
    """Send one statement; `%b` takes a binary parameter, which the server reads twice as fast as text.

    `prepare` lets the server keep its plan for the connection: for what every batch sends, whatever is in it.

    Django's own cursor fills parameters in as text. Errors are Django's all the same, and a test that counts queries
    counts it.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, _logged(statement):
        cursor = psycopg.Cursor(connection.connection)
        cursor.execute(statement, parameters or None, prepare=prepare)
    return cursor


def copy(statement: str, rows: bytes) -> None:
    """Copy rows in. Not within a `pipeline`."""
    connection.ensure_connection()
    with (
        connection.wrap_database_errors,
        _logged(statement),
        psycopg.Cursor(connection.connection).copy(statement) as copying,
    ):
        copying.write(rows)


@contextmanager
def _logged(statement: str) -> Iterator[None]:
    started = monotonic()
    yield
    if connection.queries_logged:
        connection.queries_log.append({"sql": statement, "time": f"{monotonic() - started:.3f}"})


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


def fetch(statement: str, *parameters: object) -> Rows:
    """Send one statement and wait for its rows."""
    return rows(send(statement, *parameters))


@contextmanager
def pipeline() -> Iterator[None]:
    """What is sent inside goes out without waiting; leaving it waits for all."""
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


def columns(table: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as `width` arrays, for `unnest`."""
    return [list(column) for column in zip(*table, strict=True)] if table else [[] for _ in range(width)]
