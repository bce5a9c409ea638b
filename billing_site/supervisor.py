"""One process that owns all others: `python -m billing_site.supervisor run` (`make run`), and `site()` for `make demo`.

It holds the state folder, runs the embedded servers when DATABASE_URL or REDIS_URL is unset, brings the database up to
date, and starts the processes of the Procfile. A process that dies is started again. What ends the supervisor (Ctrl-C,
SIGTERM, an exception, a server that died, a process that keeps dying) ends all of them.
"""

import errno
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

from django.core.exceptions import ImproperlyConfigured

from billing_site import embedded, environment, procfile
from billing_site.children import Child, stop
from billing_site.demo_operator import Operator, demo_operator
from billing_site.prepare import AWAY, OWN_USERS
from billing_site.restarts import MAX_DEATHS, WITHIN_SECONDS, Restarts

ALL = ("web", "worker", "beat")
READY_SECONDS = 60.0
PORT_SECONDS = 3.0
_COLOURS = {"web": 36, "worker": 33, "beat": 35}


class SiteError(Exception):
    """The site cannot start, or cannot go on. The message says what died and shows its last words."""


@dataclass
class Site:
    """A running site."""

    base_url: str
    state: Path
    database_url: str
    redis_url: str
    operator: Operator | None
    """Who may sign in with a password we know; None when the database has users of its own."""
    processes: dict[str, procfile.Process] = field(default_factory=dict)
    servers: dict[str, Child] = field(default_factory=dict)

    restarts: dict[str, Restarts] = field(default_factory=dict)
    start: Callable[[str], procfile.Process] | None = None
    """Starts the process of that name; `say` gets what the supervisor has to tell of it."""
    say: Callable[[str, str], None] = lambda name, line: None

    def check(self) -> None:
        """Raise `SiteError` when a process or an embedded server has died."""
        self._check_servers()
        for name, process in self.processes.items():
            if process.child.poll() is not None:
                raise SiteError(f"{name} died ({_ending(process.child)}). {_last_words(process)}")

    def wait(self) -> None:
        """Serve until something ends it; start what dies again. Raises `SiteError` when that does not help."""
        while True:
            self._check_servers()
            for name in self.processes:
                self._keep_running(name)
            time.sleep(0.2)

    def _check_servers(self) -> None:
        for name, server in self.servers.items():
            if server.poll() is not None:
                raise SiteError(f"{name} died ({_ending(server)}). Its log: {self.state / name}.log")

    def _keep_running(self, name: str) -> None:
        process, restarts = self.processes[name], self.restarts.setdefault(name, Restarts())
        if process.child.poll() is None:
            return
        if restarts.due is None:
            stop([process.child])  # what it had started itself may hold its port or its tasks
            wait = restarts.died(time.monotonic())
            if wait is None:
                times = f"{MAX_DEATHS} times within {WITHIN_SECONDS:.0f} s"
                raise SiteError(f"{name} died {times}, the last time: {_ending(process.child)}. {_last_words(process)}")
            self.say(name, f"died ({_ending(process.child)}); it is started again in {wait:.0f} s.")
        elif time.monotonic() >= restarts.due:
            restarts.due = None
            assert self.start is not None
            self.processes[name] = self.start(name)


@contextmanager
def site(
    state: Path | None = None,
    *,
    processes: Sequence[str] = ALL,
    port: int | None = None,
    holder: str = "make run",
    say: Callable[[str, str], None] | None = None,
) -> Iterator[Site]:
    """A running site for as long as the block runs; nothing of it is left running afterwards.

    `port` None picks a free one. `say(name, line)` gets what the processes print; without it, each prints into
    `<state>/logs/<name>.log`. Inside the block, DATABASE_URL, REDIS_URL and TALLYBOOK_STATE of this process's
    environment name the site's, so `django.setup()` may follow. Call it from the main thread: it handles signals.

    Raises `embedded.StateHeld`, `embedded.ServerError` or `SiteError`; on SIGTERM and SIGHUP, KeyboardInterrupt.
    """
    environment.read_file(procfile.PROJECT / ".env")
    state = state or embedded.state_dir()
    with ExitStack() as stack:
        ending = stack.enter_context(_signals())
        stack.enter_context(embedded.hold(state, holder))
        if port:
            _require_free(port)
        (state / "static").mkdir(exist_ok=True)
        servers = _start_servers(stack, state)
        port = port or free_port()
        names = {
            "TALLYBOOK_STATE": str(state),
            "DATABASE_URL": os.environ.get("DATABASE_URL") or embedded.database_url(state),
            "REDIS_URL": os.environ.get("REDIS_URL") or embedded.redis_url(state),
        }
        stack.enter_context(_environment(names))
        may_sign_in = _prepare()
        running = Site(
            base_url=f"http://{_visitor_host()}:{port}",
            state=state,
            database_url=names["DATABASE_URL"],
            redis_url=names["REDIS_URL"],
            operator=demo_operator(state) if may_sign_in else None,
            servers=servers,
            say=say or _log_files(stack, state),
        )
        stack.callback(lambda: stop(process.child for process in running.processes.values()))
        stack.callback(ending)
        running.start = partial(procfile.start, environment={**os.environ, "PORT": str(port)}, say=running.say)
        for name in processes:
            running.processes[name] = running.start(name)
        _wait_until_ready(running, port, "/readyz" if "worker" in processes else "/healthz")
        yield running


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_host(), 0))
        return int(probe.getsockname()[1])


