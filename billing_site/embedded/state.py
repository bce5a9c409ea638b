"""The state folder: who holds it, and the secrets in it."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path


class StateHeld(Exception):
    """Another process works with this state folder. The message names it."""


@contextmanager
def hold(state: Path, holder: str) -> Iterator[None]:
    """Be the one process that owns `state`. Raises `StateHeld` at once when another is.

    `holder` is what a person would call this process, such as "make run". The kernel drops the lock with the process,
    so a crash leaves nothing to clean up.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read().strip() or "another process"
            raise StateHeld(
                f"{state} is held by {other}. Stop it first (Ctrl-C where it runs), "
                "or set TALLYBOOK_STATE to another folder for data of its own."
            ) from None
        file.truncate(0)
        file.write(f"{holder} (process {os.getpid()}, since {datetime.now().astimezone():%Y-%m-%d %H:%M %Z})\n")
        file.flush()
        yield


def secret(path: Path) -> str:
    """The secret kept in `path`, made at the first call. Whoever asks at the same time gets the same one."""
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(50))
    try:
        os.link(draft, path)  # fails if somebody was first, and never shows half a secret
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii")
