"""The embedded servers: start, stop, start over their own data, and recover from whatever was killed."""

import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from redis import Redis

from billing_site import embedded
from billing_site.embedded import postgres, redis
from billing_site.embedded.sockets import LONGEST_PATH
from billing_site.embedded.state import secret

SERVE = """
import sys, time
from pathlib import Path
from billing_site import embedded
state = Path(sys.argv[1])
with embedded.hold(state, "a test"), embedded.servers(state) as servers:
    print(*(child.pid for child in servers.processes.values()), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tallybook-embedded-") as folder:
        yield Path(folder).resolve()


def serve(state: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A supervisor in a process of its own, and the two servers it has started."""
    owner = subprocess.Popen([sys.executable, "-c", SERVE, str(state)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]


def notes(address: str) -> list[str]:
    with psycopg.connect(address) as connection:
        return [row[0] for row in connection.execute('SELECT text FROM note ORDER BY text COLLATE "C"')]


def write_note(address: str, text: str) -> None:
    with psycopg.connect(address) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", [text])


def test_data_outlives_the_server_and_nothing_else_does(state: Path) -> None:
    with embedded.hold(state, "a test"), embedded.servers(state) as servers:
        write_note(servers.database_url, "first")
        with Redis.from_url(servers.redis_url) as client:
            assert client.ping()
        running = [psutil.Process(child.pid) for child in servers.processes.values()]

    assert [process.is_running() for process in running] == [False, False]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(embedded.database_url(state))

    with embedded.hold(state, "a test"), embedded.servers(state) as servers:
        assert notes(servers.database_url) == ["first"]


def test_the_site_is_not_superuser_and_the_server_is_durable(state: Path) -> None:
    names = ["is_superuser", "fsync", "synchronous_commit", "full_page_writes", "TimeZone", "server_version"]

    with (
        embedded.hold(state, "a test"),
        postgres.running(postgres.data_folder(state)),
        psycopg.connect(embedded.database_url(state)) as connection,
    ):
        settings = [
            value
            for (value,) in connection.execute("SELECT current_setting(n) FROM unnest(%s::text[]) AS u (n)", [names])
        ]

    assert settings[:5] == ["off", "on", "on", "on", "UTC"]
    assert settings[5].startswith("18.")


@pytest.mark.faults
def test_servers_end_with_an_owner_that_is_killed(state: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends a process with its parent")
    owner, running = serve(state)
    write_note(embedded.database_url(state), "before")

    owner.kill()
    owner.wait()

    _, alive = psutil.wait_procs(running, timeout=10)
    assert alive == []
    with embedded.hold(state, "a test"), embedded.servers(state) as servers:
        assert notes(servers.database_url) == ["before"]


@pytest.mark.faults
def test_a_killed_server_recovers_what_was_committed(state: Path) -> None:
    owner, running = serve(state)
    write_note(embedded.database_url(state), "committed")

    for process in running:
        process.kill()
    owner.kill()
    owner.wait()
    assert (postgres.data_folder(state) / "postmaster.pid").exists()

    with embedded.hold(state, "a test"), embedded.servers(state) as servers:
        assert notes(servers.database_url) == ["committed"]


@pytest.mark.faults
def test_a_stale_process_id_that_now_belongs_to_another_program_is_no_obstacle(state: Path) -> None:
    data = postgres.data_folder(state)
    with embedded.hold(state, "a test"), embedded.servers(state):
        lines = (data / "postmaster.pid").read_text().splitlines()
    (data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    (data / "postmaster.pid").chmod(0o644)

    with embedded.hold(state, "a test"), embedded.servers(state) as servers:
        write_note(servers.database_url, "served")


@pytest.mark.faults
def test_servers_left_over_are_ended_and_replaced(state: Path) -> None:
    owner, running = serve(state)
    write_note(embedded.database_url(state), "kept")
    for process in running:
        process.suspend()  # so that they are still there when the next owner comes
    owner.kill()
    owner.wait()
    resumed = threading.Timer(1.0, lambda: [process.resume() for process in running])
    resumed.start()

    with embedded.hold(state, "a test"), embedded.servers(state) as servers:
        assert notes(servers.database_url) == ["kept"]
        assert {child.pid for child in servers.processes.values()}.isdisjoint(process.pid for process in running)
    resumed.join()


def test_a_long_path_puts_the_sockets_elsewhere(state: Path) -> None:
    deep = state / ("long " * 12).strip() / ("longer" * 12)
    assert len(os.fsencode(deep)) > LONGEST_PATH

    with embedded.hold(deep, "a test"), embedded.servers(deep) as servers:
        write_note(servers.database_url, "reached")
        with Redis.from_url(servers.redis_url) as client:
            assert client.ping()
        folder = postgres.socket_folder(postgres.data_folder(deep), ".s.PGSQL.5432")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_redis_addresses_name_the_database() -> None:
    assert redis.with_redis_database("unix:///a/redis.sock?db=0", 7) == "unix:///a/redis.sock?db=7"
    assert redis.with_redis_database("redis://:secret@host:6379/0", 7) == "redis://:secret@host:6379/7"
    assert redis.broker_url("unix:///a/redis.sock?db=7") == "redis+socket:///a/redis.sock?virtual_host=7"
    assert redis.broker_url("redis://host:6379/2") == "redis://host:6379/2"


def test_no_redis_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(embedded.ServerError, match="apt-get install redis-server"):
        redis.executable()


def test_a_second_holder_is_told_who_is_first(state: Path) -> None:
    told = rf"held by make demo \(process {os.getpid()}, since "
    with embedded.hold(state, "make demo"), pytest.raises(embedded.StateHeld, match=told):
        embedded.hold(state, "make run").__enter__()
    with embedded.hold(state, "make run"):
        pass


def test_a_secret_is_made_once_by_whoever_is_first(state: Path) -> None:
    found: list[str] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(secret(state / "secret"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(found[0]) > 50
    assert stat.S_IMODE((state / "secret").stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == ["secret"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_as_root_folders_may_be_passed_but_not_listed(state: Path) -> None:
    closed = state / "home"
    closed.mkdir(mode=0o700)

    with embedded.hold(closed / "state", "a test"), embedded.servers(closed / "state") as servers:
        assert psutil.Process(servers.processes["postgres"].pid).username() == "pgserver"

    assert stat.S_IMODE(closed.stat().st_mode) == 0o701
    assert stat.S_IMODE(postgres.data_folder(closed / "state").stat().st_mode) == 0o700
