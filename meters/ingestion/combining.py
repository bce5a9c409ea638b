"""Threads of one process that have the same kind of work at the same time: one of them does it for all that wait. Pure.

Who comes while nobody is at work begins at once. Who comes meanwhile waits; when the work is done, the first of those
who wait does theirs and that of the next ones. Nobody waits for others to come, and nobody for long: who is not taken
along by then does its own beside.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

PATIENCE_SECONDS = 0.25
"""How long to wait for whoever is at work, before working beside it."""

Work = TypeVar("Work")
Result = TypeVar("Result")


class Apart(Exception):
    """It was not done together with others, and nothing is left of an attempt: do it by itself."""


class _Turn(Generic[Work, Result]):
    """One thread's work. `group`: what it is to do, when it leads; `results`: of one, once it is done."""

    def __init__(self, work: Work, size: int) -> None:
        self.work, self.size = work, size
        self.told = threading.Event()
        self.group: list[_Turn[Work, Result]] = []
        self.results: list[Result] = []


class Together(Generic[Work, Result]):
    """`do` does the work of several, at most `most` in size unless it is one, and gives the result of each.

    When it raises, one by itself gets the error, and each of several gets Apart.
    """

    def __init__(self, do: Callable[[list[Work]], list[Result]], most: int) -> None:
        self._do, self._most = do, most
        self._lock = threading.Lock()
        self._at_work = False
        self._waiting: deque[_Turn[Work, Result]] = deque()

    def __call__(self, work: Work, size: int) -> Result:
        """What becomes of `work`. Raises Apart."""
        turn: _Turn[Work, Result] = _Turn(work, size)
        with self._lock:
            if self._at_work:
                self._waiting.append(turn)
            else:
                self._at_work, turn.group = True, [turn]
        if not turn.group:
            self._wait(turn)
        if turn.group:
            self._lead(turn.group)
        if not turn.results:
            raise Apart
        return turn.results[0]

    def _wait(self, turn: _Turn[Work, Result]) -> None:
        """Until somebody has done its work, or it is to lead; or nobody has taken it along for too long."""
        try:
            if not turn.told.wait(PATIENCE_SECONDS) and not self._leaves(turn):
                turn.told.wait()
        except BaseException:  # a signal, in a main thread: nobody shall wait for it
            if not self._leaves(turn) and turn.group:
                self._end(turn.group)
            raise

    def _leaves(self, turn: _Turn[Work, Result]) -> bool:
        """Take it out of those who wait. False: somebody is at it, or it leads."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return True
        return False

    def _lead(self, group: list[_Turn[Work, Result]]) -> None:
        try:
            for turn, result in zip(group, self._do([each.work for each in group]), strict=True):
                turn.results.append(result)
        except Exception:
            if len(group) == 1:
                raise
        finally:
            self._end(group)

    def _end(self, group: list[_Turn[Work, Result]]) -> None:
        """Tell those whose work was done, or not, and who leads next."""
        for turn in group:
            turn.told.set()
        with self._lock:
            following: list[_Turn[Work, Result]] = []
            while self._waiting and (not following or self._fits(following)):
                following.append(self._waiting.popleft())
            self._at_work = bool(following)
            if following:
                following[0].group = following
                following[0].told.set()

    def _fits(self, group: list[_Turn[Work, Result]]) -> bool:
        return sum(each.size for each in group) + self._waiting[0].size <= self._most
