"""Locks of a run that end with the transaction, so that they hold behind a pooler of transactions too."""

from django.db import connection

# Any number that nothing else in the product uses for an advisory lock.
PLANNER = 7_263_001


def notice_a_dead_client() -> None:
    """A machine that vanishes says no goodbye: let the server probe this connection, and free its locks in 25 s.

    For this transaction. Over a unix socket, where a dead process is seen at once, these settings have no effect.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('tcp_keepalives_idle', '10', true), set_config('tcp_keepalives_interval', '5', true), "
            "set_config('tcp_keepalives_count', '3', true), set_config('client_connection_check_interval', '5s', true)"
        )


def is_planner() -> bool:
    """Whether this transaction is the one that plans; False when another one is at it. Does not wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [PLANNER])
        return bool(cursor.fetchone()[0])
