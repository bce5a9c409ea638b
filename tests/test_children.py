"""Children end when asked, and are made to end when they do not listen."""

import subprocess
import sys
import time

import psutil

from billing_site.children import spawn, stop

POLITE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("listening", flush=True)
signal.pause()
"""
DEAF = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if not os.fork():
    print("deaf", flush=True)
time.sleep(99)
"""


def test_a_child_that_listens_is_left_time_to_end() -> None:
    child = spawn([sys.executable, "-c", POLITE], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"listening\n"

    stop([child], seconds=5)

    assert child.returncode == 7
    child.stdout.close()


def test_a_family_that_does_not_listen_is_killed() -> None:
    child = spawn([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"deaf\n"
    family = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
    assert len(family) == 2
    begin = time.monotonic()

    stop([child], seconds=0.5)

    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    assert 0.5 <= time.monotonic() - begin < 5
    child.stdout.close()


def test_children_are_stopped_together() -> None:
    children = [spawn([sys.executable, "-c", DEAF], stdout=subprocess.DEVNULL) for _ in range(3)]
    begin = time.monotonic()

    stop(children, seconds=1.0)

    assert time.monotonic() - begin < 2.0
    assert {child.returncode for child in children} <= {-9, -15}


def test_a_child_has_a_session_of_its_own_and_no_input() -> None:
    code = "import os, sys; print(os.getsid(0) == os.getpid(), sys.stdin.read() == '')"
    child = spawn([sys.executable, "-c", code], stdout=subprocess.PIPE)

    assert child.communicate()[0] == b"True True\n"
