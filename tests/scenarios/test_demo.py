"""`make demo` as a newcomer runs it: in an empty state folder, then again over its own data."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from billing_site import embedded, procfile

pytestmark = pytest.mark.scenarios

DEMO_SECONDS = 180


def run_demo(state: Path) -> subprocess.CompletedProcess[str]:
    unset = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [sys.executable, "-m", "billing_site.demo"],
        cwd=procfile.PROJECT,
        env={**environment, "TALLYBOOK_STATE": str(state), "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )


def processes_of(state: Path) -> list[str]:
    """Command lines of what still runs for a state folder."""
    left = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(state) in words or (process.info["environ"] or {}).get("TALLYBOOK_STATE") == str(state):
            left.append(words)
    return left


def invoice_of(printed: str) -> tuple[str, str]:
    """Number and id of the invoice that the demo shows."""
    found = re.search(r"Invoice (\S+)\s+·\s+id (\d+)", printed)
    assert found, printed
    return found[1], found[2]


def test_the_demo_bills_680_dollars_ends_by_itself_and_works_again(tmp_path: Path) -> None:
    state = tmp_path / "state"

    first = run_demo(state)

    assert first.returncode == 0, first.stdout + first.stderr
    assert "28,185 events accepted, 0 duplicates dropped" in first.stdout
    assert "0 events accepted, 28,185 duplicates dropped" in first.stdout
    assert "680.00 USD" in first.stdout
    for amount in ("281.85", "223.62", "81.77", "90.30", "2.46"):
        assert amount in first.stdout
    assert "make run" in first.stdout
    assert processes_of(state) == []

    second = run_demo(state)

    assert second.returncode == 0, second.stdout + second.stderr
    assert "28,185 events accepted" not in second.stdout
    assert "November 2023: it is billed already." in second.stdout
    assert second.stdout.count("0 events accepted, 28,185 duplicates dropped") == 2
    assert invoice_of(second.stdout) == invoice_of(first.stdout)
    assert processes_of(state) == []


def test_the_demo_says_so_when_the_data_is_held(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with embedded.hold(state, "make run"):
        held = run_demo(state)

    assert held.returncode == 1
    assert "make run" in held.stdout
