"""The command line, for somebody whose servers are not running."""

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings


def run(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={**own, "TALLYBOOK_STATE": str(state)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_servers_that_do_not_run_are_said_in_two_lines(tmp_path: Path) -> None:
    ended = run(tmp_path, "rebuild_usage", "--check")
    assert ended.returncode == 1
    first, second = ended.stderr.strip().splitlines()[-2:]
    assert first.startswith("DATABASE_URL: connection")
    assert second == "Servers of Tallybook's own run while `make run` does: leave it open beside this."
    assert "Traceback" not in ended.stderr
    assert "Traceback" in run(tmp_path, "rebuild_usage", "--check", "--traceback").stderr
