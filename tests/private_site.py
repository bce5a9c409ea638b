"""A PostgreSQL of a test's own, which it may stop and kill: the session's must outlive every test."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from billing_site import embedded, procfile
from billing_site.children import Child


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """A fresh folder for a server's data; gone afterwards."""
    state = Path(tempfile.mkdtemp(prefix=f"tallybook-{name}-")).resolve()
    state.chmod(0o711)  # as root, PostgreSQL runs as another user, who passes through
    try:
        yield embedded.postgres.data_folder(state)
    finally:
        shutil.rmtree(state, ignore_errors=True)


def python(address: str, script: str) -> str:
    """What a script prints that runs in the site, on the database at `address`. RuntimeError: what it said instead."""
    names = {**os.environ, "DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "billing_site.settings"}
    text = f"import django\ndjango.setup()\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=procfile.PROJECT, env=names, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{done.stdout}\n{done.stderr}")
    return done.stdout


def kill_all(server: Child) -> None:
    """SIGKILL to PostgreSQL and everything it has started: each has a session of its own, which no group reaches."""
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    for process in family:
        if process.is_running():
            process.send_signal(signal.SIGKILL)
    server.wait(timeout=30)
    psutil.wait_procs(family[1:], timeout=30)


def backends(server: Child) -> list[psutil.Process]:
    """The processes that serve connections to the site's database."""
    found = psutil.Process(server.pid).children()
    return [each for each in found if "tallybook" in " ".join(each.cmdline())]
