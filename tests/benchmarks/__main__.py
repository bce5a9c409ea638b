"""`python -m tests.benchmarks [NAME …]`: measure against floors taken in the same run; all when none is named.

A benchmark is a module of this folder with `UNIT`, what one unit of work is, and `measure(progress)`, which gives
(floor, ours) in units per second for each of its runs. It gets an empty, migrated database of its own, with
PostgreSQL's fsync and synchronous_commit on. Printed is the run whose ratio, ours ÷ floor, is the median.
"""

# ruff: noqa: T201 (it prints what was measured)

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from billing_site import embedded

Runs = Sequence[tuple[float, float]]


def names() -> list[str]:
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def line(name: str, runs: Runs) -> str:
    """The result of a benchmark, by its middle run."""
    floor, ours = sorted(runs, key=lambda run: run[1] / run[0])[len(runs) // 2]
    return f"bench {name} ratio={ours / floor:.3f} floor={floor:.0f} ours={ours:.0f}"


def run(name: str) -> None:
    """Measure one benchmark in this process, on servers that are gone afterwards."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "billing_site.settings"
    state = Path(tempfile.mkdtemp(prefix="tallybook-bench-")).resolve()
    state.chmod(0o711)  # as root, PostgreSQL runs as another user, who passes through
    os.environ["TALLYBOOK_STATE"] = str(state)
    for address in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(address, None)  # never somebody's own data
    try:
        with embedded.hold(state, f"the benchmark {name}"), embedded.servers(state) as servers:
            os.environ |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
            _measure(name)
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _measure(name: str) -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    benchmark = import_module(f"tests.benchmarks.{name}")
    found: Runs | Mapping[str, Runs] = benchmark.measure(lambda text: print(f"  {text}", file=sys.stderr, flush=True))
    for variant, runs in found.items() if isinstance(found, Mapping) else [("", found)]:
        print(line(f"{name}_{variant}" if variant else name, runs), flush=True)
    print(
        f"  one unit of work is {benchmark.UNIT}; figures are units per second, the middle one of {_count(found)} runs"
    )


def _count(found: Runs | Mapping[str, Runs]) -> int:
    return len(next(iter(found.values())) if isinstance(found, Mapping) else found)


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(names())
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(names())}.", file=sys.stderr)
        return 2
    if len(wanted) == 1:
        run(wanted[0])
        return 0
    each = [subprocess.run([sys.executable, "-m", "tests.benchmarks", name], check=False) for name in wanted or names()]
    return max(process.returncode for process in each)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
