"""Servers of Tallybook's own: a real PostgreSQL and a real Redis, out of wheels, for a machine that has none.

Everything lives in one state folder. The addresses follow from that folder alone, so a `manage.py` in another shell
finds the servers that a running supervisor owns. This package knows nothing of Django: the settings read it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from billing_site.children import Child
from billing_site.embedded import postgres, redis
from billing_site.embedded.errors import ServerError
from billing_site.embedded.redis import broker_url, with_redis_database
from billing_site.embedded.state import StateHeld, hold, secret

__all__ = [
    "ServerError",
    "Servers",
    "StateHeld",
    "broker_url",
    "database_url",
    "hold",
    "postgres",
    "redis",
    "redis_url",
    "secret_key",
    "servers",
    "state_dir",
    "with_redis_database",
]

_PROJECT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Servers:
    """Two running servers: where they answer, and the processes behind them by name."""

    database_url: str
    redis_url: str
    processes: dict[str, Child]


def state_dir() -> Path:
    """The folder that holds everything this site writes to disk: `TALLYBOOK_STATE`, or `.state` in the project."""
    return Path(os.environ.get("TALLYBOOK_STATE") or _PROJECT / ".state").expanduser().resolve()


def secret_key() -> str:
    """Django's SECRET_KEY: made once, kept in the state folder, readable by its owner only."""
    return secret(state_dir() / "secret_key")


def database_url(state: Path | None = None) -> str:
    """The address of the embedded PostgreSQL, whether it runs or not."""
    return postgres.url(postgres.data_folder(state or state_dir()))


def redis_url(state: Path | None = None) -> str:
    """The address of the embedded Redis, whether it runs or not, in the form that redis-py reads."""
    return redis.url(redis.data_folder(state or state_dir()))


@contextmanager
def servers(state: Path) -> Iterator[Servers]:
    """Run both servers over the data in `state`. The caller holds the state folder (see `hold`).

    Raises `ServerError` when one cannot be started; leaves neither running.
    """
    with postgres.running(postgres.data_folder(state)) as database, redis.running(redis.data_folder(state)) as queue:
        yield Servers(database_url(state), redis_url(state), {"postgres": database, "redis": queue})