def _require_free(port: int) -> None:
    """Raise `SiteError` when somebody listens on `port`; what has just been stopped gets a moment to leave."""
    deadline = time.monotonic() + PORT_SECONDS
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_host(), port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                    raise SiteError(
                        f"Port {port} on {_host()} cannot be used: {error.strerror}. "
                        f"Choose another: make run PORT={port + 1}"
                    ) from error
            else:
                return
        time.sleep(0.2)


def _host() -> str:
    return os.environ.get("HOST") or "127.0.0.1"


def _visitor_host() -> str:
    return "127.0.0.1" if _host() == "0.0.0.0" else _host()  # noqa: S104 - compared, not bound


def _ending(child: Child) -> str:
    code = child.returncode
    return f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _last_words(process: procfile.Process) -> str:
    time.sleep(0.1)  # they are still on their way
    return "Its last words:\n" + "\n".join(process.tail)


def _start_servers(stack: ExitStack, state: Path) -> dict[str, Child]:
    servers = {}
    try:
        own_database = not environment.address("DATABASE_URL", environment.POSTGRES)
        own_redis = not environment.address("REDIS_URL", environment.REDIS)
    except ImproperlyConfigured as error:
        raise SiteError(str(error)) from None
    if own_database:
        servers["postgres"] = stack.enter_context(embedded.postgres.running(embedded.postgres.data_folder(state)))
    if own_redis:
        servers["redis"] = stack.enter_context(embedded.redis.running(embedded.redis.data_folder(state)))
    return servers


def _prepare() -> bool:
    """Migrate. Returns whether the demo operator may sign in."""
    done = subprocess.run(
        [sys.executable, "-m", "billing_site.prepare"],
        cwd=procfile.PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == AWAY:
        raise SiteError(done.stderr.strip())
    if done.returncode not in (0, OWN_USERS):
        raise SiteError(f"The database could not be brought up to date:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def _wait_until_ready(running: Site, port: int, path: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    answer = "nothing"
    while time.monotonic() < deadline:
        running.check()
        connection = http.client.HTTPConnection(_host(), port, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": "localhost"})
            response = connection.getresponse()
            answer = f"{response.status} {response.read(500).decode('utf-8', errors='replace')}"
            if response.status == http.HTTPStatus.OK:
                return
        except (OSError, http.client.HTTPException) as error:
            answer = str(error)
        finally:
            connection.close()
        time.sleep(0.1)
    words = "\n".join(f"{name} | {line}" for name, process in running.processes.items() for line in process.tail)
    raise SiteError(f"The site was not ready after {READY_SECONDS:.0f} s: {path} answered {answer}.\n{words}")


@contextmanager
def _environment(names: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _signals() -> Iterator[Callable[[], None]]:
    """Let SIGTERM and SIGHUP end the block like Ctrl-C. Yields what to call when the end begins: none disturbs it."""
    listening = True

    def end() -> None:
        nonlocal listening
        listening = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        if listening:
            end()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _log_files(stack: ExitStack, state: Path) -> Callable[[str, str], None]:
    folder = state / "logs"
    folder.mkdir(exist_ok=True)
    files = {
        name: stack.enter_context((folder / f"{name}.log").open("w", encoding="utf-8", buffering=1)) for name in ALL
    }

    def say(name: str, line: str) -> None:
        if not files[name].closed:
            files[name].write(f"{line}\n")

    return say


def _to_terminal(name: str, line: str) -> None:
    prefix = f"{name:<6} |"
    if sys.stdout.isatty():
        prefix = f"\033[{_COLOURS.get(name, 37)}m{prefix}\033[0m"
    try:
        sys.stdout.write(f"{prefix} {line}\n")
        sys.stdout.flush()
    except (
        OSError,
        ValueError,
    ):  # nobody listens any more; the process must not block on that
        pass


def _greet(running: Site) -> None:
    url = running.base_url.replace("127.0.0.1", "localhost")
    lines = [
        "",
        f"  Admin      {url}/admin/",
        f"  API        {url}/v1/docs",
        f"  Health     {url}/healthz  {url}/readyz",
        "",
        f"  Sign in as {running.operator.username} with the password {running.operator.password}"
        if running.operator
        else "  Sign in with an account of yours (manage.py createsuperuser makes one).",
        "  Ctrl-C stops everything.",
        "",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def run() -> int:
    """Serve until Ctrl-C. Returns the exit code."""
    try:
        environment.read_file(procfile.PROJECT / ".env")
        sys.stdout.write("Starting Tallybook. The first start takes a few seconds.\n")
        with site(port=environment.whole("PORT", 8000), holder="make run", say=_to_terminal) as running:
            _greet(running)
            running.wait()
    except KeyboardInterrupt:
        sys.stdout.write("Stopped.\n")
        return 0
    except (SiteError, embedded.ServerError, embedded.StateHeld, ImproperlyConfigured) as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:] != ["run"]:
        sys.exit("usage: python -m billing_site.supervisor run")
    sys.exit(run())
