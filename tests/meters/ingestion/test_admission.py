"""Who is let in while others are in work, and who is told to come again."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from meters.ingestion import admission
from meters.ingestion.admission import Full, Gate
from meters.models import Event
from tests.meters.conftest import Sender


class Held:
    """Somebody in work, until told to be done."""

    def __init__(self, gate: Gate) -> None:
        self.inside, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._work, args=(gate,))
        self.thread.start()
        assert self.inside.wait(10)

    def _work(self, gate: Gate) -> None:
        with gate():
            self.inside.set()
            self.done.wait(10)

    def end(self) -> None:
        self.done.set()
        self.thread.join(10)


def test_a_place_is_free_again_whatever_happened() -> None:
    gate = Gate(1)
    for _ in range(3):
        with pytest.raises(KeyError), gate():
            raise KeyError
    with gate():
        pass


def test_who_comes_while_others_get_done_waits_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PATIENCE_SECONDS", 5.0)
    gate = Gate(1)
    first = Held(gate)
    threading.Timer(0.2, first.end).start()
    with gate():
        assert first.done.is_set()


def test_who_comes_while_nobody_gets_done_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PATIENCE_SECONDS", 0.3)
    gate = Gate(1)
    first = Held(gate)
    started = time.monotonic()
    with pytest.raises(Full), gate():
        pass
    assert time.monotonic() - started >= 0.3  # the first one waited
    started = time.monotonic()
    with pytest.raises(Full), gate():
        pass
    assert time.monotonic() - started < 0.2
    first.end()
    with gate():
        pass


@pytest.mark.django_db
def test_the_answer_says_when_to_come_again_and_asks_no_database(
    sender: Callable[..., Sender], monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    post = sender("ingest")

    def full(self: Gate) -> Any:
        raise Full

    monkeypatch.setattr(Gate, "__call__", full)
    with django_assert_num_queries(0):
        answer = post([{"reference": "r1"}])
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "busy")
    assert int(answer["Retry-After"]) > 0
    assert not Event.objects.exists()


def test_small_bodies_may_have_all_threads_but_one(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of them are in work, no more large ones are let in for that; nor for those who say nothing."""
    monkeypatch.setattr(admission, "PATIENCE_SECONDS", 0.1)
    settings.INGEST_AT_ONCE, settings.WEB_THREADS = 1, 4
    done, inside = threading.Event(), threading.Semaphore(0)

    def view(request: HttpRequest) -> HttpResponse:
        inside.release()
        assert done.wait(10)
        return HttpResponse()

    gated = admission.admitted(view)

    def post(size: int, **headers: str) -> int:
        return gated(RequestFactory().post("/v1/events", b"x" * size, "application/json", **headers)).status_code  # type: ignore[arg-type]

    with ThreadPoolExecutor(4) as threads:
        large = threads.submit(post, admission.SMALL_BYTES + 1)
        assert inside.acquire(timeout=10)
        assert post(admission.SMALL_BYTES + 1) == 503
        assert post(10, HTTP_CONTENT_ENCODING="gzip") == 503
        small = [threads.submit(post, size) for size in (10, admission.SMALL_BYTES)]
        for _ in small:
            assert inside.acquire(timeout=10)
        assert post(10) == 503
        done.set()
        assert [each.result(10) for each in (large, *small)] == [200, 200, 200]
    assert post(admission.SMALL_BYTES + 1) == post(10, HTTP_CONTENT_ENCODING="gzip") == post(10) == 200
