"""Child processes that own a process group and do not outlive the process that started them."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

STOP_SECONDS = 10.0
_PR_SET_PDEATHSIG = 1
# Looked up before any fork: the child of a fork may not load libraries.
_prctl = getattr(ctypes.CDLL(None), "prctl", None) if sys.platform == "linux" else None

Child = subprocess.Popen[bytes]


def _end_with_parent(signal_number: int) -> Callable[[], None] | None:
    """What the child does before exec: Linux then sends it `signal_number` when its parent dies, even by SIGKILL."""
    prctl = _prctl
    if prctl is None:
        return None
    return lambda: prctl(_PR_SET_PDEATHSIG, signal_number)


def spawn(
    command: Sequence[str | Path],
    *,
    stdout: IO[bytes] | int,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    end_signal: int = signal.SIGTERM,
) -> Child:
    """Start `command` in a session of its own, so that the terminal's Ctrl-C reaches only us.

    Call it from the main thread: Linux ties "ends with its parent" to the thread that forks.
    """
    return subprocess.Popen(
        [os.fspath(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        env=None if env is None else dict(env),
        cwd=cwd,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        start_new_session=True,
        preexec_fn=_end_with_parent(end_signal),  # noqa: PLW1509 - see _end_with_parent
    )


def signal_group(child: Child, signal_number: int) -> None:
    """Send a signal to everything the child has started. A group that is gone already is no error."""
    with suppress(ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        os.killpg(child.pid, signal_number)


def stop(children: Iterable[Child], *, end_signal: int = signal.SIGTERM, seconds: float = STOP_SECONDS) -> None:
    """Ask the children to end, wait for all of them together, then kill what is left of their groups."""
    children = list(children)
    for child in children:
        if child.poll() is None:
            child.send_signal(end_signal)
    deadline = time.monotonic() + seconds
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=max(0.0, deadline - time.monotonic()))
    for child in children:
        signal_group(child, signal.SIGKILL)
        child.wait()
