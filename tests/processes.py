"""Real processes for tests: web, worker and beat as the Procfile says, against this test worker's database and Redis.

The fixture `processes` (see `tests/conftest.py`) starts them, says what they said when a test fails, and kills them.
"""

import http.client
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.db import connection

from billing_site import heartbeats, procfile, supervisor
from billing_site.children import Child, signal_group, stop
from billing_site.embedded import state_dir

START_SECONDS = 60.0


class NotReadyError(Exception):
    """A process did not start, or ended too early. The message holds all that it said."""


def wait_until(condition: Callable[[], object], seconds: float = 30.0, what: str = "the condition") -> None:
    """Ask again and again until it holds. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:.0f} s"
        time.sleep(0.05)


def database_url() -> str:
    """DATABASE_URL, with the name of the database that pytest-django has made for this test worker."""
    address = os.environ["DATABASE_URL"]
    return urlsplit(address)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


@dataclass
class Running:
    """One process that was started, with everything it has said so far."""

    name: str
    child: Child
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def is_running(self) -> bool:
        return self.child.poll() is None

    def kill_group(self) -> None:
        """SIGKILL to the process and all its children, at once, as when a machine dies."""
        signal_group(self.child, signal.SIGKILL)
        self.child.wait(timeout=10)

    def stop(self) -> None:
        """SIGTERM, and ten seconds to finish what it does."""
        stop([self.child])

    def wait_for(self, text: str, seconds: float = START_SECONDS) -> None:
        """Wait until the process has said `text`."""
        self.wait_until(lambda: text in self.output, seconds, f"say {text!r}")

    def wait_until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.is_running() or time.monotonic() > deadline:
                reason = "took too long to" if self.is_running() else f"ended with {self.child.returncode} and did not"
                raise NotReadyError(f"{self.name} {reason} {what}. It said:\n{self.output}")
            time.sleep(0.05)


@dataclass
class Web(Running):
    base_url: str = ""


@dataclass
class Processes:
    """Starts processes, remembers them, and ends them all."""

    started: list[Running] = field(default_factory=list)

    def web(self, *, workers: int = 1, threads: int = 4, environment: Mapping[str, str] | None = None) -> Web:
        """A granian on a free port. Returns when it answers."""
        port = supervisor.free_port()
        names = {"PORT": str(port), "WEB_WORKERS": str(workers), "WEB_THREADS": str(threads), **(environment or {})}
        child, lines = self._start("web", names)
        web = Web("web", child, lines, f"http://127.0.0.1:{port}")
        self.started.append(web)
        web.wait_until(lambda: _answers(port), START_SECONDS, f"answer on port {port}")
        return web

    def worker(
        self,
        *,
        concurrency: int = 1,
        pool: str = "prefork",
        app: str = "billing_site",
        environment: Mapping[str, str] | None = None,
    ) -> Running:
        """A Celery worker. `app` may name a module of the tests that joins the site's app and adds to it."""
        names = {
            "WORKER_CONCURRENCY": str(concurrency),
            "WORKER_POOL": pool,
            "WORKER_APP": app,
            **(environment or {}),
        }
        child, lines = self._start("worker", names)
        worker = Running("worker", child, lines)
        self.started.append(worker)
        worker.wait_for(" ready.")
        return worker

    def beat(self, *, environment: Mapping[str, str] | None = None) -> Running:
        """A Celery beat. Returns when it has given its sign of life."""
        with heartbeats.connect() as client:
            client.delete(heartbeats.BEAT)
        child, lines = self._start("beat", environment or {})
        beat = Running("beat", child, lines)
        self.started.append(beat)
        with heartbeats.connect() as client:
            beat.wait_until(lambda: heartbeats.signs(client)["beat"], START_SECONDS, "give a sign of life")
        return beat

    def close(self) -> None:
        """Kill what still runs, and say what each of them said: pytest shows it when the test has failed."""
        for running in self.started:
            if running.is_running():
                running.kill_group()
            print(f"--- {running.name} said:\n{running.output}")  # noqa: T201

    def _start(self, name: str, environment: Mapping[str, str]) -> tuple[Child, list[str]]:
        lines: list[str] = []
        names = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "TALLYBOOK_STATE": str(state_dir()),
            "PYTHONPATH": str(procfile.PROJECT),
            "LOG_LEVEL": "INFO",
            **environment,
        }
        return procfile.start(name, names, lambda _, line: lines.append(line)).child, lines


def _answers(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        client.request("GET", "/healthz", headers={"Host": "localhost"})
        return client.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()
