"""`make run` as a person meets it: a process that serves, refuses a second one, and leaves nothing running."""

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from httpx2 import Client, HTTPError

from billing_site import procfile, supervisor
from billing_site.children import spawn
from billing_site.embedded import hold
from billing_site.restarts import Restarts
from tests.processes import wait_until

SIGN_IN = re.compile(r"Sign in as (\S+) with the password (\S+)")
API = """
import sys
from billing_site import supervisor
with supervisor.site(processes=("web",), holder="a test") as site:
    print(*(process.child.pid for process in site.processes.values()), *site.servers, flush=True)
    raise RuntimeError("the story went wrong")
"""


@dataclass
class Supervised:
    """A supervisor in a process of its own, what it said, and everybody it has started."""

    state: Path
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    family: list[psutil.Process] = field(default_factory=list)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def base_url(self) -> str:
        found = re.search(r"Admin +(http://\S+)/admin/", self.output)
        assert found is not None
        return found[1]

    def member(self, argument: str) -> psutil.Process:
        return next(process for process in self.family if argument in process.cmdline())

    def process_children(self) -> list[psutil.Process]:
        """Whom the supervisor itself has started, and who runs."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]

    def end(self, number: int) -> int:
        """Send a signal; the exit code. Nobody of the family is left."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(timeout=60)
        _, alive = psutil.wait_procs(self.family, timeout=1)
        assert alive == []
        return code


