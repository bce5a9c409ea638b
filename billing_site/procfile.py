"""The Procfile: the one place that says how each process of the site starts."""

import os
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import IO

from billing_site.children import Child, spawn

PROJECT = Path(__file__).resolve().parent.parent
_LINE = re.compile(r"^(?P<name>[a-z][a-z0-9_-]*):\s*(?P<command>\S.*)$")
_TAIL_LINES = 40


@dataclass
class Process:
    """A running process of the site, and the last of what it said."""

    name: str
    child: Child
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))


def commands(path: Path = PROJECT / "Procfile") -> dict[str, str]:
    """The shell command of each process by name, in the order of the file."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if not (match := _LINE.match(line)):
            raise ValueError(f"{path.name}, line {number}: expected `name: command`, found {line!r}.")
        found[match["name"]] = match["command"]
    return found


def start(name: str, environment: Mapping[str, str], say: Callable[[str, str], None]) -> Process:
    """Start one process of the Procfile. `say(name, line)` gets every line it prints, from a thread of its own."""
    known = commands()
    if name not in known:
        raise ValueError(f"The Procfile has no process {name!r}. It has: {', '.join(known)}.")
    scripts = str(Path(sys.executable).parent)
    env = {
        **environment,
        "PATH": f"{scripts}{os.pathsep}{environment.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }
    child = spawn(["/bin/sh", "-c", f"exec {known[name]}"], stdout=PIPE, env=env, cwd=PROJECT)
    process = Process(name, child)
    assert child.stdout is not None
    threading.Thread(
        target=_read,
        args=(process, child.stdout, say),
        name=f"output of {name}",
        daemon=True,
    ).start()
    return process


def _read(process: Process, output: IO[bytes], say: Callable[[str, str], None]) -> None:
    for raw in output:
        line = raw.decode("utf-8", errors="replace").rstrip()
        process.tail.append(line)
        say(process.name, line)
