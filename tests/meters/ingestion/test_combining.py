"""Threads with the same kind of work: who does it, for whom, and that nobody hangs whatever happens to whom."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from unittest import mock

import pytest

from meters.ingestion import combining
from meters.ingestion.combining import Apart, Together
from tests.processes import wait_until


class Desk:
    """Doubles numbers; the work that is `held` waits for `go`, and negative numbers fail as `error` says."""

    def __init__(self, most: int = 100, error: type[BaseException] = KeyError) -> None:
        self.done: list[list[int]] = []
        self.busy, self.go = threading.Event(), threading.Event()
        self.error = error
        self.together = Together(self._do, most)

    def _do(self, works: list[int]) -> list[int]:
        self.done.append(works)
        if works == [0]:
            self.busy.set()
            assert self.go.wait(10)
        if any(work < 0 for work in works):
            raise self.error
        return [2 * work for work in works]

    def waiting(self) -> int:
        return len(self.together._waiting)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(12) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combining, "PATIENCE_SECONDS", 10.0)


Ask = Callable[..., list[Future[int]]]


@pytest.fixture
def ask(threads: ThreadPoolExecutor) -> Ask:
    def ask(desk: Desk, *numbers: int, size: int = 1) -> list[Future[int]]:
        """One at work on 0, and then these, which come in order."""
        first = threads.submit(desk.together, 0, 1)
        assert desk.busy.wait(10)
        asked = [first]
        for number in numbers:
            before = desk.waiting()
            asked.append(threads.submit(desk.together, number, size))
            wait_until(lambda before=before: desk.waiting() > before, what="its wait")  # type: ignore[misc]
        return asked

    return ask


def test_who_comes_alone_begins_at_once() -> None:
    desk = Desk()
    assert [desk.together(number, 1) for number in (1, 2, 3)] == [2, 4, 6]
    assert desk.done == [[1], [2], [3]]


def test_who_comes_meanwhile_is_done_together(ask: Ask) -> None:
    desk = Desk()
    asked = ask(desk, 1, 2, 3)
    desk.go.set()
    assert [each.result(10) for each in asked] == [0, 2, 4, 6]
    assert desk.done == [[0], [1, 2, 3]]
    assert desk.together(4, 1) == 8


def test_no_more_at_once_than_fits_and_in_turn(ask: Ask) -> None:
    desk = Desk(most=5)
    asked = ask(desk, 1, 2, 3, 4, 5, size=2)
    desk.go.set()
    assert [each.result(10) for each in asked] == [0, 2, 4, 6, 8, 10]
    assert desk.done == [[0], [1, 2], [3, 4], [5]]


def test_one_that_is_larger_than_fits_is_done_all_the_same(ask: Ask) -> None:
    desk = Desk(most=5)
    asked = ask(desk, 1, 2, size=9)
    desk.go.set()
    assert [each.result(10) for each in asked] == [0, 2, 4]
    assert desk.done == [[0], [1], [2]]


def test_an_error_of_one_by_itself_is_its_own(ask: Ask) -> None:
    desk = Desk()
    with pytest.raises(KeyError):
        desk.together(-1, 1)
    assert desk.together(1, 1) == 2


@pytest.mark.parametrize("error", [KeyError, SystemExit])
def test_an_error_of_several_is_nobodys(ask: Ask, error: type[BaseException]) -> None:
    """Also when the thread that does it for all comes to its end."""
    desk = Desk(most=3, error=error)
    asked = ask(desk, 1, -2, 3, 4)
    desk.go.set()
    errors = [each.exception(10) for each in asked]
    assert [type(each) for each in errors[2:4]] == [Apart, Apart]
    assert type(errors[1]) is (Apart if error is KeyError else SystemExit)
    assert errors[0] is None
    assert asked[4].result(10) == 8
    assert desk.done == [[0], [1, -2, 3], [4]]


def test_nobody_waits_for_long(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combining, "PATIENCE_SECONDS", 0.2)
    desk = Desk()
    started = time.monotonic()
    asked = ask(desk, 1, 2)
    assert [type(each.exception(10)) for each in asked[1:]] == [Apart, Apart]
    assert 0.2 <= time.monotonic() - started < 5
    desk.go.set()
    assert asked[0].result(10) == 0
    assert desk.together(3, 1) == 6
    assert desk.done == [[0], [3]]


def test_who_is_taken_along_waits_for_it(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: somebody is at its work, so it cannot be done beside."""
    desk = Desk()
    slow = desk._do

    def do(works: list[int]) -> list[int]:
        time.sleep(0.3 if len(works) > 1 else 0)
        return slow(works)

    monkeypatch.setattr(desk.together, "_do", do)
    monkeypatch.setattr(combining, "PATIENCE_SECONDS", 0.25)
    asked = ask(desk, 1, 2)
    desk.go.set()
    assert [each.result(10) for each in asked] == [0, 2, 4]


def test_who_is_interrupted_while_it_waits_leaves_nobody_waiting(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was to lead: a signal came between."""
    desk = Desk()
    interrupted = threading.Event()
    original = threading.Event.wait

    def wait(event: threading.Event, timeout: float | None = None) -> bool:
        found = original(event, timeout)
        if threading.current_thread() is interrupted_thread[0] and not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt
        return found

    interrupted_thread: list[threading.Thread | None] = [None]
    do = desk.together._wait

    def marked(turn: combining._Turn[int, int]) -> None:
        if turn.work == 1:
            interrupted_thread[0] = threading.current_thread()
        do(turn)

    monkeypatch.setattr(desk.together, "_wait", marked)
    monkeypatch.setattr(threading.Event, "wait", wait)
    asked = ask(desk, 1, 2)
    desk.go.set()
    assert type(asked[1].exception(10)) is KeyboardInterrupt
    assert type(asked[2].exception(10)) is Apart
    assert desk.together(3, 1) == 6


def test_who_is_interrupted_before_its_turn_is_not_worked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(desk.together, 0, 1)
        assert desk.busy.wait(10)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Event, "wait", mock.Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                desk.together(1, 1)
        desk.go.set()
        assert first.result(10) == 0
    assert desk.done == [[0]]
    assert desk.together(2, 1) == 4