def answers(client: Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except HTTPError:
        return False


def environment(state: Path, **names: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    return {**own, "TALLYBOOK_STATE": str(state), "PORT": str(supervisor.free_port()), **names}


def start(state: Path, **names: str) -> Supervised:
    process = subprocess.Popen(
        [sys.executable, "-m", "billing_site.supervisor", "run"],
        cwd=procfile.PROJECT,
        env=environment(state, **names),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    running = Supervised(state, process)
    threading.Thread(target=running.lines.extend, args=(map(str.rstrip, process.stdout),), daemon=True).start()
    wait_until(lambda: "Ctrl-C stops everything" in running.output or process.poll() is not None, 90)
    assert process.poll() is None, running.output
    running.family = psutil.Process(process.pid).children(recursive=True)
    return running


def run_python(state: Path, arguments: Sequence[str], **names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=procfile.PROJECT,
        env=environment(state, **names),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tallybook-run-") as folder:
        yield Path(folder).resolve()


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A state that is made once and started again: also what is there already has to be served."""
    with tempfile.TemporaryDirectory(prefix="tallybook-run-") as folder:
        yield Path(folder).resolve()


def test_it_serves_refuses_a_second_one_and_ends_on_ctrl_c(home: Path) -> None:
    running = start(home)
    assert {"postgres", "redis-server"} < {process.name() for process in running.family}

    with Client(base_url=running.base_url) as client:
        assert client.get("/readyz").status_code == 200
        username, password = SIGN_IN.findall(running.output)[0]
        client.get("/admin/login/")
        token = client.cookies["csrftoken"]
        answer = client.post(
            "/admin/login/", data={"username": username, "password": password, "csrfmiddlewaretoken": token}
        )
        assert answer.status_code == 302
    assert stat.S_IMODE((home / "operator_password").stat().st_mode) == 0o600

    second = run_python(home, ["-m", "billing_site.supervisor", "run"], PORT=running.base_url.rpartition(":")[2])
    assert second.returncode == 1
    assert f"held by make run (process {running.process.pid}, since " in second.stderr
    assert "Traceback" not in second.stderr

    assert running.end(signal.SIGINT) == 0
    assert running.lines[-1] == "Stopped."


@pytest.mark.faults
def test_who_dies_is_started_again_while_the_rest_runs_and_without_a_database_nobody_runs(home: Path) -> None:
    running = start(home)
    for name, argument in (("worker", "worker"), ("web", "wsgi")):
        killed = running.member(argument)
        rest = [process for process in running.process_children() if process.pid != killed.pid]

        killed.kill()

        died = re.compile(rf"^{name} +\| died \(killed by SIGKILL\); it is started again in 1 s\.$", re.MULTILINE)
        wait_until(lambda died=died: died.search(running.output), what="the word of it")  # type: ignore[misc]
        wait_until(
            lambda argument=argument: any(  # type: ignore[misc]
                argument in child.cmdline() for child in running.process_children()
            ),
            what="a new life",
        )
        with Client(base_url=running.base_url) as client:
            wait_until(lambda client=client: answers(client), what="an answer from /readyz")  # type: ignore[misc]
        assert all(process.is_running() for process in rest)
    running.family = psutil.Process(running.process.pid).children(recursive=True)

    next(process for process in running.family if process.name() == "postgres" and "-D" in process.cmdline()).kill()

    assert running.wait() == 1
    assert "postgres died (killed by SIGKILL)" in running.output


def test_a_process_that_keeps_dying_ends_all_and_shows_its_last_words(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restarts = Restarts()
    assert [restarts.died(second) for second in (0.0, 1.0, 2.0, 3.0)] == [1.0, 2.0, 4.0, 8.0]
    restarts.due = None
    dying = spawn([sys.executable, "-c", "raise SystemExit(3)"], stdout=subprocess.DEVNULL)
    process = procfile.Process("worker", dying, deque(["no such queue"]))
    site = supervisor.Site("", state, "", "", None, {"worker": process}, restarts={"worker": restarts})
    dying.wait()

    monkeypatch.setattr("billing_site.supervisor.time.monotonic", lambda: 59.0)
    with pytest.raises(supervisor.SiteError) as refused:
        site.wait()

    assert "worker died 5 times within 60 s, the last time: exit code 3." in str(refused.value)
    assert str(refused.value).endswith("no such queue")


def test_deaths_long_ago_do_not_count() -> None:
    restarts = Restarts()

    assert [restarts.died(61.0 * number) for number in range(9)] == [1.0] * 9


def test_named_servers_replace_the_embedded_ones_and_an_error_in_the_block_ends_all(state: Path) -> None:
    done = run_python(state, ["-c", API], DATABASE_URL=os.environ["DATABASE_URL"], REDIS_URL=os.environ["REDIS_URL"])

    assert done.returncode == 1
    assert done.stderr.strip().endswith("RuntimeError: the story went wrong")
    (pid,) = done.stdout.split()  # one process of ours, and no server
    assert not psutil.pid_exists(int(pid))
    assert "granian" in (state / "logs" / "web.log").read_text()


def test_a_port_that_is_taken_is_named_with_the_way_out(state: Path) -> None:
    done = run_python(state, ["-m", "billing_site.supervisor", "run"], PORT="1", HOST="203.0.113.1")

    assert done.returncode == 1
    assert "Port 1 on 203.0.113.1 cannot be used" in done.stderr
    assert "make run PORT=2" in done.stderr


def test_a_port_that_is_no_number_is_named(state: Path) -> None:
    done = run_python(state, ["-m", "billing_site.supervisor", "run"], PORT="http")

    assert done.returncode == 1
    assert "PORT is “http”; it must be a whole number such as 8000." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"DATABASE_URL": "mysql://a:hush@x/y"},
            "DATABASE_URL must begin with postgresql://; what stands there begins",
        ),
        ({"DATABASE_URL": "hush"}, "DATABASE_URL must begin with postgresql://; what stands there is no such address."),
        ({"REDIS_URL": "http://:hush@x"}, "REDIS_URL must begin with redis://; what stands there begins with http://."),
        ({"DATABASE_URL": "postgresql://a:hush@127.0.0.1:1/y"}, "DATABASE_URL: connection to server at"),
        ({"REDIS_URL": "redis://:hush@127.0.0.1:1/0"}, "REDIS_URL: Error 111 connecting to 127.0.0.1:1."),
    ],
)
def test_a_server_that_is_not_there_is_named_by_its_variable(state: Path, names: dict[str, str], message: str) -> None:
    real = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}

    done = run_python(state, ["-m", "billing_site.supervisor", "run"], **{**real, **names})

    assert done.returncode == 1
    assert done.stderr.strip().startswith(message)
    assert len(done.stderr.strip().splitlines()) == 1
    assert "hush" not in done.stderr


def test_holding_the_state_is_told_to_the_demo(state: Path) -> None:
    with hold(state, "make run"):
        done = run_python(state, ["-m", "billing_site.demo"])

    assert done.returncode == 1
    assert "held by make run" in " ".join((done.stdout + done.stderr).split())


def test_the_procfile_names_the_three_processes() -> None:
    assert list(procfile.commands()) == ["web", "worker", "beat"]


def test_a_line_that_is_no_process_is_named(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("# a comment\n\nweb: granian\nworker celery\n")

    with pytest.raises(ValueError, match=r"Procfile, line 4: expected `name: command`, found 'worker celery'"):
        procfile.commands(tmp_path / "Procfile")


def test_a_process_that_the_procfile_does_not_name_is_refused() -> None:
    with pytest.raises(ValueError, match="has no process 'wallet'"):
        procfile.start("wallet", {}, lambda name, line: None)
