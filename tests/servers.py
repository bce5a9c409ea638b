"""A pytest plugin: a session has a PostgreSQL and a Redis of its own, unless DATABASE_URL and REDIS_URL name others.

`-p tests.servers` loads it before pytest-django reads the settings. The controller of a parallel session runs the
servers in a fresh folder and hands their addresses on in the environment; each worker takes a Redis database of its own
(pytest-django gives it a database of its own).
"""

import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from billing_site import embedded

_PREFIX = "tallybook-test-"
_STARTING = 60.0  # seconds in which another session may have made its folder and not hold it yet
_session = pytest.StashKey[Path]()
_running = pytest.StashKey[ExitStack]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Name the servers before anybody reads the settings. Addresses follow from the folder, so none has to run."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        address = os.environ.get("REDIS_URL") or embedded.redis_url()
        os.environ["REDIS_URL"] = embedded.with_redis_database(address, int(worker.removeprefix("gw")) + 1)
    else:
        _remove_abandoned()
        state = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        state.chmod(0o711)  # as root, PostgreSQL runs as another user, who passes through
        early_config.stash[_session] = state
        early_config.add_cleanup(lambda: shutil.rmtree(state, ignore_errors=True))
        os.environ["TALLYBOOK_STATE"] = str(state)
        (state / "static").mkdir()
    yield
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start what the environment does not name. xdist starts its workers after this."""
    state = session.config.stash.get(_session, None)
    if state is None or session.config.option.collectonly:
        return
    stack = session.config.stash[_running] = ExitStack()
    stack.enter_context(embedded.hold(state, "pytest"))
    if "DATABASE_URL" not in os.environ:
        stack.enter_context(embedded.postgres.running(embedded.postgres.data_folder(state)))
        os.environ["DATABASE_URL"] = embedded.database_url(state)
    if "REDIS_URL" not in os.environ:
        stack.enter_context(embedded.redis.running(embedded.redis.data_folder(state)))
        os.environ["REDIS_URL"] = embedded.redis_url(state)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Stop them when everybody else has finished, also after Ctrl-C."""
    try:
        yield
    finally:
        if stack := session.config.stash.get(_running, None):
            stack.close()
    return None


def _remove_abandoned() -> None:
    """Sessions that were killed leave a folder that nobody holds. Their servers ended with them, or end here."""
    for state in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(embedded.StateHeld, OSError):  # held, not ours, or just removed by another session
            if time.time() - (state / "lock").stat().st_mtime < _STARTING or state.stat().st_uid != os.geteuid():
                continue
            with embedded.hold(state, "pytest"):
                embedded.postgres.end_leftover(embedded.postgres.data_folder(state))
                embedded.redis.end_leftover(embedded.redis.data_folder(state))
                shutil.rmtree(state, ignore_errors=True)
