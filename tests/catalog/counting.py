"""How much work something is, counted in executed lines: the same on every machine, however busy it is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


def lines(run: Callable[[], Any]) -> int:
    """How many lines were executed by `run`; a loop that stands in one line counts once for each turn."""
    count = 0

    def traced(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return traced

    with _tracing(traced):
        run()
    return count


@contextmanager
def _tracing(function: Any) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(function)
    try:
        yield
    finally:
        sys.settrace(before)
