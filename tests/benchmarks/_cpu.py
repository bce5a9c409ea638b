"""What a run costs in processor time: unlike its seconds, that hardly depends on what else the machine does."""

import os
from collections.abc import Mapping
from pathlib import Path

import psutil

from billing_site.embedded import postgres, state_dir


def seconds(**roots: int) -> dict[str, float]:
    """User and system seconds so far of each process with all its children, by name; PostgreSQL's and our own."""
    server = int((Path(postgres.data_folder(state_dir())) / "postmaster.pid").read_text().splitlines()[0])
    return {name: _tree(pid) for name, pid in {**roots, "postgres": server}.items()} | {
        "client": sum(os.times()[:2]),
    }


def per_unit(before: Mapping[str, float], after: Mapping[str, float], units: int) -> str:
    """Microseconds of processor time for each unit of work, in words."""
    spent = {name: (after[name] - before[name]) / units * 1e6 for name in before}
    return " + ".join(f"{name} {each:.1f}" for name, each in spent.items()) + f" = {sum(spent.values()):.1f} µs"


def _tree(pid: int) -> float:
    found = 0.0
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        # Children that have ended are on their parent's account.
        found += times.user + times.system + times.children_user + times.children_system
    return found
